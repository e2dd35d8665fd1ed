"""Moments as people type them: epoch seconds, ISO 8601, or an age."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from .. import spans
from ..errors import InvalidValue
from ..store import ids

_EPOCH = re.compile(r"([0-9]+)(?:\.[0-9]+)?", re.ASCII)
#: As many digits as epoch seconds of today have in milliseconds, less one.
_DIGITS_OF_MILLISECONDS = 12
#: Epoch seconds before this one, in January 1970, are taken for an age without its unit.
_EARLY = 1_000_000


def parse(text: str, *, now: float) -> int:
    """Return the second that a text names, a fraction being floored. Raises InvalidValue.

    ISO 8601 without a zone is UTC; an age such as 90d, 12h, 30m or 2w is that long before `now`.
    """
    text = text.strip()
    if digits := _EPOCH.fullmatch(text):
        return _checked(text, _second_of_digits(text, digits[1]))
    if spans.matches(text):
        return _checked(text, math.floor(now) - parse_span(text))
    return _checked(text, _second_of_iso(text))


def parse_span(text: str) -> int:
    """Return the seconds of a span such as 10s, 5m or 2h. Raises InvalidValue for anything else and 0s."""
    try:
        return spans.seconds(text.strip())
    except ValueError as error:
        raise InvalidValue(str(error)) from None


def parse_past(text: str, *, now: float) -> int:
    """Return the second that a text names; one in the future, or just after 1970, raises InvalidValue too."""
    second = parse(text, now=now)
    if second < _EARLY and _EPOCH.fullmatch(text.strip()):
        raise InvalidValue(f"{text[:40]!r} would be in January 1970; is a unit missing, as in 90d?")
    if second > now:
        raise InvalidValue(f"{text[:40]!r} is in the future")
    return second


def _second_of_digits(text: str, digits: str) -> int:
    if len(digits) >= _DIGITS_OF_MILLISECONDS:
        raise InvalidValue(f"{text[:40]!r} looks like milliseconds; epoch times are in seconds here")
    return int(digits)


def _second_of_iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise InvalidValue(
            f"{text[:40]!r} is no time: give epoch seconds, ISO 8601 such as 2025-01-31T12:00:00Z, "
            "or an age such as 90d, 12h, 30m or 2w"
        ) from None


def _checked(text: str, second: int) -> int:
    if second < ids.MIN_SECOND:
        raise InvalidValue(f"{text[:40]!r} is not after the start of 1970")
    return second
