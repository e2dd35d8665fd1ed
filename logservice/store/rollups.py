"""Usage buckets: sums by spans of time, kept equal to the rows by writing both in one transaction.

Goes up with every recorded row, down with every purged one. Keys are sorted before each upsert, for two
transactions that lock the same keys in different orders would deadlock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import add, itemgetter
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

from . import dialects, ids, retained
from .dialects import Dialect
from .log_types import REQUEST_TYPES
from .stats import measure
from .tables import DIMENSIONS, MEASURES, SITE_DIMENSIONS, hourly, records, site

#: The shortest bucket, and where usage kept from purged rows stands: the finest offset of any time zone.
QUARTER = 900


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table of buckets, the spans they have in seconds, shortest first, and what it tells apart."""

    table: Table
    spans: tuple[int, ...]
    dimensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hours:
    """Whole hours, from second `low` to before `high`, and what is in them of one type or of all."""

    low: int
    high: int
    log_type: int | None = None

    def of_type(self, table: Table) -> list[ColumnElement[bool]]:
        """Return what narrows a table of buckets to the type."""
        return [] if self.log_type is None else [table.c.type == self.log_type]


HOURLY = Rollup(hourly, (ids.HOUR,), DIMENSIONS)
#: Each span is four to seven of the one before, so that few buckets make up any range.
SITE = Rollup(site, (QUARTER, ids.HOUR, 6 * ids.HOUR, ids.DAY, ids.WEEK), SITE_DIMENSIONS)

#: A second, or a parameter that stands for one.
Bound = int | ColumnElement[int]

_SUMMED = MEASURES[2:]

# Sums by key. A key begins with the start of the bucket; sums are in the order of MEASURES.
Sums = dict[tuple[Any, ...], list[int]]
_dimensions = itemgetter(*DIMENSIONS)
_summed = itemgetter(*_SUMMED)
_TYPE = DIMENSIONS.index("type")
_QUARTER_IDS = ids.first_id(QUARTER)
_site_positions = itemgetter(0, *(1 + DIMENSIONS.index(name) for name in SITE_DIMENSIONS))

_site_names = [site.c[name] for name in SITE_DIMENSIONS]
_site_measures = [site.c[name] for name in MEASURES]

#: The second a row of `log_records` was created in.
second_of_row = records.c.id.op(">>")(literal_column(str(ids.SEQUENCE_BITS)))


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


def _of_site(sums: Sums) -> Sums:
    """Add up by the dimensions of the site."""
    return added_up((_site_positions(key), numbers) for key, numbers in sums.items())


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
    _add_to_site(connection, dialect, _of_site(sums), SITE.spans, mark=mark)


def _add_to_site(
    connection: Connection, dialect: Dialect, sums: Sums, spans: Sequence[int], *, mark: int = 0
) -> None:
    """Add the site's sums of a shorter span to the buckets of some spans, shortest first."""
    rows: list[tuple[Any, ...]] = []
    for span in spans:
        sums = _coarser(sums, span)
        rows += [(span, key[0], mark, *key[1:], *sums[key]) for key in sorted(sums)]
    dialect.add_up(connection, SITE.table, rows)


# -- in the database ---------------------------------------------------------------------------------------


def bucket_of(second: ColumnElement[int], seconds: int) -> ColumnElement[int]:
    """Return the start of the bucket that a second lies in."""
    # The span is written into the statement: PostgreSQL would not see that two parameters are the same.
    return cast(second - second % literal_column(str(seconds)), BigInteger)


def build(connection: Connection, low: int, high: int) -> None:
    """Build the buckets of the days from second `low` to before `high` anew from the rows.

    Of usage kept from purged rows, whose rows are gone, the longer buckets are built anew from the quarters.
    """
    rows = [records.c.id >= ids.first_id(low), records.c.id < ids.first_id(high)]
    _delete(connection, HOURLY.table, low, high)
    add_selected(connection, HOURLY.table, from_rows(HOURLY, ids.HOUR).where(*rows))
    _delete(connection, SITE.table, low, high, span=QUARTER)
    add_selected(connection, SITE.table, from_rows(SITE, QUARTER).where(*rows))
    for mark in (0, *retained.MARKS):
        _lengthen(connection, low, high, mark=mark)


