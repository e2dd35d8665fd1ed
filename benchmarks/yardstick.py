"""The yardstick: a gateway's log table with its indexes, and one connection to ask it on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .rows import COLUMNS, Values

INDEXES = (
    ("id", "created_at"),
    ("user_id",),
    ("created_at", "type"),
    ("username",),
    ("model_name", "username"),
    ("token_name",),
    ("model_name",),
    ("channel_id",),
    ("token_id",),
    ("group",),
    ("ip",),
)
TEXTS = {"content", "username", "token_name", "model_name", "group", "ip", "other"}

_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
INSERT = f"INSERT INTO logs ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"
COPY = f"COPY logs ({_NAMES}) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with its values; `?` stands for each of them."""

    sql: str
    values: Values = ()


def table_of(kinds: Mapping[str, str]) -> list[str]:
    """Return the statements that create table and indexes; `kinds` are the engine's words for the types."""
    special = {"is_stream": "boolean", **dict.fromkeys(TEXTS, "text")}
    columns = [f'"{name}" {kinds[special.get(name, "number")]}' for name in COLUMNS]
    table = f"CREATE TABLE logs (id {kinds['id']} PRIMARY KEY, {', '.join(columns)})"
    return [table, *map(_index, INDEXES)]


def _index(columns: Sequence[str]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"CREATE INDEX logs_{'_'.join(columns)} ON logs ({names})"


class Yardstick(ABC):
    """The table on one connection, which commits each statement unless a transaction was begun."""

    #: What stands for a value in the engine's own statements.
    placeholder = "?"

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @abstractmethod
    def load(self, rows: Sequence[Values]) -> None:
        """Add many rows by the fastest way there is, in one transaction."""

    def answer(self, statement: Statement) -> list[Values]:
        """Run a statement and fetch all rows."""
        found: list[Values] = self.connection.execute(self._sql(statement.sql), statement.values).fetchall()
        return found

    def add(self, row: Values) -> None:
        """Add one row, committed on its own."""
        self.connection.execute(self._sql(INSERT), row)

    def add_all(self, rows: Sequence[Values]) -> None:
        """Add rows one by one in one transaction."""
        self.connection.execute("BEGIN")
        self.connection.cursor().executemany(self._sql(INSERT), rows)
        self.connection.execute("COMMIT")

    def delete_older(self, second: int) -> int:
        """Delete all rows older than a second by one statement, and return their number."""
        statement = self._sql("DELETE FROM logs WHERE created_at < ?")
        deleted: int = self.connection.execute(statement, (second,)).rowcount
        return deleted

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()

    def _sql(self, sql: str) -> str:
        return sql.replace("?", self.placeholder)
