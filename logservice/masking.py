"""What takes keys and tokens out of texts that are written into logs.

Nothing we write ourselves has any in it; this is for those that clients send in places not meant for them.
"""

from __future__ import annotations

import re

#: How long a part of a path may be that leads nowhere: what is longer is no misspelt name.
_LONG_PART = 20

# Tokens that are issued here have 43 characters, ids of requests hardly ever more than 36. Where there are no
# such ids, what gateways issue is masked as well: 32 characters.
_KEY = re.compile(r"(?<![a-z0-9])sk-[\w.-]{4,}", re.IGNORECASE)
_TOKEN = re.compile(r"[\w+=-]{40,}")
_WORD = re.compile(r"[\w+=-]{32,}")
# Besides what a terminal obeys, the two characters that some programs take for the end of a line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FURTHER_LINE = "    "
_HIDDEN = "..."


def mask(text: str) -> str:
    """Return a text with dots in place of what looks like a key or a token."""
    return _TOKEN.sub(_HIDDEN, _KEY.sub("sk-" + _HIDDEN, text))


def mask_line(text: str) -> str:
    """Return what a client says of itself, for one line of a log: no long words, no control characters."""
    return _CONTROL.sub("?", _WORD.sub(_HIDDEN, mask(text)))


def one_entry(text: str) -> str:
    """Return what is logged as one entry: further lines are indented, so that none begins another."""
    return f"\n{_FURTHER_LINE}".join(_CONTROL.sub("?", line) for line in text.expandtabs().split("\n"))


def mask_path(path: str) -> str:
    """Return a path, as it was sent, with dots in place of parts that may be a key or a token."""
    return "/".join(_HIDDEN if len(part) >= _LONG_PART else mask(part) for part in path.split("/"))
