"""What the definition of a table needs in the words of each engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Index, Integer, Text, literal_column

#: An id without this many bits is the number of its block.
BLOCK_BITS = 33

#: A 64-bit primary key; SQLite uses its row id only for a column declared INTEGER.
BigKey = BigInteger().with_variant(Integer(), "sqlite")

#: Text compared byte by byte: PostgreSQL's other collations are slower, and order names as dictionaries do.
PlainText = Text().with_variant(Text(collation="C"), "postgresql")

#: Bucket tables are looked up by their long key only: on SQLite the key is the table.
CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


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
