"""SQLite: a file, one writer at a time, and a write-ahead log that only writers may fold back.

SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when two connections commit and checkpoint at the same
moment, and its busy handler is unfair. So every process writes through one thread that queues on a lock
file beside the database and checkpoints under that lock; everything else opens the file read-only.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    MetaData,
    NullPool,
    QueuePool,
    bindparam,
    create_engine,
    event,
    literal_column,
    text,
)
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.exc import DisconnectionError

from ...errors import InvalidValue, Unavailable
from ..locks import FileLock
from ..writer import GroupCommitWriter
from .base import Dialect, SearchIndex

T = TypeVar("T")

# A checkpoint is made each time the write-ahead log has grown by so many bytes.
_CHECKPOINT_BYTES = 4 * 1024 * 1024
# More trigrams than this do not narrow a search any further.
_MOST_TRIGRAMS = 64
_INDEX = "log_content_index"

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


class SQLiteDialect(Dialect):
    """A database in one file, read through `engine` and written through one thread."""

    name = "sqlite"
    # Our pragmas and our writer would change the host's engine, and wait for its open transactions.
    shares_engine = False

    def __init__(self, engine: Engine, *, waiting_time: float) -> None:
        super().__init__(engine, waiting_time=waiting_time)
        self.path = _path(engine.url)
        self._lock_path = self.path.with_name(self.path.name + "-lock")
        self._wal_left = 0
        self._writer = self._new_writer()
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

    def create(self, metadata: MetaData) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with FileLock(self._lock_path), self._connect_writer() as connection, connection.begin():
            metadata.create_all(connection)
            connection.exec_driver_sql(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {_INDEX} USING fts5(content, content='', "
                "columnsize=0, detail=none, tokenize='trigram case_sensitive 1')"
            )
        self.engine.dispose()

    def write(self, work: Callable[[Connection], T]) -> T:
        return self._writer.run(work, self.waiting_time)

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

    def last_ids(self, connection: Connection, seconds: Sequence[int]) -> dict[int, int]:
        rows = connection.execute(_LAST_IDS, {"seconds": json.dumps(seconds)})
        return {second: last for second, last in rows if last is not None}

    def index_contents(self, connection: Connection, contents: Iterable[tuple[int, str]]) -> None:
        _post(connection, _ADD_POSTINGS, contents)

    def unindex_contents(self, connection: Connection, contents: Iterable[tuple[int, str]]) -> None:
        _post(connection, _REMOVE_POSTINGS, contents)

    def clear_contents(self, connection: Connection) -> None:
        connection.exec_driver_sql(_REMOVE_ALL_POSTINGS)

    def search_index(self, folded: str) -> SearchIndex | None:
        """Ask for all trigrams of the keyword: an index without positions knows no phrases."""
        trigrams = dict.fromkeys(folded[start : start + 3] for start in range(len(folded) - 2))
        if not trigrams:
            return None
        quoted = ('"' + trigram.replace('"', '""') + '"' for trigram in list(trigrams)[:_MOST_TRIGRAMS])
        index = sql_table(_INDEX, sql_column("rowid"), sql_column(_INDEX))
        match = literal_column(_INDEX).op("MATCH")(bindparam(None, " ".join(quoted), unique=True))
        return SearchIndex(index, index.c.rowid, [match])

    def reset_after_fork(self) -> None:
        self.engine.dispose(close=False)
        self._writer = self._new_writer()

    def close(self) -> None:
        # Readers first: the last connection to close folds the write-ahead log back, and readers may not.
        self.engine.dispose()
        self._writer.close()

    def status(self) -> dict[str, Any]:
        return {"database_bytes": self.path.stat().st_size, "wal_bytes": self._wal_bytes()}

    def _new_writer(self) -> GroupCommitWriter:
        return GroupCommitWriter(
            self._connect_writer,
            FileLock(self._lock_path),
            verify=self._verify,
            after_commit=self._checkpoint,
        )

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
        """Refuse to write to a file that is no longer the one at the path: nobody would find it again."""
        if _identity(self.path) != connection.info["file"]:
            raise Unavailable(f"the database file {self.path.name} was deleted or replaced", retry_after=5)

    def _checkpoint(self, connection: Connection) -> None:
        """Fold the write-ahead log back each time it has grown, and empty it unless a reader still needs it.

        While a reader holds it open, the next attempt waits for as much growth again: each one costs a flush.
        """
        size = self._wal_bytes()
        self._wal_left = min(self._wal_left, size)
        if size - self._wal_left < _CHECKPOINT_BYTES:
            return
        driver = _driver(connection)
        driver.execute("PRAGMA busy_timeout=0")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        driver.execute(f"PRAGMA busy_timeout={int(self.waiting_time * 1000)}")
        self._wal_left = self._wal_bytes()

    def _wal_bytes(self) -> int:
        wal = self.path.with_name(self.path.name + "-wal")
        return wal.stat().st_size if wal.exists() else 0


# A contentless index is told what it forgets: the texts it was given come along with the row ids.
_ADD_POSTINGS = "INSERT INTO log_content_index (rowid, content) VALUES (?, ?)"
_REMOVE_POSTINGS = "INSERT INTO log_content_index (log_content_index, rowid, content) VALUES ('delete', ?, ?)"
_REMOVE_ALL_POSTINGS = "INSERT INTO log_content_index (log_content_index) VALUES ('delete-all')"
_LAST_IDS = text(
    "SELECT value, (SELECT max(id) FROM log_records WHERE id >= value << 21 AND id < (value + 1) << 21)"
    " FROM json_each(:seconds)"
)


def _post(connection: Connection, statement: str, contents: Iterable[tuple[int, str]]) -> None:
    rows = [(row_id, content.casefold()) for row_id, content in contents if content]
    if rows:
        connection.exec_driver_sql(statement, rows)


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


def _contains_folded(content: str, folded: str) -> bool:
    return folded in content.casefold()


def _listen(engine: Engine, pragmas: Sequence[str], begin: str) -> None:
    """Take transactions into our own hands: Python's driver begins them too late for a snapshot or a lock."""

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)
        connection.create_function("log_contains_folded", 2, _contains_folded, deterministic=True)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _listen_to_reader(engine: Engine, path: Path) -> None:
    _listen(engine, _READER_PRAGMAS, "BEGIN")

    @event.listens_for(engine, "connect")
    def remember(_connection: sqlite3.Connection, record: Any) -> None:
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def compare(_connection: sqlite3.Connection, record: Any, _proxy: Any) -> None:
        if record.info.get("file") != _identity(path):
            raise DisconnectionError("the database file was deleted or replaced")
