"""Usage without rows: taken back by rows that return, moved into archives and out of them, or dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, delete

from . import archived_usage, ids, retained, rollups
from .dialects import Dialect
from .rollups import QUARTER, SITE
from .tables import MEASURES, hourly, site

_MARKS = (retained.KEPT, retained.ARCHIVED)


def take_back(connection: Connection, dialect: Dialect, back: Iterable[Mapping[str, Any]]) -> None:
    """Take the usage away that was kept from rows which are being stored again; each has the id it had."""
    for mark, rows in retained.take_back(connection, back).items():
        sums = rollups.by_quarter(rows)
        rollups.add_sums(connection, dialect, rollups.without_rows(sums, sign=-1), mark=mark)
        quarters = [key[0] for key in sums]
        drop_spent(connection, min(quarters), max(quarters) + QUARTER)


def drop(connection: Connection, before: int, *, log_type: int | None) -> None:
    """Delete the usage kept from earlier purges, up to the last whole quarter hour before a second."""
    edge = before - before % QUARTER
    of_type = [] if log_type is None else [site.c.type == log_type]
    for mark in _MARKS:
        gone = [*rollups.between(site, 0, edge, QUARTER, mark=mark), *of_type]
        for span in SITE.spans[1:]:
            less = rollups.from_site(QUARTER, span, sign=-1, mark=mark).where(*gone)
            rollups.add_selected(connection, site, less)
        connection.execute(delete(site).where(*gone))
    old = [hourly.c.retained > 0, hourly.c.bucket < edge]
    old += [] if log_type is None else [hourly.c.type == log_type]
    connection.execute(delete(hourly).where(*old))
    drop_spent(connection, 0, before)
    retained.forget(connection, ids.first_id(edge), log_type=log_type)
    archived_usage.forget(connection, edge, log_type=log_type)


def drop_spent(connection: Connection, low: int, high: int) -> None:
    """Delete the buckets from second `low` to before `high` of usage without rows that came to nothing."""
    longest = SITE.spans[-1]
    for table, first in ((hourly, low), (site, low - low % longest)):
        nothing = [table.c[name] == 0 for name in MEASURES]
        inside = [table.c.retained > 0, table.c.bucket >= first, table.c.bucket < high]
        connection.execute(delete(table).where(*inside, *nothing))
