"""SQLite: a file, one writer at a time, and a write-ahead log that only writers may fold back.

SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when two connections commit and checkpoint at the same
moment, and its busy handler is unfair. So every process writes through one thread that queues on a lock
file beside the database and checkpoints under that lock; everything else opens the file read-only.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Executable,
    NullPool,
    QueuePool,
    Table,
    bindparam,
    create_engine,
    event,
    insert,
    inspect,
    literal_column,
)
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.exc import DisconnectionError

from ...errors import InvalidValue, Unavailable
from .. import ids
from ..locks import FileLock
from ..prepared import Reader, Snapshot, prepared
from ..writer import Claim
from .base import Dialect, SearchIndex
from .expressions import add_up

log = logging.getLogger("logservice")

# A checkpoint is made each time the write-ahead log has grown by so many bytes. Pages that batch after batch
# writes to are copied once, so fewer checkpoints make a quarter more rows a second than one for each 4 MiB.
_CHECKPOINT_BYTES = 32 * 1024 * 1024
# A file that is so many times as long is cut off.
_LONGEST_WAL = 4
_WAL_INDEX = struct.Struct("=14xHI")
# More trigrams than this do not narrow a search any further.
_MOST_TRIGRAMS = 64
_INDEX = "log_contents_index"

_READER_PRAGMAS = ("PRAGMA query_only=ON", "PRAGMA cache_size=-16384", "PRAGMA mmap_size=268435456")
# The order matters: auto_vacuum before WAL, and both before the first table.
_WRITER_PRAGMAS = (
    "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=OFF",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA cache_size=-65536",
    "PRAGMA temp_store=MEMORY",
)


_index = sql_table(_INDEX, sql_column("rowid"))
_SEARCH_INDEX = SearchIndex(_index, _index.c.rowid, literal_column(_INDEX).op("MATCH")(bindparam("terms")))


class SQLiteDialect(Dialect):
    """A database in one file, read through `engine` and written on a connection of its own."""

    name = "sqlite"
    # No engine is shared: our pragmas and our writer would change a host's, and wait for its transactions.
    one_writer = True
    search_index = _SEARCH_INDEX

    def __init__(self, engine: Engine, *, waiting_time: float, shared: bool = False) -> None:
        super().__init__(engine, waiting_time=waiting_time, shared=shared)
        self.path = _path(engine.url)
        self._lock_path = self.path.with_name(self.path.name + "-lock")
        self._wal_left = 0
        self._connection: Connection | None = None
        _listen_to_reader(engine, self.path)

    @classmethod
    def engine_settings(cls, url: URL, folder: str, *, waiting_time: float) -> dict[str, Any]:
        if url.database in (None, "", ":memory:") or "memory" in url.query.get("mode", ""):
            raise InvalidValue("LOGSERVICE_DATABASE_URL: SQLite needs a file, for several workers share it")
        path = Path(folder, _path(url))
        return {
            "url": _uri(path, "ro"),
            "poolclass": QueuePool,
            "pool_size": 8,
            "max_overflow": 24,
            "pool_timeout": waiting_time,
            "connect_args": {"timeout": waiting_time, "check_same_thread": False},
        }

    def exists(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def create(self, bring_up: Callable[[Connection], None]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with FileLock(self._lock_path), self._connect_writer() as connection, connection.begin():
            bring_up(connection)
            if not inspect(connection).has_table(_INDEX):
                connection.exec_driver_sql(_CREATE_INDEX)
                connection.exec_driver_sql(_FILL_INDEX)
        self.engine.dispose()

    def lost(self, error: BaseException) -> str:
        if isinstance(error, OSError):
            return (
                f"the database cannot be used: {error.filename or self.path.name}: {error.strerror or error}"
            )
        message = str(getattr(error, "orig", None) or error)
        if not self.path.exists():
            return f"the database file {self.path.name} does not exist; `logservice init-db` creates it"
        if "no such table" in message:
            return "the database has no tables yet; `logservice init-db` creates them"
        return f"the database failed: {message}"

    def reset_after_fork(self) -> None:
        self.engine.dispose(close=False)
        self._connection = None

    def close(self, finish_writing: Callable[[], None]) -> None:
        # Readers first: the last connection to close folds the write-ahead log back, and readers may not.
        self.engine.dispose()
        finish_writing()

    def status(self) -> dict[str, Any]:
        return {"database_bytes": self.path.stat().st_size, "wal_bytes": self._wal_bytes()}

    # -- transactions --------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        pooled = self.engine.raw_connection()
        try:
            cast(sqlite3.Connection, pooled.driver_connection).execute("BEGIN")
            yield Snapshot(self.engine.dialect, pooled)
        finally:
            # The pool rolls back what is begun.
            pooled.close()

    @contextmanager
    def turn(self) -> Iterator[None]:
        with FileLock(self._lock_path):
            yield
            self._checkpoint()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        connection = self._open()
        try:
            with connection.begin():
                yield connection
                self._verify(connection)
        except BaseException:
            self.release()
            raise

    def claim(self, connection: Connection, claims: Iterable[Claim]) -> None:
        """There is one writer at a time: everything is its own."""

    def release(self) -> None:
        """Close the writing connection; the last one to close folds the write-ahead log back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> Connection:
        """Return the connection; a new one where the database was replaced since the last commit."""
        if self._connection is not None and _identity(self.path) != self._connection.info["file"]:
            self.release()
        if self._connection is None:
            self._connection = self._connect_writer()
        return self._connection

    def _connect_writer(self) -> Connection:
        engine = create_engine(
            _uri(self.path, "rw"),
            poolclass=NullPool,
            connect_args={"timeout": self.waiting_time, "check_same_thread": False},
        )
        _listen(engine, _WRITER_PRAGMAS, "BEGIN IMMEDIATE")
        before = _identity(self.path)
        connection = engine.connect()
        connection.info["file"] = before
        return connection

    def _verify(self, connection: Connection) -> None:
        """Refuse to commit what would be lost: SQLite ended the transaction, or nobody finds the file."""
        if not _driver(connection).in_transaction:
            raise Unavailable("the database ended the transaction by itself", retry_after=5)
        if _identity(self.path) != connection.info["file"]:
            raise Unavailable(f"the database file {self.path.name} was deleted or replaced", retry_after=5)

    def _checkpoint(self) -> None:
        """Fold the write-ahead log back each time it has grown, so that it is written from its start again.

        Overwriting is quicker than growing, so the file is cut off only when a reader once made it very long.
        While a reader needs it, the next attempt waits for as much growth again: each one costs a flush.
        """
        size = self._wal_used()
        self._wal_left = min(self._wal_left, size)
        if self._connection is None or size - self._wal_left < _CHECKPOINT_BYTES:
            return
        mode = "TRUNCATE" if self._wal_bytes() > _LONGEST_WAL * _CHECKPOINT_BYTES else "RESTART"
        driver = _driver(self._connection)
        try:
            driver.execute("PRAGMA busy_timeout=0")
            [is_busy, *_] = driver.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            driver.execute(f"PRAGMA busy_timeout={int(self.waiting_time * 1000)}")
        except sqlite3.Error:
            log.exception("the write-ahead log could not be folded back; the commit stands")
            is_busy = True
        self._wal_left = size if is_busy else 0

    def _wal_bytes(self) -> int:
        """Return the size of the write-ahead log's file, whatever part of it is in use."""
        wal = self.path.with_name(self.path.name + "-wal")
        return wal.stat().st_size if wal.exists() else 0

    def _wal_used(self) -> int:
        """Return how many bytes of the write-ahead log are in use.

        The header of its index says so: the size of a page stands at byte 14, the number of the last frame at
        byte 16, see https://www.sqlite.org/walformat.html#the_wal_index_header.
        """
        try:
            with open(f"{self.path}-shm", "rb") as index:
                page, last_frame = _WAL_INDEX.unpack(index.read(_WAL_INDEX.size))
        except (FileNotFoundError, struct.error):
            return 0
        return int(page * last_frame)

    # -- writing -------------------------------------------------------------------------------------------

    def new_ids(self, connection: Connection, seconds: Sequence[int]) -> list[int]:
        """Go on after the highest id of each second; seconds after all rows have none."""
        highest = _last_id(connection, 0, ids.OPEN_END)
        last = {}
        for second in set(seconds):
            if ids.first_id(second) <= highest:
                last[second] = _last_id(connection, ids.first_id(second), ids.first_id(second + 1))
        return ids.assign(seconds, last)

    def insert(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        _driver(connection).executemany(_insertion.compiled(connection.dialect, table).sql, rows)

    def add_up(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        _driver(connection).executemany(_addition.compiled(connection.dialect, table).sql, rows)

    # -- searching -----------------------------------------------------------------------------------------

    def search_terms(self, folded: str) -> str | None:
        """Ask for all trigrams of the keyword: an index without positions knows no phrases."""
        trigrams = dict.fromkeys(folded[start : start + 3] for start in range(len(folded) - 2))
        quoted = ('"' + trigram.replace('"', '""') + '"' for trigram in list(trigrams)[:_MOST_TRIGRAMS])
        return " ".join(quoted) or None

    def index_contents(self, connection: Connection, contents: Sequence[tuple[int, str]]) -> None:
        _driver(connection).executemany(_ADD_POSTINGS, contents)

    def unindex_contents(self, connection: Connection, contents: Sequence[tuple[int, str]]) -> None:
        _driver(connection).executemany(_REMOVE_POSTINGS, contents)

    def clear_contents(self, connection: Connection) -> None:
        connection.exec_driver_sql(_REMOVE_ALL_POSTINGS)


_CREATE_INDEX = f"""
    CREATE VIRTUAL TABLE {_INDEX} USING fts5(
        content, content='', columnsize=0, detail=none, tokenize='trigram case_sensitive 1'
    )
"""
_FILL_INDEX = (
    "INSERT INTO log_contents_index (rowid, content)"
    " SELECT id, coalesce(folded, content) FROM log_contents ORDER BY id"
)
# A contentless index is told what it forgets: the texts it was given come along with the row ids.
_ADD_POSTINGS = "INSERT INTO log_contents_index (rowid, content) VALUES (?, ?)"
_REMOVE_POSTINGS = (
    "INSERT INTO log_contents_index (log_contents_index, rowid, content) VALUES ('delete', ?, ?)"
)
_REMOVE_ALL_POSTINGS = "INSERT INTO log_contents_index (log_contents_index) VALUES ('delete-all')"
_LAST_ID = "SELECT coalesce(max(id), ? - 1) FROM log_records WHERE id >= ? AND id < ?"


def _last_id(connection: Connection, low: int, high: int) -> int:
    """Return the highest id in use from `low` to below `high`, or the one before them."""
    found: int = _driver(connection).execute(_LAST_ID, (low, low, high)).fetchone()[0]
    return found


@prepared
def _insertion(table: Table) -> Executable:
    return insert(table)


@prepared
def _addition(table: Table) -> Executable:
    statement: Executable = add_up("sqlite", table)
    return statement


def _path(url: URL) -> Path:
    database = url.database or ""
    return Path(unquote(database.removeprefix("file:")) if database.startswith("file:") else database)


def _uri(path: Path, mode: str) -> URL:
    return URL.create(
        "sqlite", database=f"file:{quote(str(path.absolute()))}", query={"mode": mode, "uri": "true"}
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.driver_connection)


def _listen(engine: Engine, pragmas: Sequence[str], begin: str) -> None:
    """Take transactions into our own hands: Python's driver begins them too late for a snapshot or a lock."""

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        _driver(connection).execute(begin)


def _listen_to_reader(engine: Engine, path: Path) -> None:
    _listen(engine, _READER_PRAGMAS, "BEGIN")

    @event.listens_for(engine, "connect")
    def remember(_connection: sqlite3.Connection, record: Any) -> None:
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def compare(_connection: sqlite3.Connection, record: Any, _proxy: Any) -> None:
        if record.info.get("file") != _identity(path):
            raise DisconnectionError("the database file was deleted or replaced")
