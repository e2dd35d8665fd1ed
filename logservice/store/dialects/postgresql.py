"""PostgreSQL: many writers at once, kept apart by locks on what they change.

Reads are snapshots (REPEATABLE READ). Writers add to the same buckets, so they lock them in the same order;
what must not change under a writer, or may change under nobody else, is claimed by advisory locks that end
with the transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    JSON,
    URL,
    BigInteger,
    Boolean,
    Connection,
    Engine,
    Executable,
    Integer,
    QueuePool,
    Table,
    Text,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from ...errors import InvalidValue, Unavailable
from ...extras import how_to_install
from ..ids import IdRange
from ..jobs import Claim
from ..prepared import Reader, prepared
from . import postgresql_partitions as partitions
from .base import Dialect, Space
from .expressions import add_up
from .postgresql_ids import new_ids
from .postgresql_sessions import NAMES, OwnSessions, Sessions, SharedSessions, change_settings
from .postgresql_size import SIZES, unused

log = logging.getLogger("logservice")

#: A statement that takes longer is cancelled: whoever asked has gone by then.
STATEMENT_SECONDS = 60
_SEARCH_INDEX = "log_contents_search"

# Classes of errors: the connection, the login, and a server that is shutting down.
_OUT_OF_REACH = ("08", "28", "57P")
# What meets any work just now: the connection, a full disk and its like, a lock, a server that shuts down.
_MEETS_ALL = ("08", "53", "55P03", "57P0")
_UNDEFINED_TABLE, _LOCK_NOT_AVAILABLE, _QUERY_CANCELED = "42P01", "55P03", "57014"


class PostgreSQLDialect(Dialect):
    """A database on a server, reached through a pool; `shared` is an engine that belongs to a host."""

    name = "postgresql"
    shared_driver = "psycopg"
    one_writer = False
    # Nobody waits for a purge but who adds to the same weeks, so that fewer and larger ones are better.
    purge_batch = 50_000

    def __init__(self, engine: Engine, *, waiting_time: float, shared: bool) -> None:
        super().__init__(engine, waiting_time=waiting_time, shared=shared)
        limits = (waiting_time * 1000, STATEMENT_SECONDS * 1000, 0)
        settings = {name: f"{limit:.0f}" for name, limit in zip(NAMES, limits, strict=True)}
        if shared:
            self._sessions: Sessions = SharedSessions(engine, settings)
        else:
            self._sessions = OwnSessions(
                engine, settings, _connect_args(waiting_time), waiting_time=waiting_time
            )
        self._warned: set[str] = set()
        # None until somebody asks.
        self._is_partitioned: bool | None = None

    @classmethod
    def engine_settings(cls, url: URL, folder: str, *, waiting_time: float) -> dict[str, Any]:
        if find_spec("psycopg") is None:
            raise InvalidValue(
                f"LOGSERVICE_DATABASE_URL: PostgreSQL needs psycopg: {how_to_install('postgres')}"
            )
        return {
            "url": url.set(drivername="postgresql+psycopg"),
            "poolclass": QueuePool,
            "pool_size": 16,
            "max_overflow": 16,
            "pool_timeout": waiting_time,
            "connect_args": _connect_args(waiting_time),
        }

    def lost(self, error: BaseException) -> str:
        state = getattr(getattr(error, "orig", error), "sqlstate", None)
        if state == _UNDEFINED_TABLE:
            return "the database has no tables yet; `logservice init-db` creates them"
        if state == _LOCK_NOT_AVAILABLE:
            return f"the database was locked for more than {self.waiting_time:g} seconds"
        if state == _QUERY_CANCELED:
            return f"the database took longer than {STATEMENT_SECONDS} seconds"
        if isinstance(error, OSError):
            return f"the database failed: {error.strerror or type(error).__name__}"
        if state is None or state.startswith(_OUT_OF_REACH):
            return "the database server cannot be reached"
        return f"the database failed: {str(getattr(error, 'orig', error)).strip().splitlines()[0]}"

    def reset_after_fork(self) -> None:
        self._sessions.dispose(close=False)

    def exists(self) -> bool:
        """A server answers for itself: who asks an absent one is told by the error."""
        return True

    def create(self, bring_up: Callable[[Connection], None]) -> None:
        with self._sessions.writing() as connection:
            # Copying an old log into new tables may take as long as it takes.
            change_settings(connection, dict.fromkeys(NAMES, "0"))
            self.claim(connection, [Claim("schema")])
            bring_up(connection)
            self._index_contents(connection)
        self._is_partitioned = None

    def close(self, finish_writing: Callable[[], None]) -> None:
        finish_writing()
        self._sessions.dispose()

    def status(self) -> dict[str, Any]:
        return {"database_bytes": self.space().database}

    def space(self) -> Space:
        with self.reading() as connection:
            tables = {row.relname: row.size for row in connection.execute(SIZES)}
        return Space(sum(tables.values()), tables=tables)

    def session(self, connection: Connection) -> int:
        driver: Any = connection.connection.driver_connection
        return int(driver.info.backend_pid)

    def size(self, connection: Connection, *, rows: int) -> int:
        taken = sum(row.size for row in connection.execute(SIZES))
        return int(taken) - unused(connection, rows=rows)

    def back_up(self, path: Path, advance: Callable[[], None]) -> None:
        raise InvalidValue(
            "the log is on PostgreSQL, which has a program of its own for that: `pg_dump --format=custom"
            " --file=FILE DATABASE`, and `pg_restore` to go back"
        )

    # -- transactions --------------------------------------------------------------------------------------

    def reading(self, *, much: bool = False) -> AbstractContextManager[Connection]:
        return self._sessions.reading()

    def snapshot(self) -> AbstractContextManager[Reader]:
        return self._sessions.snapshot()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """There may be many writers: nobody is kept out."""
        yield

    def tidy(self) -> None:
        """The server tidies up by itself."""

    def is_wanted(self) -> bool:
        """Nobody waits for a turn."""
        return False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self._sessions.writing() as connection:
            yield connection
            _verify(connection)

    def claim(self, connection: Connection, claims: Iterable[Claim]) -> None:
        """Take advisory locks in the order of their keys, as all writers do; alone goes before shared."""
        found = {
            _key(claim.name): claim.shared for claim in sorted(claims, key=lambda claim: not claim.shared)
        }
        if found:
            keys = sorted(found)
            _locks(connection, {"keys": keys, "shared": [found[key] for key in keys]})

    def release(self) -> None:
        """Connections go back to the pool by themselves."""

    def meets_all(self, error: Exception) -> bool:
        """Say so of a lock, a full disk, a lost connection; no deadlock, nor a limit of one statement."""
        cause: Any = getattr(error, "orig", error)
        if not isinstance(cause, self.engine.dialect.loaded_dbapi.OperationalError):
            return False
        # The driver itself, which knows no codes, tells of connections that are lost.
        return cause.sqlstate is None or cause.sqlstate.startswith(_MEETS_ALL)

    # -- writing -------------------------------------------------------------------------------------------

    def new_ids(self, connection: Connection, seconds: Sequence[int]) -> list[int]:
        return new_ids(connection, seconds)

    def insert(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        preparer = connection.dialect.identifier_preparer
        names = ", ".join(preparer.quote(column.name) for column in table.c)
        with (
            _cursor(connection) as cursor,
            cursor.copy(f"COPY {table.name} ({names}) FROM STDIN BINARY") as copy,
        ):
            copy.set_types([_COPY_TYPES[type(column.type)] for column in table.c])
            for row in rows:
                copy.write_row(row)

    def add_up(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        names = [str(column.name) for column in table.c]
        given = orjson.dumps([dict(zip(names, row, strict=True)) for row in rows]).decode()
        statement = _addition.compiled(connection.dialect, table)
        with _cursor(connection) as cursor:
            cursor.execute(statement.sql, statement.parameters({"rows": given}))

    # -- partitions ----------------------------------------------------------------------------------------

    def partitioning(self) -> Callable[[Connection, Sequence[Table]], None]:
        return partitions.create_partitioned

    def make_room(self, connection: Connection, seconds: Iterable[int]) -> None:
        """Add partitions for months that have none; whoever wants the same waits, and looks again.

        They are looked up each time, which takes a tenth of a millisecond: another process may have dropped
        one that we know.
        """
        if self._is_partitioned is None:
            self._is_partitioned = partitions.is_partitioned(connection)
        if self._is_partitioned and partitions.missing(connection, found := partitions.months_of(seconds)):
            self.claim(connection, [Claim("partitions")])
            partitions.add(connection, partitions.missing(connection, found))

    def months(self, connection: Connection) -> list[IdRange]:
        return partitions.months(connection)

    def drop_month(self, connection: Connection, month: IdRange) -> bool:
        return partitions.drop(connection, month)

    # -- searching -----------------------------------------------------------------------------------------

    def _index_contents(self, connection: Connection) -> None:
        """Create the substring index where that is possible; without it searches are right, and slower."""
        if connection.scalar(select(func.to_regclass(_SEARCH_INDEX))) is not None:
            return
        try:
            with connection.begin_nested():
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
                connection.exec_driver_sql(_CREATE_SEARCH_INDEX)
        except DBAPIError as error:
            self._warn_once(f"search has no index and reads all contents: pg_trgm: {self.lost(error)}")
            return
        if connection.scalar(_CTYPE) in ("C", "POSIX"):
            self._warn_once("search has no index for other than Latin letters: the database has LC_CTYPE C")

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            log.warning(message)

    def plan_by_values(self, connection: Reader) -> None:
        """Without a look at the keyword, a plan cannot tell whether the substring index is of use."""
        _plan_by_values(connection, {})

    def index_contents(self, connection: Connection, contents: Sequence[tuple[int, str]]) -> None:
        """The index belongs to the table."""

    def unindex_contents(self, connection: Connection, contents: Sequence[tuple[int, str]]) -> None:
        """The index belongs to the table."""

    def clear_contents(self, connection: Connection) -> None:
        """The index belongs to the table."""


_CREATE_SEARCH_INDEX = f"""
    CREATE INDEX {_SEARCH_INDEX} ON log_contents USING gin ((coalesce(folded, content)) gin_trgm_ops)
