"""Ids of new rows in SQLite: those after the highest one of their second."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence

from .. import ids

# A text may outlive the row whose id it goes by: that id is not to be given again.
_IDS = (
    "SELECT id FROM log_records WHERE id >= :low AND id < :high"
    " UNION SELECT id FROM log_contents WHERE id >= :low AND id < :high ORDER BY id"
)
_LAST_ID = (
    "SELECT max(:low - 1,"
    " coalesce((SELECT max(id) FROM log_records WHERE id >= :low AND id < :high), 0),"
    " coalesce((SELECT max(id) FROM log_contents WHERE id >= :low AND id < :high), 0))"
)


def new_ids(connection: sqlite3.Connection, seconds: Sequence[int]) -> list[int]:
    """Go on after the highest id of each second; seconds after all rows have none.

    Where rows that kept their ids take up the end of a second, the gaps before them are used. Raises
    InvalidValue when a second is full.
    """
    highest = _last_id(connection, 0, ids.OPEN_END)
    free: dict[int, Iterator[int]] = {}
    for second, count in Counter(seconds).items():
        first, end = ids.first_id(second), ids.first_id(second + 1)
        last = _last_id(connection, first, end) if first <= highest else first - 1
        fits = last + count < end
        free[second] = iter(range(last + 1, end)) if fits else _gaps(connection, first, end)
    return ids.assign(seconds, free)


def _last_id(connection: sqlite3.Connection, low: int, high: int) -> int:
    """Return the highest id in use from `low` to below `high`, or the one before them."""
    found: int = connection.execute(_LAST_ID, {"low": low, "high": high}).fetchone()[0]
    return found


def _gaps(connection: sqlite3.Connection, low: int, high: int) -> Iterator[int]:
    """Yield the ids from `low` to below `high` that no row has."""
    following = low
    for (row_id,) in connection.execute(_IDS, {"low": low, "high": high}).fetchall():
        yield from range(following, row_id)
        following = row_id + 1
    yield from range(following, high)
