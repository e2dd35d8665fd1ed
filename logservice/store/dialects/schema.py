"""What the definition of a table needs in the words of each engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Table,
    Text,
    event,
    literal_column,
    text,
)
from sqlalchemy.schema import ExecutableDDLElement

#: An id without this many bits is the number of its block.
BLOCK_BITS = 33

#: A 64-bit primary key; SQLite uses its row id only for a column declared INTEGER.
BigKey = BigInteger().with_variant(Integer(), "sqlite")

#: Text compared byte by byte: PostgreSQL's other collations are slower, and order names as dictionaries do.
PlainText = Text().with_variant(Text(collation="C"), "postgresql")

#: Bucket tables are looked up by their long key only: on SQLite the key is the table.
CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}

#: The tables that grow for ever, unless rows are purged.
GROWING = ("log_records", "log_contents")


def set_vacuum(name: str) -> str:
    """Return the statement by which PostgreSQL vacuums a table that grows for ever, or a partition of one.

    By itself it would wait until a fifth of the rows is dead: a purge goes on for long before its room is
    used again. Rows are only added at one end, and should be known to be visible soon after, so that indexes
    alone can answer and no later vacuum has to read them.
    """
    return f"ALTER TABLE {name} SET ({_VACUUM})"


def set_vacuum_where_unset(connection: Connection) -> None:
    """Do so with the tables of a database that is there already, unless somebody chose settings for them."""
    if connection.dialect.name == "postgresql":
        for name in GROWING:
            if connection.scalar(_UNSET, {"name": name}) is not None:
                connection.exec_driver_sql(set_vacuum(name))


# A table in partitions has no settings of its own.
_UNSET = text("""
    SELECT relname FROM pg_class WHERE oid = to_regclass(:name) AND relkind = 'r' AND reloptions IS NULL
""")
_VACUUM = "autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05"


def _vacuuming(name: str) -> ExecutableDDLElement:
    change: ExecutableDDLElement = DDL(set_vacuum(name))  # type: ignore[no-untyped-call]  # of SQLAlchemy
    return change


def growing(table: Table) -> None:
    """Have a table vacuumed as one that grows for ever."""
    event.listen(table, "after_create", _vacuuming(table.name).execute_if(dialect="postgresql"))


def answering(name: str, *columns: Column[Any]) -> None:
    """Give a bucket table an index that answers by itself, without a look at the table.

    On SQLite that makes sums five times as fast, and writes a thirtieth slower. PostgreSQL would have to
    write every index of a bucket each time something is added to it.
    """
    measures = [column for column in columns[0].table.c if not column.primary_key]
    Index(name, *columns, *measures).ddl_if(dialect="sqlite")
    Index(name, *columns).ddl_if(dialect="postgresql")


def newest_first(name: str, column: Column[Any], where: ColumnElement[bool] | None = None) -> None:
    """Give a table an index that serves the rows of one value newest first, partial when `where` is given.

    On SQLite every index ends with the row id, so `(column)` is `(column, id)` already. PostgreSQL keeps a
    key that rows share once, and an id is never shared: with the block in its place, 4096 seconds of ids, an
    index takes a fifth of the room, and a block is small enough to be sorted.
    """
    block = column.table.c.id.op(">>")(literal_column(str(BLOCK_BITS)))
    Index(name, column, sqlite_where=where).ddl_if(dialect="sqlite")
    Index(name, column, block, postgresql_where=where).ddl_if(dialect="postgresql")
