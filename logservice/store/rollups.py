"""Usage buckets: sums by spans of time, kept equal to the rows by writing both in one transaction.

Goes up with every recorded row, down with every purged one. Keys are sorted before each upsert, for two
transactions that lock the same keys in different orders would deadlock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import add, itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, select

from . import ids, retained
from .buckets import (
    HOURLY,
    LONGER,
    OWNERS,
    QUARTER,
    ROLLUPS,
    SITE,
    Longer,
    Rollup,
    add_selected,
    between,
    bucket_of,
    from_rows,
    from_shorter,
    remove,
)
from .dialects import Dialect
from .log_types import REQUEST_TYPES
from .tables import DIMENSIONS, MEASURES, hourly, owners, records, site


@dataclass(frozen=True, slots=True)
class Hours:
    """Whole hours, from second `low` to before `high`, and what is in them of one type or of all."""

    low: int
    high: int
    log_type: int | None = None

    def of_type(self, table: Table) -> list[ColumnElement[bool]]:
        """Return what narrows a table of buckets to the type."""
        return [] if self.log_type is None else [table.c.type == self.log_type]


_SUMMED = MEASURES[2:]

# Sums by key. A key begins with the start of the bucket; sums are in the order of MEASURES.
Sums = dict[tuple[Any, ...], list[int]]
_dimensions = itemgetter(*DIMENSIONS)
_summed = itemgetter(*_SUMMED)
_TYPE = DIMENSIONS.index("type")
_QUARTER_IDS = ids.first_id(QUARTER)
# What is left of a key by all dimensions.
_fewer_dimensions = {
    rollup.table: itemgetter(0, *(1 + DIMENSIONS.index(name) for name in rollup.dimensions))
    for rollup in (SITE, OWNERS)
}


# -- with rows in hand -------------------------------------------------------------------------------------


def add_rows(connection: Connection, dialect: Dialect, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add new rows of `log_records`, ids assigned, to all buckets."""
    add_sums(connection, dialect, by_quarter(rows))


