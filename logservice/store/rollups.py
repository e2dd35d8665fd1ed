"""Usage buckets: sums by hour and by day, kept equal to the rows by writing both in one transaction.

Goes up with every recorded row, down with every purged one. Keys are sorted before each upsert, for two
transactions that lock the same keys in different orders would deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
)

from . import dialects, ids
from .log_types import REQUEST_TYPES
from .stats import measure
from .tables import DIMENSIONS, MEASURES, SITE_DIMENSIONS, daily, hourly, records

#: Usage kept from purged rows stands at these seconds, the finest offset of any time zone.
QUARTER = 900


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table of buckets, the seconds one bucket spans, and what it tells apart."""

    table: Table
    seconds: int
    dimensions: tuple[str, ...]


HOURLY = Rollup(hourly, ids.HOUR, DIMENSIONS)
DAILY = Rollup(daily, ids.DAY, SITE_DIMENSIONS)
ROLLUPS = (HOURLY, DAILY)

_SUMMED = MEASURES[2:]
#: The second a row of `log_records` was created in.
second_of_row = records.c.id.op(">>")(literal_column(str(ids.SEQUENCE_BITS)))


def add_rows(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add new rows of `log_records`, ids assigned, to both bucket tables."""
    fine = _grouped(rows)
    _add(connection, HOURLY, fine)
    _add(connection, DAILY, _coarser(fine))


_Sums = dict[tuple[Any, ...], list[int]]
_hourly_key = itemgetter(*DIMENSIONS)
_summed = itemgetter(*_SUMMED)
_site_positions = itemgetter(*(2 + DIMENSIONS.index(name) for name in SITE_DIMENSIONS))


def _grouped(rows: Iterable[Mapping[str, Any]]) -> _Sums:
    sums: _Sums = {}
    for row in rows:
        second = ids.second_of(row["id"])
        key = (second - second % ids.HOUR, 0, *_hourly_key(row))
        values = (1, int(row["type"] in REQUEST_TYPES), *_summed(row))
        _accumulate(sums, key, values)
    return sums


def _coarser(fine: _Sums) -> _Sums:
    sums: _Sums = {}
    for key, values in fine.items():
        _accumulate(sums, (key[0] - key[0] % ids.DAY, key[1], *_site_positions(key)), values)
    return sums


def _accumulate(sums: _Sums, key: tuple[Any, ...], values: Iterable[int]) -> None:
    known = sums.get(key)
    sums[key] = list(values) if known is None else [a + b for a, b in zip(known, values, strict=True)]


def _add(connection: Connection, rollup: Rollup, sums: _Sums) -> None:
    names = ("bucket", "retained", *rollup.dimensions, *MEASURES)
    rows = [dict(zip(names, (*key, *sums[key]), strict=True)) for key in sorted(sums)]
    if rows:
        connection.execute(dialects.add_up(connection.dialect.name, rollup.table, MEASURES), rows)


def _from_rows(
    rollup: Rollup, where: list[ColumnElement[bool]], *, sign: int = 1, kept: bool = False
) -> Select[*tuple[Any, ...]]:
    """Return the buckets that some rows of `log_records` make up; `kept` as usage without rows."""
    span = QUARTER if kept and rollup is HOURLY else rollup.seconds
    keys = [
        _bucket_of(second_of_row, span).label("bucket"),
        literal(int(kept), BigInteger).label("retained"),
        *(records.c[name] for name in rollup.dimensions),
    ]
    sums = [
        (literal(0, BigInteger) if kept and name == "rows" else dialects.total(measure(records, name) * sign))
        for name in MEASURES
    ]
    grouped = [keys[0], *keys[2:]]
    return select(*keys, *sums).where(*where).group_by(*grouped).order_by(*grouped)


def _bucket_of(second: ColumnElement[int], seconds: int) -> ColumnElement[int]:
    # The span is written into the statement: PostgreSQL would not see that two parameters are the same.
    return cast(second - second % literal_column(str(seconds)), BigInteger)


def subtract_rows(connection: Connection, where: list[ColumnElement[bool]], *, keep_usage: bool) -> None:
    """Take rows that are about to be deleted out of the buckets; `keep_usage` moves their sums aside."""
    for rollup in ROLLUPS:
        _add_selected(connection, rollup, _from_rows(rollup, where, sign=-1))
        if keep_usage:
            _add_selected(connection, rollup, _from_rows(rollup, where, kept=True))


def build(connection: Connection, low: int, high: int) -> None:
    """Build the buckets of the days from second `low` to before `high` anew from the rows."""
    in_range = [records.c.id >= ids.first_id(low), records.c.id < ids.first_id(high)]
    for rollup in ROLLUPS:
        table = rollup.table
        connection.execute(
            delete(table).where(table.c.retained == 0, table.c.bucket >= low, table.c.bucket < high)
        )
        _add_selected(connection, rollup, _from_rows(rollup, in_range))


def drop_empty(connection: Connection, low: int, high: int) -> None:
    """Delete the buckets from second `low` to before `high` in which no row is left."""
    for rollup in ROLLUPS:
        table, first = rollup.table, low - low % rollup.seconds
        connection.execute(
            delete(table).where(
                table.c.bucket >= first, table.c.bucket < high, table.c.retained == 0, table.c.rows <= 0
            )
        )


def drop_kept(connection: Connection, before: int, *, log_type: int | None) -> None:
    """Delete the usage kept from earlier purges, up to the last whole quarter hour before a second."""
    table = HOURLY.table
    where = [table.c.retained == 1, table.c.bucket < before - before % QUARTER]
    if log_type is not None:
        where.append(table.c.type == log_type)
    day = _bucket_of(table.c.bucket, ids.DAY).label("bucket")
    keys = [day, table.c.retained, *(table.c[name] for name in SITE_DIMENSIONS)]
    sums = [dialects.total(-table.c[name]) for name in MEASURES]
    grouped = [day, *keys[1:]]
    _add_selected(connection, DAILY, select(*keys, *sums).where(*where).group_by(*grouped).order_by(*grouped))
    connection.execute(delete(table).where(*where))
    _drop_spent(connection, before)


def _drop_spent(connection: Connection, before: int) -> None:
    table = DAILY.table
    spent = [table.c[name] == 0 for name in MEASURES]
    connection.execute(delete(table).where(table.c.retained == 1, table.c.bucket < before, *spent))


def _add_selected(connection: Connection, rollup: Rollup, source: Select[*tuple[Any, ...]]) -> None:
    connection.execute(dialects.add_up(connection.dialect.name, rollup.table, MEASURES, source))


def days(connection: Connection) -> list[int]:
    """Return the starts of all days that have rows or buckets, oldest first."""
    found: set[int] = set()
    for rollup in ROLLUPS:
        day = _bucket_of(rollup.table.c.bucket, ids.DAY)
        found.update(connection.scalars(select(day).where(rollup.table.c.retained == 0).distinct()))
    following = 0
    while (row_id := _first_row(connection, following)) is not None:
        second = ids.second_of(row_id)
        found.add(second - second % ids.DAY)
        following = second - second % ids.DAY + ids.DAY
    return sorted(found)


def _first_row(connection: Connection, second: int) -> int | None:
    following = records.c.id >= ids.first_id(second)
    first: int | None = connection.scalar(select(func.min(records.c.id)).where(following))
    return first
