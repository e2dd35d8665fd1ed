"""The file of a SQLite database: where it lies, whether it is still the same, how connections open it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import DisconnectionError

from ...errors import InvalidValue, Unavailable
from .urls import SETTING, shown

# Connections hold few pages: one that reads lets go of all once somebody has written, and the system holds
# what of the file is read often.
_READER_PRAGMAS = ("PRAGMA query_only=ON", "PRAGMA cache_size=-1024", "PRAGMA mmap_size=268435456")
# What reads on and on uses no page twice: the file is not mapped into memory either.
_MUCH_READER_PRAGMAS = ("PRAGMA query_only=ON", "PRAGMA cache_size=-1024", "PRAGMA mmap_size=0")
# The order matters: auto_vacuum before WAL, and both before the first table.
_WRITER_PRAGMAS = (
    "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=OFF",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA cache_size=-4096",
    "PRAGMA temp_store=MEMORY",
)


def path_of(url: URL) -> Path:
    """Return the path that a URL names, plain or as SQLite's own `file:`."""
    database = url.database or ""
    return Path(unquote(database.removeprefix("file:")) if database.startswith("file:") else database)


def file_named(url: URL) -> Path | None:
    """Return the file that a URL names; a database in memory has none."""
    in_memory = url.database in (None, "", ":memory:") or "memory" in url.query.get("mode", "")
    return None if in_memory else path_of(url)


def chosen_file(url: URL) -> Path:
    """Return the file that the setting names. Raises InvalidValue where it names none, or seems to."""
    if url.host:
        raise InvalidValue(
            f"{SETTING}: {shown(str(url))} names a host, and SQLite has none: three slashes stand before"
            " a path, such as sqlite:///logservice.db, and four before an absolute one"
        )
    file = file_named(url)
    if file is None:
        raise InvalidValue(
            f"{SETTING}: SQLite needs a file, such as sqlite:///logservice.db, for several workers share it"
        )
    return file


def reading_url(path: Path) -> URL:
    """Return the URL that opens a file for reading only."""
    return _url(path, "ro")


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another at the same path later, or None when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def is_frozen(path: Path) -> bool:
    """Whether a file lies on a file system where nothing may be written, as on a snapshot that is mounted.

    SQLite could read it there only beside files that it makes, unless it is told that nobody writes: where
    its `-shm` is there, somebody may, and it can read. Raises Unavailable for a write-ahead log without that.
    """
    wal, shared = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    try:
        if not os.statvfs(path).f_flag & os.ST_RDONLY or shared.exists():
            return False
        is_whole = not wal.exists() or wal.stat().st_size == 0
    except OSError:
        # There is no file, or none that may be looked at: to open it says so.
        return False
    if not is_whole:
        raise Unavailable(
            f"{path.absolute()} lies on a read-only file system, and what was recorded last lies beside it in"
            f" {wal.name}, which can be read only where files may be written: copy both to such a place, or"
            " mount it so"
        )
    return True


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    return cast(sqlite3.Connection, connection.connection.driver_connection)


def connect_writer(path: Path, *, waiting_time: float) -> Connection:
    """Open a file for writing; `info["file"]` of the connection tells which file it was."""
    connect_args = {"timeout": waiting_time, "check_same_thread": False}
    engine = create_engine(_url(path, "rw"), poolclass=NullPool, connect_args=connect_args)
    _listen(engine, _WRITER_PRAGMAS, "BEGIN IMMEDIATE")
    before = identity(path)
    connection = engine.connect()
    connection.info["file"] = before
    return connection


def listen_to_reader(engine: Engine, path: Path, *, much: bool = False) -> None:
    """Have an engine read in snapshots, and never a file that is no longer the one at the path."""
    _listen(engine, _MUCH_READER_PRAGMAS if much else _READER_PRAGMAS, "BEGIN")

    @event.listens_for(engine, "do_connect")
    def connect(dialect: DefaultDialect, record: Any, where: Sequence[str], options: Any) -> Any:
        record.info["frozen"] = is_frozen(path)
        # Otherwise it goes on as usual.
        return dialect.connect(f"{where[0]}&immutable=1", **options) if record.info["frozen"] else None

    @event.listens_for(engine, "connect")
    def remember(_connection: sqlite3.Connection, record: Any) -> None:
        record.info["file"] = identity(path)

    @event.listens_for(engine, "checkout")
    def compare(_connection: sqlite3.Connection, record: Any, _proxy: Any) -> None:
        if record.info.get("file") != identity(path):
            raise DisconnectionError("the database file was deleted or replaced")
        if record.info.get("frozen") and not is_frozen(path):
            raise DisconnectionError("the database file may be written again")


def _url(path: Path, mode: str) -> URL:
    query = {"mode": mode, "uri": "true"}
    return URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query=query)


def _listen(engine: Engine, pragmas: Sequence[str], begin: str) -> None:
    """Take transactions into our own hands: Python's driver begins them too late for a snapshot or a lock."""

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        driver(connection).execute(begin)
