"""A copy of a SQLite database in another file, made while others write, and looked at when it is done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from ...errors import Unavailable

# Pages that are copied in one go, 4 MiB: Ctrl-C is heard in between, and progress told.
_PAGES = 1024
_MOST_FAULTS = 3


def copy_into(source: sqlite3.Connection, path: Path, advance: Callable[[], None]) -> None:
    """Copy the database, as a transaction that has begun sees it, into an empty file.

    `advance` is called now and then. Raises Unavailable.
    """
    # A transaction sees one state from its first read on. Without it the copy would begin anew whenever
    # somebody writes between two steps: https://www.sqlite.org/c3ref/backup_finish.html
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    # What fails leaves nothing behind, so a journal is not needed; whoever made the file sees it to the disk.
    with _failing_clearly(), closing(_opened(path, "rw")) as target:
        target.execute("PRAGMA journal_mode=OFF")
        target.execute("PRAGMA synchronous=OFF")
        source.backup(target, pages=_PAGES, progress=lambda *_: advance())


def verify(path: Path) -> None:
    """Read all of a copy and have SQLite look whether it is sound. Raises Unavailable."""
    with _failing_clearly(), closing(_opened(path, "ro", immutable="1")) as copy:
        faults = [line for (line,) in copy.execute(f"PRAGMA integrity_check({_MOST_FAULTS})")]
    if faults != ["ok"]:
        raise Unavailable(
            f"the copy is not sound: {'; '.join(faults)}; `logservice check --full` looks at the log itself"
        )


def _opened(path: Path, mode: str, **options: str) -> sqlite3.Connection:
    """Open a file that is there; one that is `immutable` gets no files beside it."""
    query = "&".join(f"{name}={value}" for name, value in {"mode": mode, **options}.items())
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{query}", uri=True, isolation_level=None)


@contextmanager
def _failing_clearly() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"the copy failed: {error}") from error
