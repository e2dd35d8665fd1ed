"""Pages of rows, newest first: the buckets say where a page lies, so only that is read.

Counts go from coarse to fine: the rows of weeks, days and what is left at the edges, then of the days of the
one week the page touches, and so on down to quarter hours, then the rows themselves. Page 1 and page 100,000
cost about the same, and the total is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Select,
    bindparam,
    cast,
    false,
    literal_column,
    select,
    union_all,
)

from . import dialects, ids, stats, sums
from .buckets import HOURLY, bucket_of, second_of_row
from .contents import content_of_row
from .ids import IdRange
from .prepared import Reader, prepared
from .queries import RAW, Part, Query, Rung, Shape, bounds, parts, with_open_end
from .tables import records

Rows = list[dict[str, Any]]

#: More than any log holds, and less than what overflows 64 bits.
MOST_ROWS = 2**53
# So many rows are passed over in no time.
_FEW_ROWS = 500
# More rows are not made into one value: with the longest texts of control characters these are 786 MB, and
# one of SQLite has at most 1,000,000,000 bytes.
_MOST_PACKED = 1_000
# Ranges read in one statement.
_MOST_RANGES = 16

#: What can be asked of a row: the columns, and what is derived from them.
FIELDS: dict[str, Any] = {
    **{column.name: column for column in records.c if column.name != "content_id"},
    "created_at": cast(second_of_row, BigInteger),
    "use_time": records.c.use_time_ms // literal_column("1000", BigInteger),
    "channel": records.c.channel_id,
    "content": content_of_row,
}


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one page, newest first, and how many rows there are in all."""

    rows: Rows
    total: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """The rows next to an id: older than `before`, newer than `after`; both make a window."""

    before: int | None = None
    after: int | None = None

    def __bool__(self) -> bool:
        return self.before is not None or self.after is not None


@dataclass(frozen=True, slots=True)
class Span:
    """Ids from `low` to below `high`, how many rows lie there, and the seconds of the bucket, 0 for none."""

    low: int
    high: int
    rows: int
    seconds: int


def columns(fields: Sequence[str]) -> list[Any]:
    """Return the columns for fields of a row, by name."""
    return [FIELDS[name].label(name) for name in fields]


def page(connection: Reader, query: Query, *, fields: Sequence[str], offset: int, limit: int) -> Page:
    """Return `limit` rows after the newest `offset`, and the exact total."""
    query = with_open_end(connection, query)
    spans = _coarse(connection, query)
    total = sum(span.rows for span in spans)
    return Page(_at(connection, query, spans, fields=fields, offset=offset, limit=limit), total)


def beside(connection: Reader, query: Query, cursor: Cursor, *, fields: Sequence[str], limit: int) -> Page:
    """Return the rows next to a cursor, newest first, and the total without regard to it."""
    total = sums.count(connection, query)
    after = None if cursor.after is None else cursor.after + 1
    window = replace(query, range=query.range.cut(after, cursor.before))
    spans = _coarse(connection, window)
    inside = sum(span.rows for span in spans)
    offset = 0 if cursor.before is not None else max(0, inside - limit)
    return Page(_at(connection, window, spans, fields=fields, offset=offset, limit=limit), total)


def newest(connection: Reader, query: Query, *, fields: Sequence[str], limit: int, offset: int = 0) -> Rows:
    """Return the newest rows of a query whose scope has an index of its own, without counting."""
    if offset > MOST_ROWS:
        return []
    return _read(connection, query, [query.range], fields=fields, offset=offset, limit=limit)


def newest_in(
    connection: Reader, query: Query, ranges: Sequence[IdRange], *, fields: Sequence[str], limit: int
) -> Rows:
    """Return the newest rows of some ranges, which come newest first, without counting."""
    return _read(connection, query, joined(ranges), fields=fields, offset=0, limit=limit)


def _at(
    connection: Reader,
    query: Query,
    spans: list[Span],
    *,
    fields: Sequence[str],
    offset: int,
    limit: int,
) -> Rows:
    if offset >= sum(span.rows for span in spans):
        return []
    spans, offset = touched(spans, offset, limit)
    for finer in _rungs(query)[1:]:
        if not query.filters and offset + limit <= _FEW_ROWS:
            # Every row there is one of the query: passing over some costs less than counting on.
            break
        spans, offset = touched(_refined(connection, query, spans, finer), offset, limit)
    held = sum(span.rows for span in spans)
    ranges = joined(spans)
    if len(ranges) == 1 and offset > held // 2:
        # The page lies in the older half: count from that end.
        limit = min(limit, held - offset)
        skipped = held - offset - limit
        return _read(connection, query, ranges, fields=fields, offset=skipped, limit=limit, oldest=True)[::-1]
    return _read(connection, query, ranges, fields=fields, offset=offset, limit=limit)


def touched(spans: Iterable[Span], offset: int, limit: int) -> tuple[list[Span], int]:
    """Return the spans, newest first, that hold the rows from `offset` on, and the offset in the first."""
    found: list[Span] = []
    wanted = offset + limit
    for span in spans:
        if offset >= span.rows and not found:
            offset -= span.rows
            wanted -= span.rows
        elif wanted > 0:
            found.append(span)
            wanted -= span.rows
        if wanted <= 0:
            break
    return found, offset


def _rungs(query: Query) -> Sequence[Rung]:
    """Return the spans to count by, longest first; hourly buckets are added up by day first."""
    if query.ladder and query.ladder[0].table is HOURLY.table:
        return (Rung(HOURLY.table, ids.DAY), *query.ladder)
    return query.ladder


