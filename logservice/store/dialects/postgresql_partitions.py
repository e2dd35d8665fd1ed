"""Partitions on PostgreSQL: rows and contents of a month (UTC) lie in tables of their own and go as a whole.

There is no partition for the rest: attaching another one would lock and scan it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import ARRAY, Connection, Executable, Table, Text, bindparam, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from ...errors import Conflict
from .. import ids
from ..ids import IdRange
from ..prepared import prepared
from .schema import GROWING, set_vacuum

LOCK_NOT_AVAILABLE = "55P03"

# Everybody queues behind whoever waits for a lock on everything, so that this takes little, and less than the
# second after which the server would look for a deadlock and end one of both.
_LOCK_MILLISECONDS = 300
_ATTEMPTS = 6
_PAUSE_SECONDS = 0.5

#: A table, the name of one of its partitions, and the ids that lie in it.
Partition = tuple[str, str, IdRange]

_PLAIN = (
    "the tables are there already, and have no partitions: export the log, and import it into a database "
    "that was created with them"
)


def create_partitioned(connection: Connection, tables: Sequence[Table]) -> None:
    """Create tables and their indexes, without a partition yet. Raises Conflict where they are plain ones."""
    for table in tables:
        kind = connection.scalar(_KIND, {"name": table.name})
        if kind is None:
            words = CreateTable(table).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"{words} PARTITION BY RANGE (id)")
            for index in table.indexes:
                index.create(connection)
        elif kind != "p":
            raise Conflict(_PLAIN)


def is_partitioned(connection: Connection) -> bool:
    """Whether rows lie in partitions."""
    return bool(connection.scalar(_KIND, {"name": GROWING[0]}) == "p")


def months_of(seconds: Iterable[int]) -> set[IdRange]:
    """Return the months that some seconds lie in."""
    return {ids.month(day * ids.DAY) for day in {second // ids.DAY for second in seconds}}


def missing(connection: Connection, months: Iterable[IdRange]) -> list[Partition]:
    """Return what partitions some months lack: of which table, their name, and their range."""
    wanted = [(table, _name(table, month), month) for month in _in_order(months) for table in GROWING]
    found = {name for (name,) in _attached(connection, {"names": [name for _, name, _ in wanted]})}
    return [partition for partition in wanted if partition[1] not in found]


def add(connection: Connection, partitions: Iterable[Partition]) -> None:
    """Add partitions. To attach a table lets others read and write, which to create it in place would not."""
    for table, name, month in partitions:
        connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
        connection.exec_driver_sql(set_vacuum(name))
        limits = f"FROM ({month.low}) TO ({month.high})"
        connection.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {limits}")


def months(connection: Connection) -> list[IdRange]:
    """Return the months that have partitions of ours, oldest first; others may have been attached by hand."""
    names = connection.scalars(_ALL_ATTACHED)
    found = (re.fullmatch(r"log_[a-z]+_(\d{4})_(\d\d)", name) for name in names)
    starts = {datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC) for match in found if match}
    return _in_order(ids.month(int(start.timestamp())) for start in starts)


def drop(connection: Connection, month: IdRange) -> bool:
    """Drop the partitions of a month; return False if the locks cannot be had.

    They are held until the transaction ends, which should be at once.
    """
    wanted = [_name(table, month) for table in GROWING]
    names = ", ".join(name for (name,) in _attached(connection, {"names": wanted}))
    if not names:
        return True
    # A vacuum of the partitions gives way to this after a second, while everybody else goes on.
    if not _done(connection, f"LOCK TABLE {names} IN SHARE UPDATE EXCLUSIVE MODE"):
        return False
    steps = (
        f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}",
        f"LOCK TABLE ONLY {', ONLY '.join(GROWING)} IN ACCESS EXCLUSIVE MODE",
        f"DROP TABLE {names}",
    )
    for attempt in range(_ATTEMPTS):
        time.sleep(_PAUSE_SECONDS if attempt else 0)
        if _done(connection, *steps):
            return True
    return False


def _done(connection: Connection, *statements: str) -> bool:
    """Run statements, or none of them where a lock is not to be had."""
    try:
        with connection.begin_nested():
            for statement in statements:
                connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _name(table: str, month: IdRange) -> str:
    return f"{table}_{datetime.fromtimestamp(ids.second_of(month.low), UTC):%Y_%m}"


def _in_order(months: Iterable[IdRange]) -> list[IdRange]:
    return sorted(months, key=lambda month: month.low)


_KIND = text("SELECT CAST(relkind AS TEXT) FROM pg_class WHERE oid = to_regclass(:name)")
_ATTACHED = """
    SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = oid
    WHERE inhparent IN (to_regclass('log_records'), to_regclass('log_contents'))
"""
_ALL_ATTACHED = text(_ATTACHED)


@prepared
def _attached() -> Executable:
    """Select those of some names that partitions of our tables have."""
    wanted = text(f"{_ATTACHED} AND relname = ANY(CAST(:names AS NAME[]))")
    return wanted.bindparams(bindparam("names", type_=ARRAY(Text)))
