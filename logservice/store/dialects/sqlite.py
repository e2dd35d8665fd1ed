"""SQLite: a file, one writer at a time, and a write-ahead log that only writers may fold back.

SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when two connections commit and checkpoint at the same
moment, and its busy handler is unfair. So every process writes through one thread that queues on a lock
file beside the database and checkpoints under that lock; everything else opens the file read-only.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Executable,
    QueuePool,
    Table,
    bindparam,
    create_engine,
    insert,
    inspect,
    literal_column,
)
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table

from ...errors import InvalidValue, Unavailable
from ...folders import make_private
from ..jobs import Claim
from ..locks import FileLock
from ..prepared import Reader, Snapshot, prepared
from . import sqlite_file
from .base import Dialect, SearchIndex, Space
from .expressions import add_up
from .sqlite_backup import copy_into, verify
from .sqlite_file import connect_writer, driver, identity, listen_to_reader, path_of, reading_url
from .sqlite_ids import new_ids
from .sqlite_readers import Readers
from .sqlite_wal import WriteAheadLog

# Connections that are kept for who reads next, and how many more there may be: requests that compute in turn
# need one or two. Others are closed after they were needed, for each has half a megabyte for itself.
_KEPT, _MORE = 4, 36
_MUCH_KEPT, _MUCH_MORE = 1, 24
# More trigrams than this do not narrow a search any further.
_MOST_TRIGRAMS = 64
# The driver has codes for errors since Python 3.11 only: https://www.sqlite.org/rescode.html
_MEETS_ALL = frozenset({"database or disk is full", "disk I/O error"})
_INDEX = "log_contents_index"

_index = sql_table(_INDEX, sql_column("rowid"))
_SEARCH_INDEX = SearchIndex(_index, _index.c.rowid, literal_column(_INDEX).op("MATCH")(bindparam("terms")))


class SQLiteDialect(Dialect):
    """A database in one file, read through `engine` and written on a connection of its own."""

    name = "sqlite"
    # No engine is shared: our pragmas and our writer would change a host's, and wait for its transactions.
    one_writer = True
    # A tenth of a second, so that others hardly notice.
    purge_batch = 7_000
    search_index = _SEARCH_INDEX

    def __init__(self, engine: Engine, *, waiting_time: float, shared: bool = False) -> None:
        super().__init__(engine, waiting_time=waiting_time, shared=shared)
        self.path: Path = path_of(engine.url)
        self.wal = WriteAheadLog(self.path)
        self._lock_path = self.path.with_name(self.path.name + "-lock")
        self._connection: Connection | None = None
        self._inherited: list[Connection] = []
        self._is_to_be_short = False
        listen_to_reader(engine, self.path)
        # Opened when they are needed, and kept few: who reads much reads on for a while.
        self._much = create_engine(reading_url(self.path), **_pool(waiting_time, _MUCH_KEPT, _MUCH_MORE))
        listen_to_reader(self._much, self.path, much=True)
        self._readers = Readers(engine, self._much)

    @classmethod
    def engine_settings(cls, url: URL, folder: str, *, waiting_time: float) -> dict[str, Any]:
        path = Path(folder, sqlite_file.chosen_file(url))
        return {
            "url": reading_url(path),
            **_pool(waiting_time, _KEPT, _MORE),
        }

    @classmethod
    def file_of(cls, url: URL) -> Path | None:
        return sqlite_file.file_named(url)

    def exists(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def create(self, bring_up: Callable[[Connection], None]) -> None:
        make_private(self.path.parent)
        if not self.path.exists():
            self._refuse_what_is_left()
            # Not to be opened beside SQLite: closing it would end all locks that this process has on it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connect = partial(connect_writer, self.path, waiting_time=self.waiting_time)
        with self._readers.reading(), FileLock(self._lock_path), connect() as connection, connection.begin():
            bring_up(connection)
            if not inspect(connection).has_table(_INDEX):
                connection.exec_driver_sql(_CREATE_INDEX)
                connection.exec_driver_sql(_FILL_INDEX)
        self.engine.dispose()

    def _refuse_what_is_left(self) -> None:
        """Raise Unavailable where the file is missing and its write-ahead log is not, for that would go."""
        if self.wal.size():
            raise Unavailable(
                f"{self.path.name} is missing, and {self.path.name}-wal is there, which may hold what was"
                " recorded last: put the file back beside it, or move it away to begin a new log"
            )

    def lost(self, error: BaseException) -> str:
        if isinstance(error, OSError):
            name = Path(error.filename or self.path).name
            return f"the database cannot be used: {name}: {error.strerror or type(error).__name__}"
        message = str(getattr(error, "orig", None) or error)
        if not self.path.exists():
            name = self.path.name
            return f"the database file {name} is gone: put it back; `logservice init-db` begins a new log"
        if "no such table" in message:
            return "the database has no tables yet; `logservice init-db` creates them"
        return f"the database file {self.path.name} failed: {message}"

    def rest(self) -> None:
        self._readers.rest()

    def go_on(self) -> None:
        self._readers.go_on()

    def reset_after_fork(self) -> None:
        connection, self._connection = self._connection, None
        # In the middle of a transaction it is left as it is, for to undo that would undo the parent's.
        others = []
        if connection is not None:
            self._inherited.append(connection)
            others = [driver(connection)] if not driver(connection).in_transaction else []
        self._readers.begin_anew(others)

    def close(self, finish_writing: Callable[[], None]) -> None:
        # Readers first: the last connection to close folds the write-ahead log back, and readers may not.
        self._readers.dispose()
        finish_writing()

    def status(self) -> dict[str, Any]:
        return {"database_bytes": self.path.stat().st_size, "wal_bytes": self.wal.size()}

    def shorten(self) -> None:
        self._is_to_be_short = True

    def session(self, connection: Connection) -> int:
        return 0

    def size(self, connection: Connection, *, rows: int) -> int:
        pages, free, width = (
            driver(connection).execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * width + self.wal.size())

    def space(self) -> Space:
        free = shutil.disk_usage(self.path.absolute().parent).free
        return Space(self.path.stat().st_size, self.wal.size(), free)

    def damage(self, connection: Connection, table: str) -> list[str]:
        checks = (f"PRAGMA quick_check({name})" for name in (table, *_PARTS.get(table, ())))
        found = [line for check in checks for line in connection.exec_driver_sql(check).scalars()]
        return [str(line) for line in found if line != "ok"]

    def back_up(self, path: Path, advance: Callable[[], None]) -> None:
        with self.reading(much=True) as connection:
            copy_into(driver(connection), path, advance)
        verify(path)

    # -- transactions --------------------------------------------------------------------------------------

    @contextmanager
    def reading(self, *, much: bool = False) -> Iterator[Connection]:
        engine = self._much if much else self.engine
        with self._readers.reading(), engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        with self._readers.reading(), closing(self.engine.raw_connection()) as pooled:
            cast(sqlite3.Connection, pooled.driver_connection).execute("BEGIN")
            # The pool rolls back what is begun.
            yield Snapshot(self.engine.dialect, pooled)

    @contextmanager
    def turn(self) -> Iterator[None]:
        with FileLock(self._lock_path):
            yield

    def tidy(self) -> None:
        cut_off, self._is_to_be_short = self._is_to_be_short, False
        connection = self._open() if cut_off else self._connection
        if connection is not None:
            self.wal.fold_back(driver(connection), waiting_time=self.waiting_time, cut_off=cut_off)

    def is_wanted(self) -> bool:
        try:
            return FileLock(self._lock_path).is_wanted()
        except OSError:
            return False

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

    def meets_all(self, error: Exception) -> bool:
        """Say so of a disk that is full or fails: SQLite has ended the whole transaction by then."""
        cause = getattr(error, "orig", error)
        return isinstance(cause, sqlite3.OperationalError) and str(cause) in _MEETS_ALL

    def release(self) -> None:
        """Close the writing connection; the last one to close folds the write-ahead log back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> Connection:
        """Return the connection; a new one where the database was replaced since the last commit."""
        if self._connection is not None and identity(self.path) != self._connection.info["file"]:
            self.release()
        if self._connection is None:
            self._connection = connect_writer(self.path, waiting_time=self.waiting_time)
        return self._connection

    def _verify(self, connection: Connection) -> None:
        """Refuse to commit what would be lost: SQLite ended the transaction, or nobody finds the file."""
        if not driver(connection).in_transaction:
            raise Unavailable("the database ended the transaction by itself", retry_after=5)
        if identity(self.path) != connection.info["file"]:
            raise Unavailable(f"the database file {self.path.name} was deleted or replaced", retry_after=5)

    # -- writing -------------------------------------------------------------------------------------------

    def new_ids(self, connection: Connection, seconds: Sequence[int]) -> list[int]:
        return new_ids(driver(connection), seconds)

    def insert(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        driver(connection).executemany(_insertion.compiled(connection.dialect, table).sql, rows)

    def add_up(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        driver(connection).executemany(_addition.compiled(connection.dialect, table).sql, rows)

    def give_back(self, connection: Connection, *, pages: int) -> bool:
        sqlite = driver(connection)
        [free] = sqlite.execute("PRAGMA freelist_count").fetchone()
        # Each step of the statement gives back a page, and Python takes one step of what returns no columns.
        for _ in range(min(free, pages)):
            sqlite.execute("PRAGMA incremental_vacuum(1)")
        [left] = sqlite.execute("PRAGMA freelist_count").fetchone()
        return bool(left)

    # -- partitions ----------------------------------------------------------------------------------------

    def partitioning(self) -> Callable[[Connection, Sequence[Table]], None]:
        raise InvalidValue("SQLite has no partitions; they need PostgreSQL")

    # -- searching -----------------------------------------------------------------------------------------

    def plan_by_values(self, connection: Reader) -> None:
        """Plans are not kept for long."""

    def search_terms(self, folded: str) -> str | None:
        """Ask for all trigrams of the keyword: an index without positions knows no phrases."""
        trigrams = dict.fromkeys(folded[start : start + 3] for start in range(len(folded) - 2))
        quoted = ('"' + trigram.replace('"', '""') + '"' for trigram in list(trigrams)[:_MOST_TRIGRAMS])
        return " ".join(quoted) or None

    def index_contents(self, connection: Connection, contents: Sequence[tuple[int, str]]) -> None:
        driver(connection).executemany(_ADD_POSTINGS, contents)

    def unindex_contents(self, connection: Connection, contents: Sequence[tuple[int, str]]) -> None:
        driver(connection).executemany(_REMOVE_POSTINGS, contents)

    def clear_contents(self, connection: Connection) -> None:
        connection.exec_driver_sql(_REMOVE_ALL_POSTINGS)


def _pool(waiting_time: float, kept: int, more: int) -> dict[str, Any]:
    """Return what has an engine that reads keep so many connections, and open more while they are needed."""
    return {
        "poolclass": QueuePool,
        "pool_size": kept,
        "max_overflow": more,
        "pool_timeout": waiting_time,
        "connect_args": {"timeout": waiting_time, "check_same_thread": False},
    }


# The tables that FTS5 keeps the index of contents in: https://www.sqlite.org/fts5.html#fts5_data_structures
_PARTS = {"log_contents": (f"{_INDEX}_data", f"{_INDEX}_idx")}
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


@prepared
def _insertion(table: Table) -> Executable:
    return insert(table)


@prepared
def _addition(table: Table) -> Executable:
    statement: Executable = add_up("sqlite", table)
    return statement
