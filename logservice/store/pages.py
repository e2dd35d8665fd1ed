"""Pages of rows, newest first: the buckets say in which hours a page lies, so only those are read.

Counts go from coarse to fine: days (or the raw edges of the range), then the hours of the days the page
touches, then the rows of those hours. Page 1 and page 100,000 cost about the same, and the total is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, cast, literal_column, select, union_all

from . import dialects, ids, stats, sums
from .ids import IdRange
from .rollups import second_of_row
from .sums import Part, Query
from .tables import hourly, records

Rows = list[dict[str, Any]]

# More than any log holds, and less than what overflows 64 bits.
_MOST_ROWS = 2**53

#: What can be asked of a row: the columns, and what is derived from them.
FIELDS: dict[str, Any] = {
    **{column.name: column for column in records.c},
    "created_at": cast(second_of_row, BigInteger),
    "use_time": records.c.use_time_ms // literal_column("1000", BigInteger),
    "channel": records.c.channel_id,
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
class _Span:
    """Ids from `low` to below `high`, the rows of the query there, and whether buckets tell their hours."""

    low: int
    high: int
    rows: int
    in_hours: bool


def columns(fields: Sequence[str]) -> list[Any]:
    """Return the columns for fields of a row, by name."""
    return [FIELDS[name].label(name) for name in fields]


def page(connection: Connection, query: Query, *, fields: Sequence[str], offset: int, limit: int) -> Page:
    """Return `limit` rows after the newest `offset`, and the exact total."""
    spans = _coarse(connection, query)
    total = sum(span.rows for span in spans)
    return Page(_at(connection, query, spans, fields=fields, offset=offset, limit=limit), total)


def beside(
    connection: Connection, query: Query, cursor: Cursor, *, fields: Sequence[str], limit: int
) -> Page:
    """Return the rows next to a cursor, newest first, and the total without regard to it."""
    total = sums.count(connection, query)
    after = None if cursor.after is None else cursor.after + 1
    window = Query(query.scope, query.filters, query.range.cut(after, cursor.before))
    spans = _coarse(connection, window)
    inside = sum(span.rows for span in spans)
    offset = 0 if cursor.before is not None else max(0, inside - limit)
    return Page(_at(connection, window, spans, fields=fields, offset=offset, limit=limit), total)


def newest(
    connection: Connection, query: Query, *, fields: Sequence[str], limit: int, offset: int = 0
) -> Rows:
    """Return the newest rows of a query whose scope has an index of its own, without counting."""
    if offset > _MOST_ROWS:
        return []
    return _read(connection, query, [query.range], fields=fields, offset=offset, limit=limit)


def _at(
    connection: Connection,
    query: Query,
    spans: list[_Span],
    *,
    fields: Sequence[str],
    offset: int,
    limit: int,
) -> Rows:
    total = sum(span.rows for span in spans)
    if offset >= total:
        return []
    spans, offset = _touched(spans, offset, limit)
    if any(span.in_hours for span in spans):
        spans, offset = _touched(_fine(connection, query, spans), offset, limit)
    held = sum(span.rows for span in spans)
    ranges = _joined(spans)
    if len(ranges) == 1 and offset > held // 2:
        # The page lies in the older half: count from that end.
        limit = min(limit, held - offset)
        skipped = held - offset - limit
        return _read(connection, query, ranges, fields=fields, offset=skipped, limit=limit, oldest=True)[::-1]
    return _read(connection, query, ranges, fields=fields, offset=offset, limit=limit)


def _touched(spans: Iterable[_Span], offset: int, limit: int) -> tuple[list[_Span], int]:
    """Return the spans, newest first, that hold the rows from `offset` on, and the offset in the first."""
    found: list[_Span] = []
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


def _coarse(connection: Connection, query: Query) -> list[_Span]:
    """Count the rows of a query by day, newest first; a raw edge counts as one span."""
    return _counted(connection, query, sums.parts(query), ids.DAY)


def _fine(connection: Connection, query: Query, spans: list[_Span]) -> list[_Span]:
    """Count the rows of some days by hour, newest first; other spans stay as they are."""
    as_they_are = [span for span in spans if not span.in_hours]
    days = _joined(span for span in spans if span.in_hours)
    hours = _counted(connection, query, [Part(hourly, day.low, day.high) for day in days], ids.HOUR)
    return sorted([*as_they_are, *hours], key=lambda span: -span.low)


def _counted(connection: Connection, query: Query, parts: Sequence[Part], seconds: int) -> list[_Span]:
    """Count the rows of each part by steps of `seconds`, newest first; raw rows as one span."""
    if not parts:
        return []
    selects = [_counts(query, part, seconds, position) for position, part in enumerate(parts)]
    found = connection.execute(selects[0] if len(selects) == 1 else union_all(*selects))
    spans = [_span(parts[position], start, rows, seconds) for position, start, rows in found if rows]
    return sorted(spans, key=lambda span: -span.low)


def _counts(query: Query, part: Part, seconds: int, position: int) -> Select[*tuple[Any, ...]]:
    """Select (position of the part, start of the step, rows)."""
    table = part.table
    rows = dialects.total(stats.measure(table, "rows"))
    where = [*query.conditions(table), *part.inside()]
    which: ColumnElement[int] = literal_column(str(position)).label("part")
    if table is records:
        return select(which, literal_column("0").label("start"), rows).where(*where)
    step = table.c.bucket - table.c.bucket % literal_column(str(seconds))
    return select(which, step.label("start"), rows).where(*where).group_by(step)


def _span(part: Part, start: int, rows: int, seconds: int) -> _Span:
    if part.table is records:
        return _Span(part.low, part.high, rows, in_hours=False)
    low, high = ids.first_id(start), ids.first_id(start + seconds)
    return _Span(max(low, part.low), min(high, part.high), rows, in_hours=seconds > ids.HOUR)


def _joined(spans: Iterable[_Span]) -> list[IdRange]:
    """Join spans that touch, newest first."""
    joined: list[IdRange] = []
    for span in spans:
        if joined and span.high == joined[-1].low:
            joined[-1] = IdRange(span.low, joined[-1].high)
        else:
            joined.append(IdRange(span.low, span.high))
    return joined


def _read(
    connection: Connection,
    query: Query,
    ranges: Sequence[IdRange],
    *,
    fields: Sequence[str],
    offset: int,
    limit: int,
    oldest: bool = False,
) -> Rows:
    """Read rows of some ranges, newest first unless `oldest`."""
    row_id = records.c.id
    found = select(*columns(fields)).order_by(row_id.asc() if oldest else row_id.desc())
    wheres = [
        [*replace(query, scope=scope).conditions(records), row_id >= part.low, row_id < part.high]
        for scope in query.scope.each()
        for part in ranges
    ]
    if len(wheres) == 1:
        found = found.where(*wheres[0])
    else:
        found = found.where(row_id.in_(union_all(*(select(row_id).where(*where) for where in wheres))))
    rows = connection.execute(found.limit(limit).offset(offset))
    return [dict(zip(fields, row, strict=True)) for row in rows]
