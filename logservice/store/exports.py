"""All rows of a query, oldest first, read in many short statements: no snapshot outlives one of them.

Where filters leave few rows, the buckets tell which quarters or hours hold some, and how many rows are passed
over to find them. So no statement looks at more than some thousands of rows, however few it is after and
however long the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from sqlalchemy import Executable, Select, bindparam, func, select

from . import contents, dialects, ids
from . import filters as filtering
from .buckets import SITE
from .filters import Filters
from .ids import IdRange, down, up
from .pages import FIELDS, counted
from .prepared import Reader, prepared
from .queries import RAW, Part, Query, Rung, Shape, bounds
from .scope import Scope
from .tables import records

if TYPE_CHECKING:
    from .store import LogStore

#: Rows that one statement gives at first, and at most. A client sees the first ones at once.
FIRST_ROWS, MOST_ROWS = 100, 500
#: Characters of text that one statement should give: a row may hold a hundred of them, or 128 thousand.
MOST_TEXT = 2**20
#: Rows that one statement may look at, along the primary key and along another index.
MOST_PASSED, MOST_PASSED_BY_INDEX = 20_000, 2_000

_WEEK = Rung(SITE.table, ids.WEEK)


#: A row on its way out: an attribute for each field.
Row = Any


@cache
def row_type(fields: tuple[str, ...]) -> type[msgspec.Struct]:
    """Return the type of rows of some fields. One is made in a tenth of the time that a dictionary takes."""
    return msgspec.defstruct("Row", [(str(field), Any) for field in fields], gc=False)


def batches(store: LogStore, query: Query, *, fields: Sequence[str]) -> Iterator[list[Row]]:
    """Yield the rows of a query that are there now, oldest first, some at a time; `id` is one of the fields.

    A batch without rows says that the search goes on. Rows that are recorded meanwhile with a later id than
    all others are left out. Raises Unavailable when the database fails; all rows before that were yielded.
    """
    return (batch.found for batch in _walk(store, query, partial(_read, fields=tuple(fields))))


def lines(store: LogStore, query: Query, *, fields: Sequence[str]) -> Iterator[bytes]:
    """Yield the same rows as lines of JSON, which the database writes itself.

    So a statement gives one value, and no row passes through Python. The driver of SQLite takes locks several
    times for each field that it fetches, a quarter of the time of an export, and lets other threads wait.
    """
    return (batch.found for batch in _walk(store, query, partial(_write, fields=tuple(fields))))


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Batch(Generic[T]):
    """What one statement found: rows in some form, their number, the last one's id, and how long they are."""

    found: T
    rows: int
    last: int
    text: int


_ReadBatch = Callable[[Reader, Query, IdRange, int], _Batch[T]]


