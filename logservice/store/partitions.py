"""Purging whole months where each lies in partitions of its own: they are dropped, which takes no time.

A month goes with its buckets in one transaction, so that between two of them the log is consistent, as it is
between two batches of rows. Where its partitions are in use for too long, its rows go like all others.
"""

from __future__ import annotations

import logging

from sqlalchemy import Connection, func, select

from . import ids, kept_usage, recent, rollups
from .dialects import Dialect
from .ids import IdRange
from .retention import Purge
from .tables import hourly, records

log = logging.getLogger("logservice")


#: Rows of a month whose usage is kept at once, in about a minute; those of more go in batches like others.
MOST_KEPT = 1_000_000


class _InUse(Exception):
    """The partitions of a month cannot be dropped just now."""


def months_to_go(connection: Connection, dialect: Dialect, purge: Purge, *, now: float) -> list[IdRange]:
    """Return the months that hold nothing but rows to purge, or no rows at all, oldest first.

    Partitions of the current month and of later ones stay: they are about to be filled.
    """
    end = min(purge.query.range.high, ids.month(int(now)).low)
    old = (month for month in dialect.months(connection) if month.high <= end)
    every = purge.log_type is None
    return [month for month in old if every or not _counted(connection, month, but=purge.log_type)]


def drop_month(connection: Connection, dialect: Dialect, purge: Purge, *, month: IdRange) -> int:
    """Drop the partitions of a month with its buckets, and return how many rows it held.

    The weeks of the month have to be claimed. Rows of other types that came meanwhile save it, and so do
    others who use it for long: then nothing is done.
    """
    try:
        with connection.begin_nested():
            return _drop_month(connection, dialect, purge, month)
    except _InUse:
        log.info("a partition is in use by others; its rows are deleted instead")
        return 0


def _drop_month(connection: Connection, dialect: Dialect, purge: Purge, month: IdRange) -> int:
    if purge.log_type is not None and _holds_others(connection, month, purge.log_type):
        return 0
    low, high = ids.second_of(month.low), ids.second_of(month.high)
    rows = _counted(connection, month)
    if purge.keep_usage and rows > MOST_KEPT:
        return 0
    if purge.keep_usage:
        kept_usage.keep(connection, low, high)
    rollups.drop_days(connection, low, high)
    recent.forget(connection, low, high)
    # Last, for from here on everybody waits until the commit.
    if not dialect.drop_month(connection, month):
        raise _InUse
    return rows


def _counted(connection: Connection, month: IdRange, *, but: int | None = None) -> int:
    """Return how many rows of a month the buckets know, `but` those of one type."""
    low, high = ids.second_of(month.low), ids.second_of(month.high)
    inside = [hourly.c.bucket >= low, hourly.c.bucket < high, hourly.c.retained == 0]
    others = [] if but is None else [hourly.c.type != but]
    return int(connection.scalar(select(func.sum(hourly.c.rows)).where(*inside, *others)) or 0)


def _holds_others(connection: Connection, month: IdRange, log_type: int) -> bool:
    """Whether a month has rows of other types, by looking at them: what is dropped by mistake is lost."""
    inside = [records.c.id >= month.low, records.c.id < month.high]
    other = select(records.c.id).where(*inside, records.c.type != log_type).limit(1)
    return connection.scalar(other) is not None
