"""Sessions on a PostgreSQL server: for reading in snapshots, and for writing."""

from __future__ import annotations

import abc
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Executable,
    PoolProxiedConnection,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import DisconnectionError

from ..prepared import Reader, Snapshot, prepared

#: A session that was not used for so many seconds is asked whether it still lives before it is used.
IDLE_SECONDS = 5
#: What every session is given: limits of time, and no parallel workers, for our statements are short, and to
#: start workers takes longer than they do.
NAMES = ("lock_timeout", "statement_timeout", "max_parallel_workers_per_gather")


class Sessions(abc.ABC):
    """Where sessions come from. `settings` has a value for each of NAMES."""

    def __init__(self, engine: Engine, settings: Mapping[str, str]) -> None:
        self.engine = engine
        self.settings = settings

    @abc.abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees one snapshot of the database."""

    @abc.abstractmethod
    def snapshot(self) -> AbstractContextManager[Reader]:
        """Give the same for prepared statements only."""

    @abc.abstractmethod
    def writing(self) -> AbstractContextManager[Connection]:
        """Begin a transaction; commit it at the end, or undo it when an error leaves the block."""

    @abc.abstractmethod
    def dispose(self, *, close: bool = True) -> None:
        """Let go of all sessions that are ours; without `close` they belong to the parent process."""


class SharedSessions(Sessions):
    """Sessions of an engine that belongs to a host, which are left as they were found."""

    def __init__(self, engine: Engine, settings: Mapping[str, str]) -> None:
        super().__init__(engine, settings)
        snapshots = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._snapshots = engine.execution_options(**snapshots)
        self._writes = engine.execution_options(isolation_level="READ COMMITTED")

    def reading(self) -> AbstractContextManager[Connection]:
        return self._begun(self._snapshots)

    def snapshot(self) -> AbstractContextManager[Reader]:
        return self._begun(self._snapshots)

    def writing(self) -> AbstractContextManager[Connection]:
        return self._begun(self._writes)

    def dispose(self, *, close: bool = True) -> None:
        if not close:
            self.engine.dispose(close=False)

    @contextmanager
    def _begun(self, engine: Engine) -> Iterator[Connection]:
        with engine.connect() as connection, connection.begin():
            change_settings(connection, self.settings)
            yield connection


class OwnSessions(Sessions):
    """Sessions of two engines for the log alone: one that only reads, and one for the writer."""

    def __init__(
        self,
        engine: Engine,
        settings: Mapping[str, str],
        connect_args: Mapping[str, Any],
        *,
        waiting_time: float,
    ) -> None:
        super().__init__(engine, settings)
        # One thread writes; commands of other threads find a connection all the same.
        self._writes = create_engine(
            engine.url, pool_size=1, pool_timeout=waiting_time, connect_args=dict(connect_args)
        )
        _listen(engine, {**settings, "default_transaction_isolation": "'repeatable read'"} | _READ_ONLY)
        _listen(self._writes, {**settings, "default_transaction_isolation": "'read committed'"})
        event.listen(self._writes, "connect", _wait_for_the_disk)

    def reading(self) -> AbstractContextManager[Connection]:
        return self._begun(self.engine)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        pooled = self.engine.raw_connection()
        try:
            yield Snapshot(self.engine.dialect, pooled)
        finally:
            if _is_broken(pooled):
                pooled.invalidate()
                self.dispose()
            # The pool rolls back what is begun.
            pooled.close()

    def writing(self) -> AbstractContextManager[Connection]:
        return self._begun(self._writes)

    @contextmanager
    def _begun(self, engine: Engine) -> Iterator[Connection]:
        with engine.connect() as connection:
            try:
                with connection.begin():
                    yield connection
            finally:
                # Where one session was ended, all were, and no other request need meet them.
                if connection.invalidated or _is_broken(connection.connection):
                    connection.invalidate()
                    self.dispose()

    def dispose(self, *, close: bool = True) -> None:
        self.engine.dispose(close=close)
        self._writes.dispose(close=close)


_READ_ONLY = {"default_transaction_read_only": "on"}


def _wait_for_the_disk(connection: Any, _record: Any) -> None:
    """Have commits wait for the disk where the server would not; where they wait for more, that stays."""
    would_not = "current_setting('synchronous_commit') = 'off'"
    connection.execute(f"SELECT set_config('synchronous_commit', 'on', false) WHERE {would_not}")
    connection.commit()


def change_settings(connection: Connection, settings: Mapping[str, str]) -> None:
    """Change settings until the end of the transaction."""
    _changed(connection, settings)


@prepared
def _changed() -> Executable:
    until_its_end: ColumnElement[bool] = literal_column("true")
    return select(*(func.set_config(name, bindparam(name, type_=Text()), until_its_end) for name in NAMES))


def _is_broken(pooled: PoolProxiedConnection) -> bool:
    driver: Any = pooled.driver_connection
    return bool(driver.closed)


def _listen(engine: Engine, settings: Mapping[str, str]) -> None:
    """Set sessions up when they begin, and notice those that the server ended meanwhile."""

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            for name, value in settings.items():
                cursor.execute(f"SET {name} = {value}")
        connection.commit()
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkin")
    def remember(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info["used"] < IDLE_SECONDS:
            return
        try:
            connection.execute("SELECT 1")
            connection.rollback()
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the server ended the session") from error