def _walk(store: LogStore, query: Query, read: _ReadBatch[T]) -> Iterator[_Batch[T]]:
    """Read the rows of a query that are there now, each statement in a snapshot that ends with it."""
    with store.reading(much=True) as connection:
        [(newest,)] = _newest_id(connection, {"high": query.range.high})
    query = replace(query, range=query.range.cut(None, (newest or 0) + 1))
    limit = FIRST_ROWS
    for piece in _pieces(store, query):
        low, is_done = piece.low, False
        while not is_done:
            with store.reading(much=True) as connection:
                batch = read(connection, query, IdRange(low, piece.high), limit)
            is_done = batch.rows < limit
            if batch.rows:
                low = batch.last + 1
                # So few that they may be held in memory, should their texts be as long.
                limit = max(10, min(MOST_ROWS, MOST_TEXT // max(1, batch.text)))
            yield batch


def count(store: LogStore, query: Query) -> int | None:
    """Return how many rows an export gives, or None where only reading them would tell."""
    if not query.in_buckets:
        return None
    found = store.page(query.scope, query.filters, query.range, fields=["id"], page=1, page_size=1)
    return found.total


@prepared
def _newest_id() -> Executable:
    return select(func.max(records.c.id)).where(records.c.id < bindparam("high"))


def _read(
    connection: Reader, query: Query, span: IdRange, limit: int, *, fields: tuple[str, ...]
) -> _Batch[list[Row]]:
    rows = _oldest(connection, query, span, fields=fields, limit=limit)
    return _Batch(rows, len(rows), rows[-1].id if rows else 0, longest_text(rows))


def _write(
    connection: Reader, query: Query, span: IdRange, limit: int, *, fields: tuple[str, ...]
) -> _Batch[bytes]:
    values = query.values | bounds([Part(RAW, span.low, span.high)]) | {"limit": limit}
    [(rows, last, found)] = _oldest_lines(connection, values, query.shape, fields)
    written = found.encode() if isinstance(found, str) else found or b""
    return _Batch(written, rows, last or 0, len(written) // max(1, rows))


def longest_text(rows: Sequence[Row]) -> int:
    """Return how many characters some of the rows have at most."""
    if not rows:
        return 0
    long = [name for name in ("content", "other") if name in type(rows[0]).__struct_fields__]
    return max(sum(len(getattr(row, name)) for name in long) for row in rows[::25])


def _oldest(
    connection: Reader, query: Query, span: IdRange, *, fields: tuple[str, ...], limit: int
) -> list[Row]:
    if not span:
        return []
    values = query.values | bounds([Part(RAW, span.low, span.high)]) | {"limit": limit}
    row = row_type(fields)
    found: list[Row] = [row(*values) for values in _oldest_rows(connection, values, query.shape, fields)]
    if "is_stream" in fields:
        for one in found:
            one.is_stream = one.is_stream == 1
    if "content" in fields:
        _put_contents(connection, found)
    return found


@prepared
def _oldest_rows(shape: Shape, fields: tuple[str, ...]) -> Executable:
    """Select the fields of rows; in place of the content only its id, for many rows say the same."""
    found = select(
        *(records.c.content_id if name == "content" else FIELDS[name].label(name) for name in fields)
    )
    return _in_order(found, shape)


@prepared
def _oldest_lines(shape: Shape, fields: tuple[str, ...]) -> Executable:
    """Select how many rows there are, the id of the last, and all of them as lines."""
    line = dialects.json_line(*(FIELDS[name].label(name) for name in fields)).label("line")
    rows = _in_order(select(records.c.id, line), shape).subquery("rows")
    return select(func.count(), func.max(rows.c.id), dialects.joined_lines(rows.c.line))


def _in_order(found: Select[Any], shape: Shape) -> Select[Any]:
    order = dialects.oldest_along_index(records.c.id) if shape.has_index else records.c.id
    return found.where(*shape.inside(RAW, "0")).order_by(order).limit(bindparam("limit"))


def _put_contents(connection: Reader, rows: Sequence[Row]) -> None:
    texts = contents.texts(connection, {row.content for row in rows})
    for row in rows:
        row.content = texts.get(row.content, "")


# -- where to look -----------------------------------------------------------------------------------------


def _pieces(store: LogStore, query: Query) -> Iterator[IdRange]:
    """Yield the ranges of ids that hold rows of a query, oldest first, none of them too much to look at."""
    if not query.range:
        return
    if _is_served(query):
        yield query.range
        return
    for week in _weeks(store, query):
        with store.reading(much=True) as connection:
            plan = _plan(connection, query, week)
        yield from plan


def _is_served(query: Query) -> bool:
    """Whether a query wants all rows there are, or the few of one request.

    Not so one user's: PostgreSQL would read all of those for each statement, and sort them.
    """
    by_request = (filtering.REQUEST_ID, filtering.equal_and_present)
    return (query.scope.is_site and not query.filters) or by_request in query.shape.filters


def _weeks(store: LogStore, query: Query) -> list[IdRange]:
    """Return the weeks in which the site has rows that may be some of the query, oldest first."""
    width = ids.first_id(ids.WEEK)
    around = IdRange(down(query.range.low, width), up(query.range.high, width))
    site = Query(Scope.site(), query.filters.site_dimensions_only(), around)
    with store.reading(much=True) as connection:
        found = counted(connection, site, [Part(_WEEK, around.low, around.high)])
    return [IdRange(span.low, span.high) for span in reversed(found)]


@dataclass(slots=True)
class _Piece:
    """A range that grows while rows of the query are found, and how many rows are passed over in it."""

    low: int
    high: int
    passed: int


def _plan(connection: Reader, query: Query, week: IdRange) -> list[IdRange]:
    """Return the ranges of a week that hold rows of the query, oldest first."""
    guide = replace(query, filters=query.filters.dimensions_only(), range=week)
    seconds = guide.ladder[-1].seconds
    holding = _by_bucket(connection, guide, seconds)
    passed = _by_bucket(connection, _passing(query, week), seconds)
    most = MOST_PASSED_BY_INDEX if query.shape.has_index else MOST_PASSED
    width = ids.first_id(seconds)
    pieces: list[_Piece] = []
    for start in sorted(passed):
        rows, piece = passed[start], pieces[-1] if pieces else None
        if piece is not None and piece.passed + rows <= most:
            piece.passed += rows
            piece.high = start + width if start in holding else piece.high
        elif start in holding:
            pieces.append(_Piece(start, start + width, rows))
        elif piece is not None:
            # A gap that is not worth passing over.
            piece.passed = max(piece.passed, most)
    found = (part for piece in pieces for part in _divided(piece, most))
    clipped = (part.cut(query.range.low, query.range.high) for part in found)
    return [part for part in clipped if part]


def _passing(query: Query, week: IdRange) -> Query:
    """Return the query for all rows that are looked at to find those of another: without most filters."""
    exactly = filtering.equal is filtering.USERNAME.form(query.filters.get("username", "%"))
    kept = {"username": query.filters["username"]} if exactly and query.scope.is_site else {}
    return Query(query.scope, Filters(kept), week)


def _by_bucket(connection: Reader, query: Query, seconds: int) -> dict[int, int]:
    """Return how many rows there are by the start, an id, of each bucket of so many seconds that has some."""
    [rung] = [rung for rung in query.ladder if rung.seconds == seconds]
    found = counted(connection, query, [Part(rung, query.range.low, query.range.high)])
    return {span.low: span.rows for span in found}


def _divided(piece: _Piece, most: int) -> Iterator[IdRange]:
    """Cut the range of a bucket that is too full into equal ones."""
    number = max(1, -(-piece.passed // most))
    size = piece.high - piece.low
    for place in range(number):
        yield IdRange(piece.low + size * place // number, piece.low + size * (place + 1) // number)
