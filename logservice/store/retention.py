"""Purging old rows in batches, each with its buckets and its contents in one transaction.

What to purge is found through the buckets: hours that hold no row to purge are never looked at. A batch is
whole hours where that is few enough rows, for then the buckets of these rows go too and need no counting. Of
an hour of very many rows, and of one that is cut, as many rows go at once as others can wait for. A purge
that is cut short between two batches leaves a consistent log, and running it again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, delete, func, select, true

from . import contents, filters, ids, recent, retained, rollups, sums
from .dialects import Dialect
from .filters import Filters
from .ids import IdRange
from .jobs import Claim
from .prepared import Reader
from .queries import Query
from .rollups import Hours
from .scope import Scope
from .tables import records, site

#: What a purge has for itself, and so does whoever changes usage that purges kept.
CLAIM = Claim("purge")
#: What whoever changes usage of single weeks shares with others.
SHARED = Claim("purge", shared=True)
#: How many times as many rows as usual go at once to take an hour whole, which is quicker.
_LARGEST = 2
#: How many times as many rows as go at once may stay in hours that are joined: what they say has to be read.
_MOST_STAY = 3


@dataclass(frozen=True, slots=True)
class Purge:
    """What to purge: rows strictly older than the second `before`, of one type or of all.

    `keep_usage` leaves the usage of purged rows in the statistics; otherwise it goes with them, and so does
    the usage kept by earlier purges.
    """

    before: int
    log_type: int | None = None
    keep_usage: bool = False

    @property
    def query(self) -> Query:
        """The rows to purge, as a query."""
        return Query(Scope.site(), Filters({"type": self.log_type}), IdRange(0, ids.first_id(self.before)))

    @property
    def takes_all(self) -> bool:
        """Whether nothing is left of what is older, rows or usage."""
        return self.log_type is None and not self.keep_usage


@dataclass(frozen=True, slots=True)
class Batch:
    """A range of ids within one week and its number of rows to purge; `stay` is how many stay among them.

    It is `whole` where the range is one of whole hours, which lose all their rows to purge at once.
    """

    span: IdRange
    rows: int
    stay: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """How many rows a transaction deleted, and whether nothing of its batch is left."""

    rows: int
    is_done: bool


def to_go(connection: Reader, purge: Purge) -> int:
    """Return how many rows the purge would delete."""
    return sums.count(connection, purge.query)


def batches(connection: Connection, purge: Purge, *, most: int) -> list[Batch]:
    """Return the ranges to purge, oldest first: small hours of a week joined up to `most` rows.

    An hour of very many rows is not taken whole: that would keep others waiting for too long.
    """
    joined: list[Batch] = []
    for hour in _hours(connection, purge):
        if joined and _fit(joined[-1], hour, most):
            joined.append(_together(joined.pop(), hour))
        else:
            joined.append(replace(hour, whole=hour.whole and hour.rows <= _LARGEST * most))
    return joined


def _fit(one: Batch, other: Batch, most: int) -> bool:
    week = ids.first_id(ids.WEEK)
    fits = one.rows + other.rows <= most and one.stay + other.stay <= _MOST_STAY * most
    return one.whole and other.whole and fits and one.span.low // week == other.span.low // week


def _together(one: Batch, other: Batch) -> Batch:
    span = IdRange(one.span.low, other.span.high)
    return Batch(span, one.rows + other.rows, one.stay + other.stay, whole=True)


def _hours(connection: Connection, purge: Purge) -> Iterator[Batch]:
    """Yield the hours that hold rows to purge, oldest first, the last one up to the target."""
    goes = true() if purge.log_type is None else site.c.type == purge.log_type
    rows = func.sum(case((goes, site.c.rows), else_=0))
    held = [site.c.span == ids.HOUR, site.c.retained == 0, site.c.bucket < purge.before]
    found = select(site.c.bucket, rows, func.sum(site.c.rows)).where(*held)
    grouped = found.group_by(site.c.bucket).having(rows > 0).order_by(site.c.bucket)
    for hour, going, present in connection.execute(grouped).all():
        end = min(hour + ids.HOUR, purge.before)
        span = IdRange(ids.first_id(hour), ids.first_id(end))
        yield Batch(span, int(going), int(present - going), whole=end == hour + ids.HOUR)


def purge_batch(connection: Connection, dialect: Dialect, purge: Purge, batch: Batch, *, most: int) -> Gone:
    """Delete the rows of a batch, or up to `most` of them if it is not whole."""
    if batch.whole and purge.takes_all:
        return _whole(connection, dialect, batch)
    return _some(connection, dialect, purge, batch, most)


def _whole(connection: Connection, dialect: Dialect, batch: Batch) -> Gone:
    span = batch.span
    deleted = connection.execute(delete(records).where(*inside(span))).rowcount
    contents.forget_range(connection, dialect, span)
    low, high = ids.second_of(span.low), ids.second_of(span.high)
    rollups.drop_hours(connection, Hours(low, high))
    recent.recount(connection, low, high)
    return Gone(deleted, is_done=True)


def _some(connection: Connection, dialect: Dialect, purge: Purge, batch: Batch, most: int) -> Gone:
    values, of_type = purge.query.values, filters.conditions(purge.query.filters.shape, records)
    rows = select(records.c.id).where(*of_type, *inside(batch.span)).order_by(records.c.id)
    following = None if batch.whole else connection.scalar(rows.limit(1).offset(most), values)
    span = IdRange(batch.span.low, following or batch.span.high)
    low, high = ids.second_of(span.low), ids.second_of(span.high - 1) + 1
    hours = Hours(low, high, purge.log_type) if batch.whole else None
    mark = retained.KEPT if purge.keep_usage else None
    gone = [*of_type, *inside(span)]
    deleted = take_away(connection, dialect, gone, values, span=span, mark=mark, hours=hours)
    return Gone(deleted, is_done=following is None)


def take_away(
    connection: Connection,
    dialect: Dialect,
    gone: Sequence[ColumnElement[bool]],
    values: Mapping[str, Any],
    *,
    span: IdRange,
    mark: int | None,
    hours: Hours | None = None,
) -> int:
    """Delete the rows that meet all conditions, which lie in a range, and return how many.

    Their usage stays under a mark of `retained`, or goes with them where there is none. `hours` are given
    where the conditions name nothing but whole hours, and a type.
    """
    said = connection.scalars(select(records.c.content_id).where(*gone).distinct(), values).all()
    rollups.subtract(connection, dialect, gone, values, mark=mark, hours=hours)
    deleted = connection.execute(delete(records).where(*gone), values).rowcount
    contents.forget_unsaid(connection, dialect, span, said)
    low, high = ids.second_of(span.low), ids.second_of(span.high - 1) + 1
    if hours is None:
        rollups.drop_empty(connection, low, high)
    recent.recount(connection, low, high)
    return deleted


def inside(span: IdRange) -> list[ColumnElement[bool]]:
    """Return the condition that a row lies in a range."""
    return [records.c.id >= span.low, records.c.id < span.high]
