"""The connections that read a SQLite file, which no forked child may inherit.

A child that inherits a connection takes no locks of its own on the file, because SQLite, in its memory, has
them already. Whoever else closes the file last then deletes the write-ahead log under the child, and what it
commits afterwards is lost: https://www.sqlite.org/howtocorrupt.html (2.6)
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager

from sqlalchemy import Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from ..forks import MOMENT_SECONDS, Gate

# A connection in the midst of a statement has a lock in SQLite that nobody in the child will ever release.
_CLOSING_SECONDS = 1.0
log = logging.getLogger("logservice")


class Readers:
    """The engines that read a file, and who is reading."""

    def __init__(self, *engines: Engine) -> None:
        self._engines = engines
        self._gate = Gate()
        self._open: weakref.WeakSet[ConnectionPoolEntry] = weakref.WeakSet()
        self._inherited: list[sqlite3.Connection] = []
        for engine in engines:
            event.listen(engine, "connect", self._opened)

    def reading(self) -> AbstractContextManager[None]:
        """Have forks wait for the block, for a moment."""
        return self._gate.entered()

    def dispose(self) -> None:
        """Close the connections that nobody uses."""
        for engine in self._engines:
            engine.dispose()

    def rest(self) -> None:
        """Wait a moment for those who read, let in nobody new, and close their connections."""
        left = self._gate.shut(MOMENT_SECONDS)
        self.dispose()
        if left:
            log.warning(
                "the process is forked while the log is read; the child cannot go on with these reads"
            )

    def go_on(self) -> None:
        """Let read again, in the parent."""
        self._gate.open()

    def begin_anew(self, others: Iterable[sqlite3.Connection]) -> None:
        """Close in the child what it inherited all the same, and `others`."""
        self._gate.begin_anew()
        found = [entry.driver_connection for entry in self._open]
        inherited = [connection for connection in found if connection is not None] + [*others]
        # Never forgotten before it is closed: that closes it too, and may wait for ever.
        self._inherited += inherited
        self._open = weakref.WeakSet()
        for engine in self._engines:
            engine.dispose(close=False)
        if inherited:
            closing = threading.Thread(target=_close, args=(inherited,), daemon=True)
            closing.start()
            closing.join(_CLOSING_SECONDS)
            if closing.is_alive():
                log.warning("a forked process cannot close the database as its parent had it; start it anew")

    def _opened(self, _connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        self._open.add(entry)


def _close(connections: Iterable[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()
