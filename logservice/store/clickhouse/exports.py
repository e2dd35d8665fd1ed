"""All rows of a query, oldest first, read in statements that each go on where the one before ended."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from sqlalchemy import Executable

from .. import exports
from ..exports import Row, row_type
from ..ids import IdRange
from ..prepared import prepared
from . import pages
from .selecting import Selection, Shape
from .sessions import Sessions

#: Rows that one statement gives at most. It takes some milliseconds whatever their number.
MOST_ROWS = 2_000


class Walk:
    """The steps through a range: each time what is left of it, and how many rows are to be read."""

    def __init__(self, span: IdRange) -> None:
        self._left = span
        self._limit = exports.FIRST_ROWS
        self._is_done = False

    def __iter__(self) -> Iterator[tuple[IdRange, int]]:
        """Yield steps until one was told to have found fewer rows than it could."""
        while self._left and not self._is_done:
            yield self._left, self._limit

    def found(self, rows: int, last: int, text: int) -> None:
        """Be told how many rows a step found, the id of the last one, and about how long each of them is."""
        self._is_done = rows < self._limit
        self._left = IdRange(last + 1, self._left.high)
        # So few that they may be held in memory, should their texts be as long.
        self._limit = max(10, min(MOST_ROWS, exports.MOST_TEXT // max(1, text)))


def rows(sessions: Sessions, found: Selection, *, fields: tuple[str, ...], limit: int) -> list[Row]:
    """Return the oldest rows of some."""
    if not found.range:
        return []
    row = row_type(fields)
    values = found.values | {"limit": limit}
    return [row(*one) for one in sessions.read(lambda reader: _rows(reader, values, found.shape, fields))]


def lines(sessions: Sessions, found: Selection, *, fields: tuple[str, ...], limit: int) -> bytes:
    """Return the same as lines of JSON, which the server writes."""
    if not found.range:
        return b""
    statement = _rows.compiled(sessions.dialect, found.shape, fields)
    return sessions.lines(statement, found.values | {"limit": limit})


def last_id(written: bytes) -> int:
    """Return the id in the last of some lines."""
    last = written.rstrip(b"\n").rpartition(b"\n")[2]
    row_id: int = orjson.loads(last)["id"]
    return row_id


@prepared
def _rows(shape: Shape, fields: tuple[str, ...]) -> Executable:
    return pages.rows_statement(shape, fields, oldest=True)
