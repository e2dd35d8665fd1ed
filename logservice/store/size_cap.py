"""The size cap: how much the log may take, and which rows go first where it takes more.

Only rows of types that have a retention rule go, the oldest first, in steps of whole hours. Each step takes
half of what seems to be too much, for old rows may be larger than others; then the log is measured anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from sqlalchemy import and_, false, func, or_, select

from . import ids
from .tables import site

if TYPE_CHECKING:
    from .store import LogStore

#: Once the log takes more than the cap, rows go until it takes less than so many hundredths of it.
GOAL_PERCENT = 90


@dataclass(frozen=True, slots=True)
class Oldest:
    """Rows of some types that are older than the second `before`, the end of an hour."""

    before: int
    rows: int


@dataclass(frozen=True, slots=True)
class Excess:
    """What a log takes beyond its cap: `taken` bytes, by `rows` rows of all types."""

    cap: int
    taken: int
    rows: int

    @property
    def is_over(self) -> bool:
        """Whether the log takes more than it may."""
        return self.taken > self.cap

    @property
    def is_over_goal(self) -> bool:
        """Whether more is to go once something has to go."""
        return self.taken > self.cap * GOAL_PERCENT // 100

    @property
    def rows_too_many(self) -> int:
        """About how many rows make up what is too much, as if all rows were alike."""
        too_much = max(self.taken - self.cap * GOAL_PERCENT // 100, 0)
        return -(-too_much * self.rows // self.taken) if self.taken else 0


def measure(store: LogStore, cap: int) -> Excess:
    """Return what the log takes now."""
    return Excess(cap, store.size(), store.count_all())


def next_step(store: LogStore, types: Iterable[int], excess: Excess) -> Oldest | None:
    """Return the rows that go next, at least those of an hour, or None where no more may go."""
    return oldest(store, dict.fromkeys(types, 0), max(excess.rows_too_many // 2, 1))


def oldest(store: LogStore, since: Mapping[int, int], rows: int) -> Oldest | None:
    """Return the hours that hold the oldest `rows` rows of some types, or all; those of this hour stay.

    Of each type only rows count that are not older than a second.
    """
    held = store.hours(since)
    totals = accumulate(count for _hour, count in held)
    ends = [Oldest(hour + ids.HOUR, total) for (hour, _count), total in zip(held, totals, strict=True)]
    return next((end for end in ends if end.rows >= rows), ends[-1] if ends else None)


def hours(store: LogStore, since: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return the hours that are over and hold rows of types not older than a second, with their number."""
    now = int(store.clock())
    held = [site.c.span == ids.HOUR, site.c.retained == 0, site.c.rows > 0]
    wanted = [and_(site.c.type == kind, site.c.bucket >= second) for kind, second in since.items()]
    found = (
        select(site.c.bucket, func.sum(site.c.rows))
        .where(*held, site.c.bucket < now - now % ids.HOUR, or_(false(), *wanted))
        .group_by(site.c.bucket)
        .order_by(site.c.bucket)
    )
    with store.reading() as connection:
        return [(hour, int(rows)) for hour, rows in connection.execute(found)]
