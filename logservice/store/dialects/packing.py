"""Many rows in one piece, where a driver would have other threads run between one row and the next.

Python's driver of SQLite gives up the GIL for each row, and in a busy process waits for it as often, each
time until another thread gives it up in turn: a hundred rows cost a hundred changes of threads. As one value,
which SQLite makes without the GIL, they cost one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from sqlalchemy import Select
from sqlalchemy.engine import Dialect as EngineDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.selectable import CompoundSelect

from ..prepared import Packed, Row


class packed(Packed):
    """`packed(statement)`: its rows, in its order; their values are whole numbers, texts and None.

    All of them together have less than the 1,000,000,000 bytes that SQLite takes for one value.
    """

    inherit_cache = False

    def __init__(self, statement: Select[Any] | CompoundSelect[Any]) -> None:
        self.statement = statement

    def unpack(self, dialect: EngineDialect) -> Callable[[Sequence[Row]], list[Row]] | None:
        """Return what makes rows of what SQLite gives; others give rows."""
        return _rows_of_json if dialect.name == "sqlite" else None


def _rows_of_json(found: Sequence[Row]) -> list[Row]:
    [[given]] = found
    return list(map(tuple, orjson.loads(given)))


@compiles(packed, "sqlite")
def _packed_sqlite(element: packed, compiler: Any, **options: Any) -> str:
    """Spell it as bytes: a text would be decoded by the driver, only to be parsed.

    SQLite does not merge a query that has an order into one that aggregates, so that the order is kept.
    """
    names = ", ".join(f"c{place}" for place, _ in enumerate(element.statement.selected_columns))
    rows = compiler.process(element.statement, **options)
    array = f"CAST(json_group_array(json_array({names})) AS BLOB)"
    return f"WITH packed ({names}) AS ({rows}) SELECT {array} FROM packed"  # nosec B608 # a statement of ours


@compiles(packed)
def _packed(element: packed, compiler: Any, **options: Any) -> str:
    spelled: str = compiler.process(element.statement, **options)
    return spelled
