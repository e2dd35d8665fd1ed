"""The threads of a worker are shared out: requests that write leave some to those that read.

A post keeps its thread until its commit is on disk. While a disk hangs, or another program locks the
database, as many posts as there are threads would keep out everybody, and those who read nothing else stops.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Conn = TypeVar("Conn")

#: Writers leave one thread of so many, and one of fewer, unless there is only that.
_LEFT_OF = 4


class Writers(Generic[Conn]):
    """Connections with requests that write: so many have a thread at a time, the others wait in order.

    It is used by the main thread of a worker alone.
    """

    def __init__(self, begin: Callable[[Conn], None], *, threads: int) -> None:
        """Begin without any; `begin` gives a connection to one of the worker's threads."""
        self._begin = begin
        self._most = max(1, threads - max(1, threads // _LEFT_OF))
        self._begun: set[Conn] = set()
        self._waiting: deque[Conn] = deque()

    def add(self, conn: Conn) -> None:
        """Have the request of a connection begun, once writers have a thread for it."""
        self._waiting.append(conn)
        self._begin_next()

    def end(self, conn: Conn) -> None:
        """Give the thread of a connection that is done to the next one; another's was none of ours."""
        self._begun.discard(conn)
        self._begin_next()

    def _begin_next(self) -> None:
        while self._waiting and len(self._begun) < self._most:
            conn = self._waiting.popleft()
            self._begun.add(conn)
            self._begin(conn)
