"""A few figures about a log that are cheap to read, however large it is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from . import ids, purging
from .dialects import Space
from .purging import Progress
from .store import LogStore
from .tables import records


@dataclass(frozen=True, slots=True)
class Vitals:
    """Rows in the log, the second of the oldest one, bytes on disk, and how far the purge is, if any."""

    rows: int
    oldest: int | None
    space: Space
    purge: Progress | None


def read(store: LogStore) -> Vitals:
    """Read them, in milliseconds: no table is scanned. Raises Unavailable."""
    with store.reading() as connection:
        first = connection.scalar(select(func.min(records.c.id)))
    oldest = None if first is None else ids.second_of(first)
    return Vitals(store.count_all(), oldest, store.space(), purging.under_way(store))
