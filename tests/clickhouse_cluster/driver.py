"""A driver for servers of version 18.16, in place of the store's own, which does not speak with them.

The store runs on it unchanged: it composes the statements, chooses the nodes and puts rows into blocks.
What its statements and settings say that this version does not know is left out or put in other words here,
and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from clickhouse_connect import dbapi
from clickhouse_connect.cc_sqlalchemy.dialect import ClickHouseDialect
from clickhouse_connect.cc_sqlalchemy.sql.compiler import ChStatementCompiler
from clickhouse_connect.driver.binding import finalize_query

from tests.clickhouse_cluster.servers import Cluster, Node, Refused
from tests.processes import eventually

#: Settings that the version does not know, and what it does without them.
UNKNOWN_SETTINGS = (
    # A name that is both a column's and what is selected means the latter: sums are selected by others.
    "prefer_column_name_to_alias",
    # It gathers no blocks of its own.
    "async_insert",
    # A block holds rows of any number of months in any case.
    "max_partitions_per_insert_block",
    # A deletion is answered before it is done: the driver waits for it.
    "mutations_sync",
    # A block is known by its rows alone.
    "insert_deduplication_token",
)

#: What statements are put in other words for, in this order.
OTHER_WORDS = (
    # How a column is compressed is not for the statement to say.
    (re.compile(r" CODEC\((?:[^()]|\([^()]*\))*\)"), ""),
    # Few values that come again are stored as any others; a truth value is a number.
    (re.compile(r"LowCardinality\((\w+)\)"), r"\1"),
    (re.compile(r"\bBool\b"), "UInt8"),
    # Nothing leads past blocks of rows, and no sums are kept beside them: statements find the same without.
    (re.compile(r", (?:INDEX|PROJECTION) \w+ .*?(?=, INDEX |, PROJECTION |\) ENGINE = )"), ""),
    # Of the settings of a table it knows for how many blocks they are recognised.
    (re.compile(r"(SETTINGS replicated_deduplication_window = \d+).*"), r"\1"),
    # The names in an engine's arguments are words, not quoted.
    (re.compile(r"(?<=ENGINE = Distributed\()[^)]*"), lambda found: found[0].replace("`", "")),
    # What is selected as a sum does not bear the name of a column that another sum adds up.
    (re.compile(r"(?<= AS BIGINT\) AS )`(\w+)`"), r"`sum_of_\1`"),
    # Rows are deleted by rewriting the parts that hold them, and not marked first.
    (re.compile(r"^DELETE FROM (.+?) WHERE "), r"ALTER TABLE \1 DELETE WHERE "),
)
# What the server calls the errors that the store knows by name.
_NAMES = {60: "UNKNOWN_TABLE", 81: "UNKNOWN_DATABASE"}


def translated(statement: str) -> str:
    """Return a statement in the words of the version."""
    for pattern, words in OTHER_WORDS:
        statement = pattern.sub(words, statement)
    return statement


class Compiler(ChStatementCompiler):
    """Writes statements for the version."""

    def visit_funcfilter(self, funcfilter: Any, **options: Any) -> str:
        """Write an aggregate of some rows: this version has a function for that, and no FILTER."""
        arguments = self.process(funcfilter.func.clause_expr.element, **options)
        return f"{funcfilter.func.name}If({arguments}, {self.process(funcfilter.criterion, **options)})"


class Dialect(ClickHouseDialect):
    """The store's dialect with that compiler, by another name, under which compiled statements are kept."""

    driver = "connect-18.16"
    statement_compiler = Compiler
    supports_statement_cache = False


