"""Purging old rows in batches, each with its buckets and its postings in one transaction.

What to purge is found through the buckets: hours that hold no row to purge are never looked at. A purge that
is cut short between two batches leaves a consistent log, and running it again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, select

from . import ids, rollups, sums
from .dialects import Dialect
from .filters import Filters
from .ids import IdRange
from .scope import Scope
from .sums import Query
from .tables import hourly, records


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
        filters = Filters({"type": self.log_type})
        return Query(Scope.site(), filters, IdRange(0, ids.first_id(self.before)))


def to_go(connection: Connection, purge: Purge) -> int:
    """Return how many rows the purge would delete."""
    return sums.count(connection, purge.query)


def hours(connection: Connection, purge: Purge) -> Iterator[IdRange]:
    """Yield the ranges of ids, an hour each at most, that hold rows to purge, oldest first."""
    table = hourly
    where = [*purge.query.filters.conditions(table), table.c.rows > 0, table.c.bucket < purge.before]
    found = connection.scalars(select(table.c.bucket).where(*where).distinct().order_by(table.c.bucket))
    for hour in found.all():
        yield IdRange(ids.first_id(hour), min(ids.first_id(hour + ids.HOUR), ids.first_id(purge.before)))


def purge_batch(connection: Connection, dialect: Dialect, purge: Purge, hour: IdRange, *, most: int) -> int:
    """Delete up to `most` rows of one hour and return their number; fewer mean that the hour is done."""
    last = _last_of_batch(connection, purge, hour, most)
    if last is None:
        return 0
    where = _rows_to_purge(purge, IdRange(hour.low, last + 1))
    rollups.subtract_rows(connection, where, keep_usage=purge.keep_usage)
    contents = connection.execute(
        select(records.c.id, records.c.content).where(*where, records.c.content != "")
    )
    dialect.unindex_contents(connection, [(row_id, content) for row_id, content in contents])
    deleted = connection.execute(delete(records).where(*where)).rowcount
    low, high = ids.second_of(hour.low), ids.second_of(hour.high - 1) + 1
    rollups.drop_empty(connection, low, high)
    return deleted


def _last_of_batch(connection: Connection, purge: Purge, hour: IdRange, most: int) -> int | None:
    batch = select(records.c.id).where(*_rows_to_purge(purge, hour)).order_by(records.c.id).limit(most)
    last: int | None = connection.scalar(select(func.max(batch.subquery().c.id)))
    return last


def _rows_to_purge(purge: Purge, part: IdRange) -> list[ColumnElement[bool]]:
    return [
        *purge.query.filters.conditions(records),
        records.c.id >= part.low,
        records.c.id < part.high,
    ]
