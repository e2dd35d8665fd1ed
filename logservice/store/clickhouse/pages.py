"""Pages of rows, newest first: counts by day, then by quarter hour, tell where a page lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Executable, Select, bindparam, func, literal_column, select

from .. import ids
from ..buckets import QUARTER
from ..ids import IdRange
from ..pages import MOST_ROWS, Cursor, Page, Rows, Span, as_rows, joined, touched
from ..prepared import Reader, prepared
from .selecting import Selection, Shape, span_of_row
from .tables import COLUMNS, records

# So many rows of one place are passed over in no time.
_FEW_ROWS = 5_000

#: What can be asked of a row: the columns, and what is derived from them.
FIELDS: dict[str, Any] = {
    **{name: records.c[name] for name in COLUMNS if name != "folded"},
    "use_time": func.intDiv(records.c.use_time_ms, literal_column("1000"), type_=BigInteger),
    "channel": records.c.channel_id,
}


def columns(fields: Sequence[str]) -> list[Any]:
    """Return the columns for fields of a row, by name."""
    return [FIELDS[name].label(name) for name in fields]


def bucket(seconds: int, unit: int = 0) -> ColumnElement[int]:
    """Return the start of the span of so many seconds that a row lies in, by spans of a `unit` if any."""
    start = span_of_row(unit or seconds)
    if unit:
        units: ColumnElement[int] = literal_column(str(seconds // unit))
        start = func.intDiv(start, units, type_=BigInteger)
    width: ColumnElement[int] = literal_column(str(seconds))
    return start * width


def page(reader: Reader, rows: Selection, *, fields: Sequence[str], offset: int, limit: int) -> Page:
    """Return `limit` rows after the newest `offset`, and the exact total."""
    spans = counted(reader, rows, ids.DAY)
    total = sum(span.rows for span in spans)
    return Page(_at(reader, rows, spans, fields=fields, offset=offset, limit=limit), total)


def beside(reader: Reader, rows: Selection, cursor: Cursor, *, fields: Sequence[str], limit: int) -> Page:
    """Return the rows next to a cursor, newest first, and the total without regard to it."""
    total = count(reader, rows)
    after = None if cursor.after is None else cursor.after + 1
    window = rows.within(rows.range.cut(after, cursor.before))
    spans = counted(reader, window, ids.DAY)
    offset = 0 if cursor.before is not None else max(0, sum(span.rows for span in spans) - limit)
    return Page(_at(reader, window, spans, fields=fields, offset=offset, limit=limit), total)


def newest(reader: Reader, rows: Selection, *, fields: Sequence[str], limit: int, offset: int = 0) -> Rows:
    """Return the newest rows without counting."""
    if offset > MOST_ROWS or not rows.range:
        return []
    values = rows.values | {"limit": limit, "offset": offset}
    return as_rows(fields, _rows(reader, values, rows.shape, tuple(fields), oldest=False))


def oldest(
    reader: Reader, rows: Selection, *, fields: Sequence[str], limit: int, offset: int = 0
) -> list[tuple[Any, ...]]:
    """Return the rows after the oldest `offset`, as tuples of fields."""
    values = rows.values | {"limit": limit, "offset": offset}
    return _rows(reader, values, rows.shape, tuple(fields), oldest=True)


def count(reader: Reader, rows: Selection) -> int:
    """Return how many rows there are."""
    counts = (_count(reader, part.values, part.shape) for part in rows.parts())
    return sum(int(found) for [(found,)] in counts)


def counted(reader: Reader, rows: Selection, seconds: int) -> list[Span]:
    """Count rows by spans of so many seconds, newest first; the outer ones are cut to what is asked for."""
    width = ids.first_id(seconds)
    found: Counter[int] = Counter()
    for part in rows.parts(finest=seconds):
        found.update(dict(_counts(reader, part.values, part.shape, seconds)))
    spans = []
    for start in sorted(found, reverse=True):
        low = ids.first_id(start)
        inside = rows.range.cut(low, low + width)
        spans.append(Span(inside.low, inside.high, found[start], seconds))
    return spans


def _at(
    reader: Reader, rows: Selection, spans: list[Span], *, fields: Sequence[str], offset: int, limit: int
) -> Rows:
    if offset >= sum(span.rows for span in spans):
        return []
    spans, offset = touched(spans, offset, limit)
    if sum(span.rows for span in spans) > _FEW_ROWS:
        finer = [one for part in joined(spans) for one in counted(reader, rows.within(part), QUARTER)]
        spans, offset = touched(finer, offset, limit)
    found: Rows = []
    for part in joined(spans):
        if len(found) == limit:
            break
        found += newest(reader, rows.within(part), fields=fields, limit=limit - len(found), offset=offset)
        offset = max(0, offset - sum(span.rows for span in spans if part.low <= span.low < part.high))
    return found


@prepared
def _count(shape: Shape) -> Executable:
    return select(func.count()).select_from(records).where(*shape.conditions())


@prepared
def _counts(shape: Shape, seconds: int) -> Executable:
    start = bucket(seconds, shape.unit).label("start")
    found = select(start, func.count()).select_from(records).where(*shape.conditions())
    return found.group_by(start)


@prepared
def _rows(shape: Shape, fields: tuple[str, ...], *, oldest: bool) -> Executable:
    return rows_statement(shape, fields, oldest=oldest).offset(bindparam("offset", type_=BigInteger))


def rows_statement(shape: Shape, fields: tuple[str, ...], *, oldest: bool) -> Select[*tuple[Any, ...]]:
    """Select fields of rows in the order of their ids."""
    second, row_id = records.c.created_at, records.c.id
    order = (second, row_id) if oldest else (second.desc(), row_id.desc())
    found = select(*columns(fields)).where(*shape.conditions()).order_by(*order)
    return found.limit(bindparam("limit", type_=BigInteger))


def ends(reader: Reader, rows: Selection) -> IdRange | None:
    """Return the ids of the first and the last row, `high` being the last one's; None without rows."""
    [(number, first, last)] = _ends(reader, rows.values, rows.shape)
    return IdRange(first, last) if number else None


@prepared
def _ends(shape: Shape) -> Executable:
    row_id = records.c.id
    return select(func.count(), func.min(row_id), func.max(row_id)).where(*shape.conditions())
