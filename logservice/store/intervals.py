"""Hours, days, weeks and months as the people of a time zone count them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from ..errors import InvalidValue
from . import ids

Interval = Literal["none", "hour", "day", "week", "month"]
INTERVALS: tuple[str, ...] = get_args(Interval)

#: No answer is cut into more; a year of hours is less.
MOST = 10_000

# How long an interval is as a rule; clocks that are put forward or back make some shorter or longer.
_LENGTHS = {"hour": ids.HOUR, "day": ids.DAY, "week": ids.WEEK, "month": 31 * ids.DAY}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the beginning of local time, wherever that is
# The first Monday, in days after the first day of local time.
_MONDAY = 4 * ids.DAY
# The months that ids can tell in every zone.
_MONTH = re.compile(r"(?!1970-01)(19[7-9]\d|20\d\d|210[0-5])-(0[1-9]|1[0-2])", re.ASCII)
# Zones of this name differ from one machine to the next.
_NO_ZONE = "localtime"


@dataclass(frozen=True, slots=True)
class Step:
    """An interval and the seconds that lie in it, as ranges whose ends are not included.

    There is one range, except on the rare days that clocks left and came back to.
    """

    spans: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        """The first second of the interval."""
        return self.spans[0][0]


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones() - {_NO_ZONE})


def zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name. Raises InvalidValue for one that is unknown."""
    if name not in _known():
        raise InvalidValue(f"{name[:60]!r} is no time zone; give an IANA name such as Asia/Shanghai")
    return ZoneInfo(name)


def length(interval: str) -> int:
    """Return how many seconds an interval has as a rule, at most."""
    return _LENGTHS[interval]


def steps(interval: str, tz: ZoneInfo, low: int, high: int) -> list[Step]:
    """Return the intervals that the seconds from `low` to before `high` lie in, whole, oldest first.

    A new hour begins where the clock shows one, and where it is put forward or back. Days, weeks and months
    are those of the calendar; weeks begin on Monday. Raises InvalidValue for more than `MOST` of them.
    """
    if (high - low) // _LENGTHS[interval] > MOST:
        raise InvalidValue(
            f"interval: the range has more than {MOST:,} of a {interval}; narrow it or take a longer interval"
        )
    # Far enough to both sides that the first and the last one are whole, whatever the clocks do.
    margin = _LENGTHS[interval] + min(2 * _LENGTHS[interval], 2 * ids.DAY)
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for key, (begin, end) in _pieces(interval, tz, low - margin, high + margin):
        spans = found.setdefault(key, [])
        if spans and spans[-1][1] == begin:
            begin, _ = spans.pop()
        spans.append((begin, end))
    return [
        Step(tuple(spans))
        for spans in found.values()
        if any(begin < high and end > low for begin, end in spans)
    ]


def moment(second: int, tz: ZoneInfo) -> str:
    """Return a second in ISO 8601, as the clocks of a zone show it."""
    return datetime.fromtimestamp(second, tz).isoformat()


def month(text: str, tz: ZoneInfo) -> tuple[int, int]:
    """Return the first second of a month such as 2026-10 in a zone, and the first one after it.

    Raises InvalidValue for what is no month, or one that no row can lie in.
    """
    named = _MONTH.fullmatch(text)
    if named is None:
        raise InvalidValue(f"{text[:40]!r} is no month from 1970-02 to 2105-12; give one such as 2026-10")
    # The middle of a month lies in it in every zone.
    middle = _local(_EPOCH.replace(year=int(named[1]), month=int(named[2]), day=15))
    [found] = steps("month", tz, middle, middle + 1)
    return found.start, found.spans[-1][1]


def _pieces(
    interval: str, tz: ZoneInfo, low: int, high: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield all pieces of intervals between two seconds, each with what tells its interval from others."""
    for begin, end, offset in _offsets(tz, low, high):
        at = begin
        while at < end:
            start, following = _around(interval, at + offset)
            last = min(following - offset, end)
            # An hour that is lived through twice is two hours.
            yield (start, offset if interval == "hour" else 0), (at, last)
            at = last


def _around(interval: str, local: int) -> tuple[int, int]:
    """Return the start of the interval that a second of local time lies in, and that of the next one."""
    if interval == "month":
        first = (_EPOCH + timedelta(seconds=local)).replace(day=1, hour=0, minute=0, second=0)
        following = (first + timedelta(days=31)).replace(day=1)
        return _local(first), _local(following)
    span, origin = _LENGTHS[interval], _MONDAY if interval == "week" else 0
    start = local - (local - origin) % span
    return start, start + span


def _local(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _offsets(tz: ZoneInfo, low: int, high: int) -> Iterator[tuple[int, int, int]]:
    """Yield ranges of seconds with the offset from UTC that a zone has in them, oldest first.

    Offsets are looked at once a day: no zone changes its offset and takes that back within one.
    """
    begin, at, offset = low, low, _offset(tz, low)
    while at < high:
        following = min(at + ids.DAY, high)
        if _offset(tz, following) == offset:
            at = following
            continue
        at = _change(tz, at, following)
        yield begin, at, offset
        begin, offset = at, _offset(tz, at)
    if begin < high:
        yield begin, high, offset


def _change(tz: ZoneInfo, low: int, high: int) -> int:
    """Return the first second after `low` and up to `high` with another offset than `low` has."""
    offset = _offset(tz, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(tz, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(tz: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, tz).utcoffset()
    return 0 if offset is None else offset // timedelta(seconds=1)
