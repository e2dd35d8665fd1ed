"""Moments as programs write them: ISO 8601, and what RFC 3339 allows beside it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_LEAP_SECOND = re.compile(r"(T[0-9]{2}:[0-9]{2}):60")


def read(text: str) -> datetime:
    """Return the moment that a text names, without a zone where it names none. Raises ValueError.

    The letters may be small (RFC 3339, 5.6). A leap second (5.7) is the second after it, as in POSIX time.
    """
    written, leaps = _LEAP_SECOND.subn(r"\1:59", text.upper())
    moment = datetime.fromisoformat(written)
    try:
        return moment + timedelta(seconds=leaps)
    except OverflowError:
        raise ValueError(f"{text[:40]!r} lies beyond the year 9999") from None
