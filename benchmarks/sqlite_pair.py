"""The pair on SQLite: two files with the same pragmas; the yardstick checkpoints as SQLite does by itself."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from .pairs import Pair, Sizes
from .rows import Values
from .yardstick import INSERT, Yardstick, table_of

KINDS = {"id": "INTEGER", "number": "INTEGER", "boolean": "NUMERIC", "text": "TEXT"}
#: What our own readers and writers have; a test compares. The gateway's own settings are smaller.
READING = ("PRAGMA cache_size=-8192", "PRAGMA mmap_size=268435456")
WRITING = (
    "PRAGMA synchronous=FULL",
    "PRAGMA cache_size=-32768",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA secure_delete=OFF",
)
LOADING = ("PRAGMA synchronous=OFF", "PRAGMA cache_size=-262144")

ENDINGS = ("", "-wal", "-shm", "-lock")


class SQLiteYardstick(Yardstick):
    """The yardstick in a file."""

    def load(self, rows: Sequence[Values]) -> None:
        self.connection.execute("BEGIN")
        self.connection.executemany(INSERT, rows)
        self.connection.execute("COMMIT")


class SQLitePair(Pair):
    """Two files in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = "sqlite:///logservice.db"
        self.files = (folder / "yardstick.db", folder / "logservice.db")

    def create(self) -> None:
        self.remove()
        self.folder.mkdir(parents=True)
        with closing(self._connect("PRAGMA journal_mode=WAL")) as connection:
            for statement in table_of(KINDS):
                connection.execute(statement)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def take(self, other: Pair, *, copy: bool) -> None:
        assert isinstance(other, SQLitePair)
        self.remove()
        self.folder.mkdir(parents=True)
        for source, target in zip(other.files, self.files, strict=True):
            if copy:
                shutil.copyfile(source, target)
            else:
                source.rename(target)

    def yardstick(self, *, writing: bool = False) -> SQLiteYardstick:
        return SQLiteYardstick(self._connect(*(WRITING if writing else READING)))

    def loading_yardstick(self) -> SQLiteYardstick:
        return SQLiteYardstick(self._connect(*LOADING))

    def settle(self) -> None:
        for file in self.files:
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def sizes(self) -> Sizes:
        return Sizes(*(self._size(file) for file in self.files))

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def _connect(self, *pragmas: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self.files[0], isolation_level=None, timeout=60, check_same_thread=False)
        for pragma in pragmas:
            connection.execute(pragma)
        return connection

    def _size(self, file: Path) -> int:
        found = (file.with_name(file.name + ending) for ending in ENDINGS)
        return sum(path.stat().st_size for path in found if path.exists())


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[str], Pair]]:
    """Give what returns a pair by its name; SQLite needs nothing to run for it."""
    yield lambda name: SQLitePair(folder / name)
