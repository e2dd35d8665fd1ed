"""The threads of a worker are shared out: requests that write leave some to those that read.

A post keeps its thread until its commit is on disk. While a disk hangs, or another program locks the
database, as many posts as there are threads would keep out everybody, and those who read nothing else stops.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Generic, NamedTuple, TypeVar

Conn = TypeVar("Conn")

#: For how many seconds the request of this thread waited, for the thread and for its turn to compute.
waited_to_begin: ContextVar[float] = ContextVar("waited_to_begin", default=0.0)

#: Seconds that a request may wait for a thread; then one is there only to refuse it.
LONGEST_SECONDS = 2.0
#: One thread of so many, rounded up, is left to readers, but not the only one.
_LEFT_OF = 4


class Threads(Generic[Conn]):
    """Requests wait for a thread in the order in which they came, those that write for one of fewer.

    It is used by the main thread of a worker alone.
    """

    def __init__(self, begin: Callable[[Conn], None], *, threads: int) -> None:
        """Begin without any; `begin` gives a connection to one of so many threads."""
        self._begin = begin
        self._threads = threads
        self._writing_threads = max(1, threads - -(-threads // _LEFT_OF))
        #: What was begun.
        self._begun: dict[Conn, Begun] = {}
        self._readers: deque[_Waiting[Conn]] = deque()
        self._writers: deque[_Waiting[Conn]] = deque()

    def add(self, conn: Conn, *, writes: bool) -> None:
        """Have the request of a connection begun, once there is a thread for it."""
        (self._writers if writes else self._readers).append(_Waiting(time.monotonic(), conn))
        self.go_on()

    @property
    def count(self) -> int:
        """How many threads there are requests for, at most all of them."""
        return len(self._begun)

    def of(self, conn: Conn) -> Begun:
        """Return what there is to know of a request that was begun; for any thread."""
        return self._begun.get(conn) or Begun(False, time.monotonic())

    def end(self, conn: Conn) -> None:
        """Give the thread of a connection that is done to the next one."""
        self._begun.pop(conn, None)
        self.go_on()

    def go_on(self) -> None:
        """Begin what there are threads for, which may be more because time has passed."""
        while len(self._begun) < self._threads and (queue := self._next()):
            since, conn = queue.popleft()
            # Before it is, for its thread asks for that.
            self._begun[conn] = Begun(queue is self._writers, since)
            try:
                self._begin(conn)
            except BaseException:
                del self._begun[conn]
                raise

    def _next(self) -> deque[_Waiting[Conn]]:
        """Return the queue whose first is next, which is empty if none may begin."""
        if not self._writers or not self._may_write(self._writers[0].since):
            return self._readers
        if self._readers and self._readers[0].since <= self._writers[0].since:
            return self._readers
        return self._writers

    def _may_write(self, since: float) -> bool:
        """Whether there is a thread for a writer, or it has waited for so long that it is but refused."""
        is_late = time.monotonic() - since > LONGEST_SECONDS
        return is_late or sum(one.writes for one in self._begun.values()) < self._writing_threads


class Begun(NamedTuple):
    """A request that has a thread: whether it writes, and since when it waited."""

    writes: bool
    since: float


class _Waiting(NamedTuple, Generic[Conn]):
    since: float
    conn: Conn
