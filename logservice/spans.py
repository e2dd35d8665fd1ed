"""Spans of time as people write them: 30m, 12h, 90d, 2w."""

from __future__ import annotations

import re

_SPAN = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def matches(text: str) -> bool:
    """Whether a text is written like a span."""
    return _SPAN.fullmatch(text) is not None


def seconds(text: str) -> int:
    """Return the seconds of a span. Raises ValueError for anything else, and for one of 0."""
    span = _SPAN.fullmatch(text)
    if span is not None and int(span[1]) == 0:
        raise ValueError(f"{text[:40]!r} is no time at all; the shortest is 1s")
    if span is None:
        raise ValueError(f"{text[:40]!r} is no span of time such as 30m, 12h, 90d or 2w")
    return int(span[1]) * _UNITS[span[2]]
