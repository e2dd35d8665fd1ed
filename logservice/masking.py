"""What takes keys and tokens out of texts that are written into logs.

Nothing we write ourselves has any in it; this is for those that clients send in places not meant for them.
"""

from __future__ import annotations

import re

#: Runs of as many characters are taken for a token: ours have 43, and ids of requests hardly more than 36.
LONG = 40
#: The same for a part of a path that leads nowhere: what is longer is no misspelt name.
_LONG_PART = 20

_KEY = re.compile(r"(?<![a-z0-9])sk-[\w-]{4,}", re.IGNORECASE)
_TOKEN = re.compile(rf"[\w+=-]{{{LONG},}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HIDDEN = "..."


def mask(text: str) -> str:
    """Return a text with dots in place of what looks like a key or a token."""
    return _TOKEN.sub(_HIDDEN, _KEY.sub("sk-" + _HIDDEN, text))


def mask_line(text: str) -> str:
    """Return the same without control characters, for one line of a log."""
    return _CONTROL.sub("?", mask(text))


def mask_path(path: str) -> str:
    """Return a path, as it was sent, with dots in place of parts that may be a key or a token."""
    return "/".join(_HIDDEN if len(part) >= _LONG_PART else mask(part) for part in path.split("/"))