def _lengthen(connection: Connection, low: int, high: int, *, mark: int) -> None:
    """Build the site's longer buckets around some days anew from its quarters."""
    for finer, span in pairwise(SITE.spans):
        first, end = low - low % span, -(-high // span) * span
        _delete(connection, SITE.table, first, end, span=span, mark=mark)
        parts = between(site, first, end, finer, mark=mark)
        add_selected(connection, SITE.table, from_site(finer, span, mark=mark).where(*parts))


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
        drop_hours(connection, dialect, hours)
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


def drop_hours(connection: Connection, dialect: Dialect, hours: Hours) -> None:
    """Take all rows of whole hours out of the buckets."""
    _drop_whole(connection, dialect, hours, whole=ids.HOUR)


def drop_days(connection: Connection, dialect: Dialect, low: int, high: int) -> None:
    """Take all rows of whole days, from second `low` to before `high`, out of the buckets."""
    _drop_whole(connection, dialect, Hours(low, high), whole=ids.DAY)


def _drop_whole(connection: Connection, dialect: Dialect, hours: Hours, *, whole: int) -> None:
    """Delete the buckets of up to `whole` seconds, and take what they held out of the longer ones."""
    low, high, of_type = hours.low, hours.high, hours.of_type(site)
    number = SITE.spans.index(whole) + 1
    shorter, longer = SITE.spans[:number], SITE.spans[number:]
    held = select(site.c.bucket, *_site_names, *_site_measures)
    gone = {
        tuple(row[: len(SITE_DIMENSIONS) + 1]): [-number for number in row[len(SITE_DIMENSIONS) + 1 :]]
        for row in connection.execute(held.where(*between(site, low, high, whole), *of_type))
    }
    _add_to_site(connection, dialect, gone, longer)
    for span in shorter:
        _delete(connection, site, low, high, *of_type, span=span)
    _delete(connection, HOURLY.table, low, high, *hours.of_type(hourly))
    _drop_empty(connection, SITE.table, longer, low, high)


def drop_empty(connection: Connection, low: int, high: int) -> None:
    """Delete the buckets from second `low` to before `high` in which no row is left."""
    for rollup in (HOURLY, SITE):
        _drop_empty(connection, rollup.table, rollup.spans, low, high)


def _drop_empty(connection: Connection, table: Table, spans: Sequence[int], low: int, high: int) -> None:
    for span in spans:
        where = between(table, low - low % span, high, span)
        connection.execute(delete(table).where(*where, table.c.rows <= 0))


def days(connection: Connection) -> list[int]:
    """Return the starts of all days that have rows, buckets or kept usage, oldest first.

    A week whose buckets belong to no such day is named by its first day.
    """
    found = {*_bucket_days(connection, hourly), *_bucket_days(connection, site, site.c.span <= ids.DAY)}
    following = 0
    while (row_id := _first_row(connection, following)) is not None:
        second = ids.second_of(row_id)
        found.add(second - second % ids.DAY)
        following = second - second % ids.DAY + ids.DAY
    weeks = _bucket_days(connection, site, site.c.span == ids.WEEK)
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


def between(table: Table, low: Bound, high: Bound, span: int, *, mark: int = 0) -> list[ColumnElement[bool]]:
    """Return the conditions for the buckets of one span that begin from second `low` to before `high`."""
    where = [table.c.retained == mark, table.c.bucket >= low, table.c.bucket < high]
    return [table.c.span == span, *where] if "span" in table.c else where


def _delete(
    connection: Connection,
    table: Table,
    low: int,
    high: int,
    *where: ColumnElement[bool],
    span: int = 0,
    mark: int = 0,
) -> None:
    connection.execute(delete(table).where(*between(table, low, high, span, mark=mark), *where))


def from_rows(rollup: Rollup, span: int, *, mark: int = 0) -> Select[*tuple[Any, ...]]:
    """Return the buckets of one span that rows of `log_records` make up; those with a mark count no rows."""
    bucket = bucket_of(second_of_row, span).label("bucket")
    names = [records.c[name] for name in rollup.dimensions]
    sums = [_sum(measure(records, name), name, mark=mark) for name in MEASURES]
    grouped = [bucket, *names]
    of_span = [_number(span).label("span")] if rollup is SITE else []
    keys = [*of_span, bucket, _number(mark).label("retained"), *names]
    return select(*keys, *sums).group_by(*grouped).order_by(*grouped)


def from_site(finer: int, span: int, *, sign: int = 1, mark: int = 0) -> Select[*tuple[Any, ...]]:
    """Return the buckets of one span that the site's buckets of a shorter one make up."""
    names = _site_names
    bucket = bucket_of(site.c.bucket, span).label("bucket")
    sums = [_sum(site.c[name] * _number(sign), name, mark=mark) for name in MEASURES]
    grouped = [bucket, *names]
    keys = [_number(span).label("span"), bucket, _number(mark).label("retained"), *names]
    return select(*keys, *sums).group_by(*grouped).order_by(*grouped)


def _sum(numbers: ColumnElement[int], name: str, *, mark: int) -> ColumnElement[int]:
    return _number(0).label(name) if mark and name == "rows" else dialects.total(numbers)


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value), BigInteger)


def add_selected(connection: Connection, table: Table, source: Select[*tuple[Any, ...]]) -> None:
    connection.execute(dialects.add_up(connection.dialect.name, table, source))
