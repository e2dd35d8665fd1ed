"""SQLite's write-ahead log: how long it is, and when it is folded back into the database."""

from __future__ import annotations

import logging
import sqlite3
import struct
from pathlib import Path

log = logging.getLogger("logservice")

# A checkpoint is made each time the write-ahead log has grown by so many bytes. Pages that batch after batch
# writes to are copied once, so fewer checkpoints make a quarter more rows a second than one for each 4 MiB.
CHECKPOINT_BYTES = 32 * 1024 * 1024
# A file that is so many times as long is cut off.
_LONGEST = 4
# In the header of the log's index the size of a page stands at byte 14, the number of the last frame at byte
# 16: https://www.sqlite.org/walformat.html#the_wal_index_header
_INDEX_HEADER = struct.Struct("=14xHI")


class WriteAheadLog:
    """The log beside a database file. Whoever folds it back must keep all writers out meanwhile."""

    def __init__(self, database: Path) -> None:
        self._file = database.with_name(f"{database.name}-wal")
        self._index = database.with_name(f"{database.name}-shm")
        self._left = 0

    def size(self) -> int:
        """Return the size of the file in bytes, whatever part of it is in use."""
        return self._file.stat().st_size if self._file.exists() else 0

    def used(self) -> int:
        """Return how many bytes are in use."""
        try:
            with self._index.open("rb") as index:
                page, last_frame = _INDEX_HEADER.unpack(index.read(_INDEX_HEADER.size))
        except (FileNotFoundError, struct.error):
            return 0
        return int(page * last_frame)

    def fold_back(self, connection: sqlite3.Connection, *, waiting_time: float) -> None:
        """Make a checkpoint if the log has grown enough, so that it is written from its start again.

        Overwriting is quicker than growing, so the file is cut off only when a reader once made it very long.
        While a reader needs it, the next attempt waits for as much growth again: each one costs a flush.
        """
        used = self.used()
        self._left = min(self._left, used)
        if used - self._left < CHECKPOINT_BYTES:
            return
        mode = "TRUNCATE" if self.size() > _LONGEST * CHECKPOINT_BYTES else "RESTART"
        try:
            connection.execute("PRAGMA busy_timeout=0")
            [is_busy, *_] = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            connection.execute(f"PRAGMA busy_timeout={int(waiting_time * 1000)}")
        except sqlite3.Error:
            log.exception("the write-ahead log could not be folded back; the commit stands")
            is_busy = True
        self._left = used if is_busy else 0
