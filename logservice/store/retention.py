"""Purging old rows in batches, each with its buckets and its contents in one transaction.

What to purge is found through the buckets: hours that hold no row to purge are never looked at. A batch is
whole hours where all rows of them go, for then their buckets go too and need no counting. Of an hour of very
many rows, of one that is cut, and where rows of one type go from among others, as many rows go at once as
others can wait for. A purge that is cut short between two batches leaves a consistent log, and running it
again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select

from . import contents, filters, ids, retained, rollups, sums
from .dialects import Dialect
from .filters import Filters
from .ids import IdRange
from .prepared import Reader
from .queries import Query
from .scope import Scope
from .tables import hourly, records

#: How many times as many rows as usual go at once to take an hour whole, which is quicker.
_LARGEST = 2


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
    """A range of ids within one week and its number of rows to purge; `whole` hours lose all they hold."""

    span: IdRange
    rows: int
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
            last = joined.pop()
            joined.append(Batch(IdRange(last.span.low, hour.span.high), last.rows + hour.rows, whole=True))
        else:
            joined.append(replace(hour, whole=hour.whole and hour.rows <= _LARGEST * most))
    return joined


def _fit(one: Batch, other: Batch, most: int) -> bool:
    week = ids.first_id(ids.WEEK)
    fits = one.whole and other.whole and one.rows + other.rows <= most
    return fits and one.span.low // week == other.span.low // week


def _hours(connection: Connection, purge: Purge) -> Iterator[Batch]:
    """Yield the hours that hold rows to purge, oldest first, the last one up to the target."""
    query = purge.query
    wanted = [
        *filters.conditions(query.filters.shape, hourly),
        hourly.c.rows > 0,
        hourly.c.bucket < purge.before,
    ]
    found = select(hourly.c.bucket, func.sum(hourly.c.rows)).where(*wanted)
    grouped = found.group_by(hourly.c.bucket).order_by(hourly.c.bucket)
    for hour, rows in connection.execute(grouped, query.values).all():
        end = min(hour + ids.HOUR, purge.before)
        whole = purge.takes_all and end == hour + ids.HOUR
        yield Batch(IdRange(ids.first_id(hour), ids.first_id(end)), int(rows), whole)


def purge_batch(connection: Connection, dialect: Dialect, purge: Purge, batch: Batch, *, most: int) -> Gone:
    """Delete the rows of a batch, or up to `most` of them if it is not whole."""
    if batch.whole:
        return _whole(connection, dialect, batch)
    return _some(connection, dialect, purge, batch, most)


def _whole(connection: Connection, dialect: Dialect, batch: Batch) -> Gone:
    span = batch.span
    deleted = connection.execute(delete(records).where(*inside(span))).rowcount
    contents.forget_range(connection, dialect, span)
    rollups.drop_hours(connection, dialect, ids.second_of(span.low), ids.second_of(span.high))
    return Gone(deleted, is_done=True)


def _some(connection: Connection, dialect: Dialect, purge: Purge, batch: Batch, most: int) -> Gone:
    values, of_type = purge.query.values, filters.conditions(purge.query.filters.shape, records)
    rows = select(records.c.id).where(*of_type, *inside(batch.span)).order_by(records.c.id)
    following = connection.scalar(rows.limit(1).offset(most), values)
    span = IdRange(batch.span.low, following or batch.span.high)
    mark = retained.KEPT if purge.keep_usage else None
    deleted = take_away(connection, dialect, [*of_type, *inside(span)], values, span=span, mark=mark)
    return Gone(deleted, is_done=following is None)


def take_away(
    connection: Connection,
    dialect: Dialect,
    gone: Sequence[ColumnElement[bool]],
    values: Mapping[str, Any],
    *,
    span: IdRange,
    mark: int | None,
) -> int:
    """Delete the rows that meet all conditions, which lie in a range, and return how many.

    Their usage stays under a mark of `retained`, or goes with them where there is none.
    """
    said = connection.scalars(select(records.c.content_id).where(*gone).distinct(), values).all()
    rollups.subtract(connection, dialect, gone, values, mark=mark)
    deleted = connection.execute(delete(records).where(*gone), values).rowcount
    contents.forget_unsaid(connection, dialect, span, said)
    rollups.drop_empty(connection, ids.second_of(span.low), ids.second_of(span.high - 1) + 1)
    return deleted


def inside(span: IdRange) -> list[ColumnElement[bool]]:
    """Return the condition that a row lies in a range."""
    return [records.c.id >= span.low, records.c.id < span.high]