"""
_CTYPE = text("SELECT datctype FROM pg_database WHERE datname = current_database()")
_COPY_TYPES = {BigInteger: "int8", Integer: "int4", Boolean: "bool", Text: "text"}


def _connect_args(waiting_time: float) -> dict[str, Any]:
    return {
        "connect_timeout": max(2, round(waiting_time)),
        "application_name": "logservice",
        # A server that vanished is noticed within half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }


def _key(name: str) -> int:
    """Return the number by which an advisory lock is known, the same in every process."""
    return int.from_bytes(blake2b(f"logservice {name}".encode(), digest_size=8).digest(), signed=True)


def _verify(connection: Connection) -> None:
    """Refuse to commit what is lost: after an error that somebody swallowed, COMMIT quietly undoes it all."""
    driver: Any = connection.connection.driver_connection
    if driver.info.transaction_status.name == "INERROR":
        raise Unavailable("the database ended the transaction by itself", retry_after=5)


def _cursor(connection: Connection) -> Any:
    return connection.connection.cursor()


@prepared
def _locks() -> Executable:
    """Take advisory locks one after the other, in the order they are given."""
    claims = (
        func.unnest(bindparam("keys", type_=ARRAY(BigInteger)), bindparam("shared", type_=ARRAY(Boolean)))
        .table_valued(column("key", BigInteger), column("shared", Boolean))
        .render_derived()
    )
    # Cast to text, for the functions return void.
    together = func.pg_advisory_xact_lock_shared(claims.c.key).cast(Text)
    alone = func.pg_advisory_xact_lock(claims.c.key).cast(Text)
    return select(case((claims.c.shared, together), else_=alone))


@prepared
def _plan_by_values() -> Executable:
    return select(func.set_config("plan_cache_mode", "force_custom_plan", literal_column("true")))


@prepared
def _addition(table: Table) -> Executable:
    """Add rows given as the text of a JSON array: the driver takes several times as long over real arrays."""
    columns = (column(one.name, one.type) for one in table.c)
    given = func.json_to_recordset(bindparam("rows", type_=Text()).cast(JSON)).table_valued(*columns)
    source = given.render_derived(with_types=True)
    statement: Executable = add_up("postgresql", table, select(*source.c))
    return statement