def by_quarter(rows: Iterable[Mapping[str, Any]]) -> Sums:
    """Add rows up by quarter and dimensions; most rows of a batch go into few sums."""
    gathered: dict[tuple[Any, ...], list[tuple[int, ...]]] = defaultdict(list)
    for row in rows:
        gathered[row["id"] // _QUARTER_IDS, _dimensions(row)].append(_summed(row))
    return {
        (quarter * QUARTER, *names): [
            len(alike),
            len(alike) if names[_TYPE] in REQUEST_TYPES else 0,
            *map(sum, zip(*alike, strict=True)),
        ]
        for (quarter, names), alike in gathered.items()
    }


def _coarser(sums: Sums, span: int) -> Sums:
    """Add up by longer spans, of which those of the sums are parts."""
    return added_up(((key[0] - key[0] % span, *key[1:]), numbers) for key, numbers in sums.items())


def _of(rollup: Rollup, sums: Sums) -> Sums:
    """Add up by the dimensions of a rollup."""
    fewer = _fewer_dimensions[rollup.table]
    return added_up((fewer(key), numbers) for key, numbers in sums.items())


def added_up(parts: Iterable[tuple[tuple[Any, ...], list[int]]]) -> Sums:
    """Add up sums that have the same key."""
    found: Sums = {}
    for key, numbers in parts:
        known = found.get(key)
        found[key] = numbers if known is None else [*map(add, known, numbers)]
    return found


def add_sums(connection: Connection, dialect: Dialect, sums: Sums, *, mark: int = 0) -> None:
    """Add sums by quarters to the buckets of every span; usage without rows, of a mark, stays at quarters."""
    by_hour = sums if mark else _coarser(sums, ids.HOUR)
    fine = [(key[0], mark, *key[1:], *by_hour[key]) for key in sorted(by_hour)]
    dialect.add_up(connection, HOURLY.table, fine)
    _add_spans(connection, dialect, SITE, _of(SITE, sums), mark=mark)
    _add_spans(connection, dialect, OWNERS, _of(OWNERS, by_hour), mark=mark)


def _add_spans(connection: Connection, dialect: Dialect, rollup: Rollup, sums: Sums, *, mark: int) -> None:
    """Add sums of short spans to the buckets of every span of a rollup, shortest first."""
    rows: list[tuple[Any, ...]] = []
    for span in rollup.spans:
        sums = _coarser(sums, span)
        rows += [(span, key[0], mark, *key[1:], *sums[key]) for key in sorted(sums)]
    dialect.add_up(connection, rollup.table, rows)


# -- in the database ---------------------------------------------------------------------------------------


def build(connection: Connection, low: int, high: int) -> None:
    """Build the buckets of the days from second `low` to before `high` anew from the rows.

    Of usage kept from purged rows, whose rows are gone, the longer buckets are built anew from the quarters.
    """
    rows = [records.c.id >= ids.first_id(low), records.c.id < ids.first_id(high)]
    for rollup in (HOURLY, SITE):
        shortest = rollup.spans[0]
        remove(connection, rollup.table, low, high, span=shortest)
        add_selected(connection, rollup, from_rows(rollup, shortest).where(*rows))
    for mark in (0, *retained.MARKS):
        for longer in LONGER:
            _lengthen(connection, longer, low, high, mark=mark)


def _lengthen(connection: Connection, longer: Longer, low: int, high: int, *, mark: int) -> None:
    """Build the longer buckets around some days anew from the shorter ones that they are sums of."""
    rollup, span, source = longer.rollup, longer.span, longer.source
    first, end = low - low % span, -(-high // span) * span
    remove(connection, rollup.table, first, end, span=span, mark=mark)
    parts = between(source.table, first, end, longer.finer, mark=mark)
    add_selected(connection, rollup, from_shorter(rollup, span, source, mark=mark).where(*parts))


def subtract(
    connection: Connection,
    dialect: Dialect,
    gone: Sequence[ColumnElement[bool]],
    values: Mapping[str, Any],
    *,
    mark: int | None = None,
    hours: Hours | None = None,
) -> None:
    """Take rows that are being deleted, those that meet all conditions, out of the buckets.

    With a mark of `retained` their sums are moved to buckets of that mark, and the rows written down. Where
    they are all that is in some `hours`, what goes need not be counted.
    """
    sums = quarters(connection, gone, values) if mark is not None or hours is None else {}
    if hours is None:
        add_sums(connection, dialect, {key: [-number for number in numbers] for key, numbers in sums.items()})
    else:
        drop_hours(connection, hours)
    if mark is not None:
        add_sums(connection, dialect, without_rows(sums), mark=mark)
        retained.remember(connection, gone, values, mark=mark)


def without_rows(sums: Sums, *, sign: int = 1) -> Sums:
    """Return sums as they stand once the rows are gone."""
    return {key: [0, *(sign * number for number in numbers[1:])] for key, numbers in sums.items()}


def quarters(connection: Connection, where: Sequence[ColumnElement[bool]], values: Mapping[str, Any]) -> Sums:
    """Have rows added up by quarter and dimensions."""
    found: Sums = {}
    for row in connection.execute(from_rows(HOURLY, QUARTER).where(*where), values):
        bucket, _retained, *rest = row
        found[bucket, *rest[: len(DIMENSIONS)]] = rest[len(DIMENSIONS) :]
    return found


def drop_hours(connection: Connection, hours: Hours) -> None:
    """Take all rows of whole hours out of the buckets."""
    _drop_whole(connection, hours, whole=ids.HOUR)


def drop_days(connection: Connection, low: int, high: int) -> None:
    """Take all rows of whole days, from second `low` to before `high`, out of the buckets."""
    _drop_whole(connection, Hours(low, high), whole=ids.DAY)


def _drop_whole(connection: Connection, hours: Hours, *, whole: int) -> None:
    """Delete the buckets of up to `whole` seconds, and take what they held out of the longer ones."""
    # What is taken out of longer buckets is summed from shorter ones, so these go last.
    for rollup in ROLLUPS:
        _take_out_of_longer(connection, rollup, hours, whole=whole)
    for rollup in ROLLUPS:
        for span in (span for span in rollup.spans if span <= whole):
            of_type = hours.of_type(rollup.table)
            remove(connection, rollup.table, hours.low, hours.high, *of_type, span=span)


def _take_out_of_longer(connection: Connection, rollup: Rollup, hours: Hours, *, whole: int) -> None:
    longer = [span for span in rollup.spans if span > whole]
    held, span = _longest_within(rollup, whole)
    gone = [*between(held.table, hours.low, hours.high, span), *hours.of_type(held.table)]
    for one in longer:
        add_selected(connection, rollup, from_shorter(rollup, one, held, sign=-1).where(*gone))
    _drop_empty(connection, rollup.table, longer, hours.low, hours.high)


def _longest_within(rollup: Rollup, whole: int) -> tuple[Rollup, int]:
    """Return the longest buckets of up to `whole` seconds that hold what those of a rollup do."""
    within = [span for span in rollup.spans if span <= whole]
    if not within and rollup.source is not None:
        return _longest_within(rollup.source, whole)
    return rollup, within[-1]


def drop_empty(connection: Connection, low: int, high: int) -> None:
    """Delete the buckets from second `low` to before `high` in which no row is left."""
    for rollup in ROLLUPS:
        _drop_empty(connection, rollup.table, rollup.spans, low, high)


def _drop_empty(connection: Connection, table: Table, spans: Sequence[int], low: int, high: int) -> None:
    for span in spans:
        where = between(table, low - low % span, high, span)
        connection.execute(delete(table).where(*where, table.c.rows <= 0))


def days(connection: Connection) -> list[int]:
    """Return the starts of all days that have rows, buckets or kept usage, oldest first.

    A week whose buckets belong to no such day is named by its first day.
    """
    found = _bucket_days(connection, hourly)
    for table in (site, owners):
        found |= _bucket_days(connection, table, table.c.span <= ids.DAY)
    following = 0
    while (row_id := _first_row(connection, following)) is not None:
        second = ids.second_of(row_id)
        found.add(second - second % ids.DAY)
        following = second - second % ids.DAY + ids.DAY
    weeks = {
        week for table in (site, owners) for week in _bucket_days(connection, table, table.c.span == ids.WEEK)
    }
    return sorted(found | (weeks - {day - day % ids.WEEK for day in found}))


def _bucket_days(connection: Connection, table: Table, *where: ColumnElement[bool]) -> set[int]:
    day = bucket_of(table.c.bucket, ids.DAY)
    return set(connection.scalars(select(day).where(*where).distinct()))


def _first_row(connection: Connection, second: int) -> int | None:
    following = records.c.id >= ids.first_id(second)
    first: int | None = connection.scalar(
        select(records.c.id).where(following).order_by(records.c.id).limit(1)
    )
    return first
