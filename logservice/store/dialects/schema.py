"""What the definition of a table needs in the words of each engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer

#: A 64-bit primary key; SQLite uses its row id only for a column declared INTEGER.
BigKey = BigInteger().with_variant(Integer(), "sqlite")

#: Bucket tables are looked up by their long key only: on SQLite the key is the table.
CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


def newest_first(where: ColumnElement[bool] | None = None) -> dict[str, Any]:
    """Return the keywords of an index that serves rows newest first, partial when `where` is given.

    On SQLite every index ends with the row id, so `(column)` is `(column, id)` already.
    """
    return {} if where is None else {"sqlite_where": where, "postgresql_where": where}
