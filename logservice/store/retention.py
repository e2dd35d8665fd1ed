"""Purging old rows in batches, each with its buckets and its contents in one transaction.

What to purge is found through the buckets: hours that hold no row to purge are never looked at. A batch is
whole hours where all rows of them go, for then their buckets go too and need no counting; an hour of very
many rows, one that is cut, and one of which rows stay are gone through row by row. A purge that is cut short
between two batches leaves a consistent log, and running it again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Executable, bindparam, delete, func, select

from . import contents, filters, ids, rollups, sums
from .dialects import Dialect
from .filters import Filters
from .ids import IdRange
from .prepared import Reader, prepared
from .queries import RAW, Part, Query, Shape, bounds
from .scope import Scope
from .tables import hourly, records

_FIELDS = (*rollups.ROW_FIELDS, "content_id")
#: How many rows of whole hours go in the time of one that goes by itself, measured on both engines.
_WHOLE_GAIN = 3
#: How much longer than other batches that of a single hour may be.
_LARGEST = 3


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


def to_go(connection: Reader, purge: Purge) -> int:
    """Return how many rows the purge would delete."""
    return sums.count(connection, purge.query)


def batches(connection: Connection, purge: Purge, *, most: int) -> list[Batch]:
    """Return the ranges to purge, oldest first, for batches of about as long as `most` rows one by one.

    Small hours of a week are joined up to what goes as quickly. An hour of very many rows is not taken whole:
    that would keep others waiting for too long.
    """
    quick = most * _WHOLE_GAIN
    joined: list[Batch] = []
    for hour in _hours(connection, purge):
        if joined and _fit(joined[-1], hour, quick):
            last = joined.pop()
            joined.append(Batch(IdRange(last.span.low, hour.span.high), last.rows + hour.rows, whole=True))
        else:
            joined.append(replace(hour, whole=hour.whole and hour.rows <= quick * _LARGEST))
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


def purge_batch(connection: Connection, dialect: Dialect, purge: Purge, batch: Batch, *, most: int) -> int:
    """Delete the rows of a batch, or up to `most` of them if it is not whole, and return their number.

    Fewer than `most` of what is not whole mean that it is done.
    """
    if batch.whole:
        return _whole(connection, dialect, batch.span)
    return _some(connection, dialect, purge, batch.span, most)


def _whole(connection: Connection, dialect: Dialect, span: IdRange) -> int:
    inside = [records.c.id >= span.low, records.c.id < span.high]
    deleted = connection.execute(delete(records).where(*inside)).rowcount
    contents.forget_range(connection, dialect, span)
    rollups.drop_hours(connection, dialect, ids.second_of(span.low), ids.second_of(span.high))
    return deleted


def _some(connection: Connection, dialect: Dialect, purge: Purge, span: IdRange, most: int) -> int:
    query = replace(purge.query, range=span)
    values = query.values | bounds([Part(RAW, span.low, span.high)]) | {"most": most}
    rows = [dict(zip(_FIELDS, row, strict=True)) for row in _oldest(connection, values, query.shape)]
    if not rows:
        return 0
    span = IdRange(span.low, rows[-1]["id"] + 1)
    gone = [
        *filters.conditions(query.filters.shape, records),
        records.c.id >= span.low,
        records.c.id < span.high,
    ]
    connection.execute(delete(records).where(*gone), query.values)
    contents.forget_unsaid(connection, dialect, span, {row["content_id"] for row in rows})
    rollups.subtract_rows(connection, dialect, rows, keep_usage=purge.keep_usage)
    rollups.drop_empty(connection, ids.second_of(span.low), ids.second_of(span.high - 1) + 1)
    return len(rows)


@prepared
def _oldest(shape: Shape) -> Executable:
    """Select what the buckets and contents have to know of the oldest rows of a range."""
    found = select(*(records.c[name] for name in _FIELDS)).where(*shape.inside(RAW, "0"))
    return found.order_by(records.c.id).limit(bindparam("most"))
