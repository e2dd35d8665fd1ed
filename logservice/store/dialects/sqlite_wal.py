"""SQLite's write-ahead log: how long it is, and when it is folded back into the database."""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
from pathlib import Path

log = logging.getLogger("logservice")

# A checkpoint is made each time the write-ahead log has grown by so many bytes. Pages that batch after batch
# writes to are copied once, so fewer checkpoints make a quarter more rows a second than one for each 4 MiB.
CHECKPOINT_BYTES = 32 * 1024 * 1024
# A file that is so many times as long is cut off.
_LONGEST = 4
# While exports are read, there is a reader at almost any moment. Once the file is twice as long as it should
# be, those who read are waited for, so many milliseconds at most: who comes meanwhile reads what is folded
# back already, and is in nobody's way. (Three exports beside an import: 83 MB at most instead of 277.)
_WAITED_FOR_READERS = 100
# The size of a page stands at byte 8 of the header, two salts at byte 16, and the same salts at byte 8 of
# each frame that was written since the log began anew: https://www.sqlite.org/fileformat2.html#walformat
_HEADER = struct.Struct(">8xI4x8s8x")
_FRAME_HEADER = struct.Struct(">8x8s8x")


class WriteAheadLog:
    """The log beside a database file. Whoever folds it back must keep all writers out meanwhile."""

    def __init__(self, database: Path) -> None:
        self._file = database.with_name(f"{database.name}-wal")
        # The salts of the log that was looked at last, and the length at which a checkpoint is due.
        self._salts = b""
        self._due = CHECKPOINT_BYTES

    def size(self) -> int:
        """Return the size of the file in bytes, whatever part of it is in use."""
        return self._file.stat().st_size if self._file.exists() else 0

    def fold_back(
        self, connection: sqlite3.Connection, *, waiting_time: float, cut_off: bool = False
    ) -> None:
        """Make a checkpoint if the log has grown enough, so that it is written from its start again.

        Overwriting is quicker than growing, so the file is cut off only when a reader once made it very long,
        or on demand, which is for any length.
        While a reader needs it, the next attempt waits for as much growth again: each one costs a flush.
        """
        try:
            if not cut_off and not self._is_due():
                return
            size = self.size()
            mode = "TRUNCATE" if cut_off or size > _LONGEST * CHECKPOINT_BYTES else "RESTART"
            wait = _WAITED_FOR_READERS if cut_off or size > 2 * CHECKPOINT_BYTES else 0
            connection.execute(f"PRAGMA busy_timeout={wait}")
            try:
                connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout={int(waiting_time * 1000)}")
        except (OSError, sqlite3.Error):
            log.exception("the write-ahead log could not be folded back; the commit stands")
        # If it was, the next commit changes the salts.
        self._due += CHECKPOINT_BYTES

    def _is_due(self) -> bool:
        """Whether so much of the log is in use.

        The index of the log would tell at once, but SQLite's locks lie on that file, and a process that
        closes it loses them all: https://www.sqlite.org/howtocorrupt.html (2.2)
        """
        try:
            file = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        # As few steps as can be: between two of them other threads have their turn, and writers wait.
        try:
            page, salts = _HEADER.unpack(os.pread(file, _HEADER.size, 0))
            if salts != self._salts:
                self._salts, self._due = salts, CHECKPOINT_BYTES
            frame = _FRAME_HEADER.size + page
            at = _HEADER.size + self._due // frame * frame
            [written] = _FRAME_HEADER.unpack(os.pread(file, _FRAME_HEADER.size, at))
        except struct.error:
            return False
        finally:
            os.close(file)
        return bool(written == salts)