def _coarse(connection: Reader, query: Query) -> list[Span]:
    """Count the rows of a query by the longest buckets there are, newest first; a raw edge is one span."""
    return counted(connection, query, parts(query.range, _rungs(query)))


def _refined(connection: Reader, query: Query, spans: list[Span], finer: Rung) -> list[Span]:
    """Count the rows of those spans that are longer than a finer bucket by that, newest first."""
    as_they_are = [span for span in spans if span.seconds <= finer.seconds]
    longer = joined(span for span in spans if span.seconds > finer.seconds)
    found = counted(connection, query, [Part(finer, span.low, span.high) for span in longer])
    return sorted([*as_they_are, *found], key=lambda span: -span.low)


def counted(connection: Reader, query: Query, cut: Sequence[Part]) -> list[Span]:
    """Count the rows of each part by its buckets, newest first; raw rows as one span."""
    if not cut:
        return []
    values = query.values | bounds(cut)
    found = _counts(connection, values, query.shape, tuple(part.rung for part in cut))
    spans = [_span(cut[place], start, rows) for place, start, rows in found if rows]
    return sorted(spans, key=lambda span: -span.low)


@prepared
def _counts(shape: Shape, rungs: tuple[Rung, ...]) -> Executable:
    selects = [_counts_of(shape, rung, place) for place, rung in enumerate(rungs)]
    return dialects.packed(selects[0] if len(selects) == 1 else union_all(*selects))


def _counts_of(shape: Shape, rung: Rung, place: int) -> Select[*tuple[Any, ...]]:
    """Select (place of the part, start of the bucket, rows)."""
    table = rung.table
    rows = dialects.total(stats.measure(table, "rows"))
    where = shape.inside(rung, str(place))
    which: ColumnElement[int] = literal_column(str(place)).label("part")
    if rung is RAW:
        return select(which, literal_column("0").label("start"), rows).where(*where)
    start = bucket_of(table.c.bucket, rung.seconds)
    return select(which, start.label("start"), rows).where(*where).group_by(start)


def _span(part: Part, start: int, rows: int) -> Span:
    seconds = part.rung.seconds
    if not seconds:
        return Span(part.low, part.high, rows, seconds)
    low, high = ids.first_id(start), ids.first_id(start + seconds)
    return Span(max(low, part.low), min(high, part.high), rows, seconds)


def joined(spans: Iterable[Span | IdRange]) -> list[IdRange]:
    """Join spans that touch, newest first; where too many are left, the older ones all the same.

    Between spans lies no row of the query, so that only costs time: less than a statement of many parts.
    """
    found: list[IdRange] = []
    for span in spans:
        if found and (span.high == found[-1].low or len(found) == _MOST_RANGES):
            found[-1] = IdRange(span.low, found[-1].high)
        else:
            found.append(IdRange(span.low, span.high))
    return found


def _read(
    connection: Reader,
    query: Query,
    ranges: Sequence[IdRange],
    *,
    fields: Sequence[str],
    offset: int,
    limit: int,
    oldest: bool = False,
) -> Rows:
    """Read rows of some ranges, newest first unless `oldest`."""
    cut = [Part(RAW, span.low, span.high) for span in ranges]
    values = query.values | bounds(cut) | {"limit": limit, "offset": offset}
    read = _rows if limit > _MOST_PACKED else _packed_rows
    return as_rows(fields, read(connection, values, query.shape, tuple(fields), len(cut), oldest))


@prepared
def _packed_rows(shape: Shape, fields: tuple[str, ...], ranges: int, oldest: bool) -> Executable:
    return dialects.packed(_select(shape, fields, ranges, oldest))


@prepared
def _rows(shape: Shape, fields: tuple[str, ...], ranges: int, oldest: bool) -> Executable:
    return _select(shape, fields, ranges, oldest)


def _select(shape: Shape, fields: tuple[str, ...], ranges: int, oldest: bool) -> Select[Any]:
    """Select the ids first, so that the rest is read of the rows of the page only."""
    wheres = [where for place in range(ranges) for where in shape.each(str(place))]
    if not wheres:
        return select(*columns(fields)).where(false())
    if len(wheres) == 1:
        found = _in_order(select(records.c.id).where(*wheres[0]), shape, oldest)
    else:
        # Of each part no more is read than the page can need.
        most: ColumnElement[int] = bindparam("limit", type_=BigInteger) + bindparam(
            "offset", type_=BigInteger
        )
        parts = (_in_order(select(records.c.id).where(*where), shape, oldest).limit(most) for where in wheres)
        every = union_all(*(select(part.subquery().c.id) for part in parts)).subquery().c.id
        found = select(every).order_by(every.asc() if oldest else every.desc())
    found = found.limit(bindparam("limit")).offset(bindparam("offset")).correlate(None)
    order = records.c.id.asc() if oldest else records.c.id.desc()
    return select(*columns(fields)).where(records.c.id.in_(found)).order_by(order)


def _in_order(found: Select[Any], shape: Shape, oldest: bool) -> Select[Any]:
    if oldest:
        return found.order_by(records.c.id)
    along = dialects.newest_along_index(records.c.id) if shape.has_index else records.c.id.desc()
    return found.order_by(along)


def as_rows(fields: Sequence[str], found: Iterable[Sequence[Any]]) -> Rows:
    """Return what was selected by `columns` as rows by field name."""
    rows = [dict(zip(fields, row, strict=True)) for row in found]
    if "is_stream" in fields:
        for row in rows:
            row["is_stream"] = bool(row["is_stream"])
    return rows
