"""Time-ordered ids: `created_at * 2**21 + sequence`.

The second a row was created in is part of its id, so the primary key sorts by time, a time range is a range
of ids, and purging old rows is a range delete. Until the year 2106 an id fits in 53 bits, which is what
a JavaScript number holds exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..errors import InvalidValue

SEQUENCE_BITS = 21
SEQUENCES = 1 << SEQUENCE_BITS
MIN_SECOND = 1
MAX_SECOND = 2**32 - 1
HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY

#: Above every id there can be, on the edge of a whole week so that an open range needs no raw edge.
OPEN_END = -(-(MAX_SECOND + 1) // WEEK) * WEEK << SEQUENCE_BITS


def first_id(second: int) -> int:
    """Return the lowest id of a second."""
    return second << SEQUENCE_BITS


def second_of(row_id: int) -> int:
    """Return the second a row was created in."""
    return row_id >> SEQUENCE_BITS


def up(row_id: int, span: int) -> int:
    """Return the start of the next span of so many ids, or the id itself where one starts."""
    return -(-row_id // span) * span


def down(row_id: int, span: int) -> int:
    """Return the start of the span of so many ids that an id lies in."""
    return row_id // span * span


@dataclass(frozen=True, slots=True)
class IdRange:
    """The ids from `low` up to, not including, `high`."""

    low: int = 0
    high: int = OPEN_END

    def __bool__(self) -> bool:
        return self.low < self.high

    def cut(self, low: int | None, high: int | None) -> IdRange:
        """Return the part of this range from `low` to below `high`; None leaves that side as it is."""
        return IdRange(
            self.low if low is None else max(self.low, low),
            self.high if high is None else min(self.high, high),
        )


def between(start: int = 0, end: int = 0) -> IdRange:
    """Return the ids of the seconds `start` to `end`, both inclusive; 0 leaves that side open.

    Seconds are clamped to 1 .. 2**32-1 before they are shifted, for anything larger overflows 64 bits.
    """
    low = first_id(min(max(start, MIN_SECOND), MAX_SECOND + 1)) if start > 0 else 0
    high = OPEN_END if end == 0 or end >= MAX_SECOND else first_id(max(end + 1, MIN_SECOND))
    return IdRange(low, high)


def month(second: int) -> IdRange:
    """Return the ids of the month (UTC) that a second lies in."""
    first = datetime.fromtimestamp(second - second % DAY, UTC).replace(day=1, hour=0)
    following = (first + timedelta(days=31)).replace(day=1)
    return IdRange(first_id(int(first.timestamp())), first_id(int(following.timestamp())))


def assign(seconds: Iterable[int], free: Mapping[int, Iterator[int]]) -> list[int]:
    """Return an id for each second, in order, taken from those that are free in it.

    Raises InvalidValue when a second is full.
    """
    try:
        return [next(free[second]) for second in seconds]
    except StopIteration:
        full = next(second for second in free if next(free[second], None) is None)
        raise InvalidValue(f"created_at: second {full} holds {SEQUENCES} rows already") from None
