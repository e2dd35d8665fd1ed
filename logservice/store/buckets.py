"""The tables of usage buckets: the spans they have, what each is the sum of, and the statements that sum."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    cast,
    delete,
    literal_column,
    select,
)

from . import dialects, ids
from .stats import measure
from .tables import (
    DIMENSIONS,
    MEASURES,
    OWNER_DIMENSIONS,
    SITE_DIMENSIONS,
    hourly,
    owners,
    records,
    site,
)

#: The shortest bucket, and where usage kept from purged rows stands: the finest offset of any time zone.
QUARTER = 900

#: A second, or a parameter that stands for one.
Bound = int | ColumnElement[int]


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table of buckets, the spans they have in seconds, shortest first, and what it tells apart.

    Its shortest buckets are sums of those of `source`; None stands for rows.
    """

    table: Table
    spans: tuple[int, ...]
    dimensions: tuple[str, ...]
    source: Rollup | None = None


@dataclass(frozen=True, slots=True)
class Longer:
    """Buckets of a rollup and span that are the sums of those of a shorter span, `finer`, of their source."""

    rollup: Rollup
    span: int
    source: Rollup
    finer: int


def _longer(rollup: Rollup) -> tuple[Longer, ...]:
    before = [] if rollup.source is None else [(rollup.source, rollup.source.spans[-1])]
    steps = [*before, *((rollup, span) for span in rollup.spans)]
    return tuple(Longer(rollup, span, source, finer) for (source, finer), (_, span) in pairwise(steps))


HOURLY = Rollup(hourly, (ids.HOUR,), DIMENSIONS)
#: Each span is three to eight of the one before, so that few buckets make up any range; days of China begin
#: at 16:00 (UTC), where one of eight hours does.
SITE = Rollup(site, (QUARTER, ids.HOUR, 8 * ids.HOUR, ids.DAY, ids.WEEK), SITE_DIMENSIONS)
#: Spans shorter than eight hours would hold hardly fewer buckets than those of an hour do.
OWNERS = Rollup(owners, (8 * ids.HOUR, ids.DAY, ids.WEEK), OWNER_DIMENSIONS, source=HOURLY)
ROLLUPS = (HOURLY, SITE, OWNERS)

#: The buckets that are made of shorter ones, each after those.
LONGER = (*_longer(SITE), *_longer(OWNERS))

#: The second a row of `log_records` was created in.
second_of_row = records.c.id.op(">>")(literal_column(str(ids.SEQUENCE_BITS)))


def bucket_of(second: ColumnElement[int], seconds: int) -> ColumnElement[int]:
    """Return the start of the bucket that a second lies in."""
    # The span is written into the statement: PostgreSQL would not see that two parameters are the same.
    return cast(second - second % literal_column(str(seconds)), BigInteger)


def between(table: Table, low: Bound, high: Bound, span: int, *, mark: int = 0) -> list[ColumnElement[bool]]:
    """Return the conditions for the buckets of one span that begin from second `low` to before `high`."""
    where = [table.c.retained == mark, table.c.bucket >= low, table.c.bucket < high]
    return [table.c.span == span, *where] if "span" in table.c else where


def from_rows(rollup: Rollup, span: int, *, mark: int = 0) -> Select[*tuple[Any, ...]]:
    """Return the buckets of one span that rows of `log_records` make up; those with a mark count no rows."""
    sums = [_sum(measure(records, name), name, mark=mark) for name in MEASURES]
    return _summed(rollup, span, records, second_of_row, sums, mark=mark)


def from_shorter(
    rollup: Rollup, span: int, source: Rollup, *, sign: int = 1, mark: int = 0
) -> Select[*tuple[Any, ...]]:
    """Return the buckets of one span that shorter ones of a rollup make up, of its own or another's."""
    table = source.table
    sums = [_sum(table.c[name] * _number(sign), name, mark=mark) for name in MEASURES]
    return _summed(rollup, span, table, table.c.bucket, sums, mark=mark)


def _summed(
    rollup: Rollup,
    span: int,
    table: Table,
    second: ColumnElement[int],
    sums: list[ColumnElement[int]],
    *,
    mark: int,
) -> Select[*tuple[Any, ...]]:
    """Return sums by buckets, their columns and their order those of the rollup's table."""
    bucket = bucket_of(second, span).label("bucket")
    grouped = [bucket, *(table.c[name] for name in rollup.dimensions)]
    of_span = [_number(span).label("span")] if "span" in rollup.table.c else []
    keys = [*of_span, bucket, _number(mark).label("retained"), *grouped[1:]]
    return select(*keys, *sums).group_by(*grouped).order_by(*grouped)


def _sum(numbers: ColumnElement[int], name: str, *, mark: int) -> ColumnElement[int]:
    return _number(0).label(name) if mark and name == "rows" else dialects.total(numbers)


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value), BigInteger)


def add_selected(connection: Connection, rollup: Rollup, source: Select[*tuple[Any, ...]]) -> None:
    """Add sums that the database computes to the buckets of a rollup."""
    connection.execute(dialects.add_up(connection.dialect.name, rollup.table, source))


def remove(
    connection: Connection,
    table: Table,
    low: int,
    high: int,
    *where: ColumnElement[bool],
    span: int = 0,
    mark: int = 0,
) -> None:
    """Delete the buckets of one span that begin from second `low` to before `high`."""
    connection.execute(delete(table).where(*between(table, low, high, span, mark=mark), *where))
