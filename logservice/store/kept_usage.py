"""Usage without rows: taken back by rows that return, moved into archives and out of them, or dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, select

from . import archived_usage, filters, identities, ids, retained, rollups
from .buckets import HOURLY, OWNERS, QUARTER, ROLLUPS, SITE, add_selected, between, from_rows, from_shorter
from .dialects import Dialect
from .records import Record
from .retained import Trace
from .tables import DIMENSIONS, MEASURES, hourly, records

#: What there is to know of usage without rows: the quarter hour, whose it is, and how much.
FIELDS = ("bucket", *DIMENSIONS, *MEASURES[1:])
#: The values of FIELDS, the quarter by its first second (UTC).
Usage = tuple[Any, ...]


def take_back(
    connection: Connection, dialect: Dialect, back: Sequence[Mapping[str, Any]], *, displaced: Iterable[int]
) -> None:
    """Take the usage away that was kept from rows which are being stored again.

    Each has the id it came with; some of these (`displaced`) belong to others.
    """
    for mark, rows in retained.take_back(connection, back, displaced=displaced).items():
        sums = rollups.by_quarter(rows)
        rollups.add_sums(connection, dialect, rollups.without_rows(sums, sign=-1), mark=mark)
        quarters = [key[0] for key in sums]
        drop_spent(connection, min(quarters), max(quarters) + QUARTER)


def keep(connection: Connection, low: int, high: int) -> None:
    """Keep the usage of all rows of whole days, from second `low` to before `high`, which are to be deleted.

    The database adds it up by itself, a day in each statement: it may be that of very many rows.
    """
    mark = retained.KEPT
    for day in range(low, high, ids.DAY):
        rows = [records.c.id >= ids.first_id(day), records.c.id < ids.first_id(day + ids.DAY)]
        add_selected(connection, HOURLY, from_rows(HOURLY, QUARTER, mark=mark).where(*rows))
        retained.remember(connection, rows, {}, mark=mark)
    for rollup, source in ((SITE, SITE), (OWNERS, HOURLY)):
        present = between(source.table, low, high, source.spans[0])
        for span in rollup.spans:
            kept = from_shorter(rollup, span, source, mark=mark).where(*present)
            add_selected(connection, rollup, kept)


def of(connection: Connection, low: int, high: int) -> list[Usage]:
    """Return the usage from second `low` to before `high` that no archive has, in the order of its keys."""
    inside = between(hourly, low, high, 0, mark=retained.KEPT)
    found = select(*(hourly.c[name] for name in FIELDS)).where(*inside).order_by(*hourly.primary_key)
    return [tuple(row) for row in connection.execute(found)]


def move_to_archive(connection: Connection, dialect: Dialect, usage: Sequence[Usage]) -> None:
    """Note that usage, all there is of some quarters and that no archive had, lies in an archive now."""
    sums = _sums(usage)
    rollups.add_sums(connection, dialect, rollups.without_rows(sums, sign=-1), mark=retained.KEPT)
    rollups.add_sums(connection, dialect, sums, mark=retained.ARCHIVED)
    low, high = usage[0][0], usage[-1][0] + QUARTER
    drop_spent(connection, low, high)
    retained.mark_archived(connection, ids.first_id(low), ids.first_id(high))


def restore(connection: Connection, dialect: Dialect, usage: Sequence[Usage]) -> None:
    """Add usage out of an archive; whose it is, is looked up as for events."""
    width = 1 + len(DIMENSIONS)
    whose = [Record(row[0], dict(zip(DIMENSIONS, row[1:width], strict=True))) for row in usage]
    resolved = identities.resolve(connection, dialect, whose)
    named = [
        (row[0], *(owner[name] for name in DIMENSIONS), *row[width:])
        for row, owner in zip(usage, resolved, strict=True)
    ]
    rollups.add_sums(connection, dialect, _sums(named), mark=retained.ARCHIVED)


def settle(connection: Connection, dialect: Dialect, came: Sequence[tuple[int, Trace]]) -> None:
    """Write down which rows restored usage stems from, by type and trace; those that are there take it."""
    for _, hour in groupby(came, key=lambda one: ids.second_of(one[1][0]) // ids.HOUR):
        some = list(hour)
        span = [records.c.id >= some[0][1][0], records.c.id <= some[-1][1][0]]
        there = {trace for _, trace in retained.traces(connection, span, {})}
        for present in filters.chunks(trace[0] for _, trace in some if trace in there):
            form = filters.OneOf.fitting(present)
            of_these = [form(records.c.id, "present")]
            sums = rollups.quarters(connection, of_these, form.values("present", present))
            less = rollups.without_rows(sums, sign=-1)
            rollups.add_sums(connection, dialect, less, mark=retained.ARCHIVED)
        gone = [one for one in some if one[1] not in there]
        retained.write_down(connection, gone, mark=retained.ARCHIVED)
    if came:
        drop_spent(connection, ids.second_of(came[0][1][0]) - QUARTER, ids.second_of(came[-1][1][0]) + 1)


def _sums(usage: Sequence[Usage]) -> rollups.Sums:
    width = 1 + len(DIMENSIONS)
    return rollups.added_up((tuple(row[:width]), [0, *row[width:]]) for row in usage)


def drop(connection: Connection, before: int, *, log_type: int | None) -> None:
    """Delete the usage kept from earlier purges, up to the last whole quarter hour before a second."""
    edge = before - before % QUARTER
    for mark in retained.MARKS:
        for rollup, source in ((OWNERS, HOURLY), (SITE, SITE)):
            gone = between(source.table, 0, edge, QUARTER, mark=mark)
            gone += [] if log_type is None else [source.table.c.type == log_type]
            for span in (span for span in rollup.spans if span > QUARTER):
                less = from_shorter(rollup, span, source, sign=-1, mark=mark).where(*gone)
                add_selected(connection, rollup, less)
            connection.execute(delete(source.table).where(*gone))
    drop_spent(connection, 0, before)
    retained.forget(connection, ids.first_id(edge), log_type=log_type)
    archived_usage.forget(connection, edge, log_type=log_type)


def drop_spent(connection: Connection, low: int, high: int) -> None:
    """Delete the buckets from second `low` to before `high` of usage without rows that came to nothing."""
    for rollup in ROLLUPS:
        table, longest = rollup.table, rollup.spans[-1]
        of_span = [table.c.span.in_(rollup.spans)] if "span" in table.c else []
        inside = [table.c.retained > 0, table.c.bucket >= low - low % longest, table.c.bucket < high]
        nothing = [table.c[name] == 0 for name in MEASURES]
        connection.execute(delete(table).where(*of_span, *inside, *nothing))