class Driver:
    """Connects with the nodes of a cluster, as the module of the store's driver does."""

    Error = dbapi.Error
    DatabaseError = dbapi.DatabaseError
    OperationalError = dbapi.OperationalError

    def __init__(self, cluster: Cluster) -> None:
        self._nodes = {node.port: node for node in cluster.nodes}

    def wait_for_deletions(self) -> None:
        """Return once no server is still deleting rows."""
        left = "SELECT table FROM system.mutations WHERE NOT is_done"
        running = [node for node in self._nodes.values() if node.is_running]
        assert eventually(lambda: not any(node.rows(left) for node in running)), (
            "rows are still being deleted"
        )

    def connect(self, *, port: int, settings: Mapping[str, Any] | None = None, **_options: Any) -> Connection:
        """Return a connection to a node. Raises OperationalError where it does not answer."""
        client = Client(self, self._nodes[port], settings or {})
        client.command("SELECT 1")
        return Connection(client)


@dataclass
class Connection:
    """A connection as SQLAlchemy's pool handles it."""

    client: Client

    def cursor(self) -> Cursor:
        """Return what runs a statement."""
        return Cursor(self.client)

    def rollback(self) -> None:
        """Do nothing: there are no transactions."""

    def close(self) -> None:
        """Do nothing: each statement is a connection of its own."""


@dataclass
class Cursor:
    """Runs a statement and keeps its rows."""

    client: Client
    found: list[tuple[Any, ...]] = field(default_factory=list)

    def execute(self, statement: str, parameters: Any) -> None:
        """Run a statement with values."""
        self.found = self.client.query(finalize_query(statement, parameters)).result_rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows."""
        return self.found

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Result:
    """The rows of a statement."""

    result_rows: list[tuple[Any, ...]]


class Client:
    """Does what the store asks of the client of one node."""

    def __init__(self, driver: Driver, node: Node, settings: Mapping[str, Any]) -> None:
        self.database = "default"
        self._driver = driver
        self._node = node
        self._settings = dict(settings)

    def set_client_setting(self, name: str, value: Any) -> None:
        """Have every statement run with a setting."""
        self._settings[name] = value

    def command(self, statement: str) -> None:
        """Run a statement that returns nothing."""
        statement = translated(statement)
        self._ask(statement)
        if " DELETE WHERE " in statement:
            self._driver.wait_for_deletions()

    def query(self, statement: str) -> Result:
        """Run a statement and return its rows."""
        answer = self._ask(translated(statement), default_format="JSONCompact")
        return Result([tuple(row) for row in json.loads(answer)["data"]])

    def raw_query(self, statement: str, *, parameters: Any, fmt: str) -> bytes:
        """Run a statement with values and return what the server writes."""
        return self._ask(translated(finalize_query(statement, parameters)), default_format=fmt).encode()

    def insert(
        self,
        table: str,
        data: Sequence[Sequence[Any]],
        *,
        column_names: Sequence[str],
        settings: Mapping[str, Any],
        **_options: Any,
    ) -> None:
        """Insert a block of data given by columns."""
        # A truth value is a number to this version.
        plain = [[int(value) if isinstance(value, bool) else value for value in column] for column in data]
        rows = [dict(zip(column_names, row, strict=True)) for row in zip(*plain, strict=True)]
        with _failing_as_the_driver():
            self._node.insert(table, rows, **self._known(settings))

    def _ask(self, statement: str, **settings: Any) -> str:
        with _failing_as_the_driver():
            return self._node.ask(statement, settings=self._known(settings))

    def _known(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of the store and some more, as far as the version knows them."""
        given = {"database": self.database, **self._settings, **settings}
        return {name: value for name, value in given.items() if name not in UNKNOWN_SETTINGS}


@contextmanager
def _failing_as_the_driver() -> Iterator[None]:
    """Raise what the store's driver would: with a code where the server has said why."""
    try:
        yield
    except Refused as error:
        found = re.search(r"Code: (\d+)", str(error))
        code = 0 if found is None else int(found[1])
        raise dbapi.DatabaseError(str(error), code=code, name=_NAMES.get(code)) from error
    except OSError as error:
        raise dbapi.OperationalError(str(error)) from error
