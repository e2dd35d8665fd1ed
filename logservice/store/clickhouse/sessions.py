"""Sessions with ClickHouse: clients of its nodes, tried in turn, or of the engine in this process."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.engine import Dialect as EngineDialect
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from ... import extras
from ...errors import InvalidValue, Unavailable
from ..dialects import urls as setting
from ..prepared import Compiled, Reader, Snapshot
from .urls import Place

T = TypeVar("T")
log = logging.getLogger("logservice")

#: Clients that are kept, and those that may be there besides at a time.
_KEPT, _MORE = 4, 28
#: Seconds until a node has to take a connection, and to have answered.
_CONNECT_SECONDS, ANSWER_SECONDS = 3, 30
# What is deleted may lie in very many parts.
_PATIENT_SECONDS = 900
#: What statements are run with. Names are those of columns before they are those of what is selected.
_SETTINGS = {
    "prefer_column_name_to_alias": 1,
    "insert_deduplicate": 1,
    # Our own blocks are gathered already, and those of the server would be known by other tokens.
    "async_insert": 0,
    # Names of models that hold a keyword may be thousands.
    "max_query_size": 16 * 2**20,
    # A block may hold rows of any number of months.
    "max_partitions_per_insert_block": 0,
    # An insert into a table of all shards is answered once it lies on them.
    "insert_distributed_sync": 1,
    # Rows are read where they were stored: another replica may not have them yet.
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,
    # What is deleted counts as that once it is so on every replica, and whoever waits for one that is away is
    # told before the driver gives up: else the same would be asked of the next node.
    "mutations_sync": 2,
    "replication_alter_partitions_sync": 2,
    "distributed_ddl_task_timeout": 20,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_escape_forward_slashes": 0,
}


class Sessions:
    """Clients for one place, given to one thread at a time."""

    def __init__(self, place: Place, *, waiting_time: float) -> None:
        self.place = place
        self.waiting_time = waiting_time
        self.driver, self.dialect = _driver(place)
        self._next = itertools.count()
        self._pool = self._new_pool()

    def read(self, work: Callable[[Reader], T]) -> T:
        """Do work that reads, on another node where one has failed."""
        return self._tried(lambda connection: work(Snapshot(self.dialect, connection)))

    def command(self, statement: str, *, patiently: bool = False) -> None:
        """Run a statement that returns nothing; one that may take minutes is waited for `patiently`."""
        if not patiently:
            self._tried(lambda connection: _client(connection).command(statement))
            return
        connection = self._connected(answer_seconds=_PATIENT_SECONDS)
        try:
            connection.client.command(statement)
        finally:
            connection.close()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement without parameters and return its rows."""
        return self._tried(lambda connection: list(_client(connection).query(statement).result_rows))

    def create(self, statements: Iterable[str]) -> None:
        """Run statements that create what is missing, the database itself among it."""
        connection = self._connected(in_database=False)
        try:
            for statement in statements:
                connection.client.command(statement)
        finally:
            connection.close()

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        kinds: Sequence[str],
        data: Sequence[Sequence[Any]],
        *,
        token: str,
    ) -> None:
        """Store a block of data given by columns; a block of the same token is stored once."""
        settings = {"insert_deduplication_token": token}

        def work(connection: PoolProxiedConnection) -> None:
            _client(connection).insert(
                table,
                data,
                column_names=columns,
                column_type_names=kinds,
                database=self.place.database,
                column_oriented=True,
                settings=settings,
            )

        self._tried(work)

    def lines(self, statement: Compiled, values: Mapping[str, Any]) -> bytes:
        """Return what a statement finds as lines of JSON."""

        def work(connection: PoolProxiedConnection) -> bytes:
            found: bytes = _client(connection).raw_query(
                statement.sql, parameters=statement.parameters(values), fmt="JSONEachRow"
            )
            return found

        return self._tried(work)

    def dispose(self, *, close: bool = True) -> None:
        """Let go of all clients; without `close` they belong to the parent process."""
        if close:
            self._pool.dispose()
        self._pool = self._new_pool()

    def _tried(self, work: Callable[[PoolProxiedConnection], T]) -> T:
        """Do work with a client; where its node does not answer, with others in turn."""
        attempts = max(1, len(self.place.nodes))
        for attempt in range(1, attempts + 1):
            connection = self._pool.connect()
            try:
                return work(connection)
            except self.driver.OperationalError as error:
                connection.invalidate()
                # Others that were kept may be of the same node.
                self.dispose()
                if attempt == attempts or getattr(error, "code", None) is not None:
                    raise
                log.warning("a node of ClickHouse does not answer, and another one is asked (%s)", error)
            finally:
                connection.close()
        raise AssertionError("no node was tried")

    def _new_pool(self) -> QueuePool:
        return QueuePool(self._connected, pool_size=_KEPT, max_overflow=_MORE, timeout=self.waiting_time)

    def _connected(self, *, in_database: bool = True, answer_seconds: int = ANSWER_SECONDS) -> Any:
        """Connect with the next node that answers; the database that is meant has to be there."""
        connection = self._opened(answer_seconds)
        for name, value in _SETTINGS.items():
            connection.client.set_client_setting(name, value)
        if in_database:
            connection.client.database = self.place.database
        return connection

    def _embedded(self, folder: Path) -> Any:
        try:
            return self.driver.connect(interface="chdb", path=str(folder))
        except self.driver.ProgrammingError as error:
            raise Unavailable(
                f"{folder} cannot be opened; perhaps the service or another process has it open, and the "
                "engine lets in one at a time",
                retry_after=5,
                detail=str(error),
                meets_all=True,
            ) from error

    def _opened(self, answer_seconds: int) -> Any:
        place = self.place
        if place.folder is not None:
            place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._embedded(place.folder)
        first = next(self._next)
        for attempt in range(len(place.nodes)):
            host, port = place.nodes[(first + attempt) % len(place.nodes)]
            try:
                return self.driver.connect(
                    host=host,
                    port=port,
                    connect_timeout=_CONNECT_SECONDS,
                    send_receive_timeout=answer_seconds,
                    autogenerate_session_id=False,
                    **place.options,
                )
            except self.driver.OperationalError as error:
                if attempt + 1 == len(place.nodes):
                    raise
                log.warning("%s:%d does not answer, and another node is asked (%s)", host, port, error)
        raise AssertionError("no node was tried")


def _client(connection: PoolProxiedConnection) -> Any:
    driver: Any = connection.driver_connection
    return driver.client


def _driver(place: Place) -> tuple[Any, EngineDialect]:
    """Return the driver and how SQLAlchemy speaks with it, which are loaded only where they are needed."""
    extra = "clickhouse" if place.folder is None else "test-clickhouse"
    try:
        driver = import_module("clickhouse_connect.dbapi")
        dialect = import_module("clickhouse_connect.cc_sqlalchemy.dialect").ClickHouseDialect
        if place.folder is not None:
            import_module("chdb")
    except ImportError:
        raise InvalidValue(f"{setting.SETTING}: ClickHouse needs {extras.how_to_install(extra)}") from None
    # What it would print is raised as well, and told by whoever handles it.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    return driver, dialect(paramstyle="pyformat")
