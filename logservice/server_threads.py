"""The threads of a worker are shared out: requests that write leave some to those that read.

A post keeps its thread until its commit is on disk. While a disk hangs, or another program locks the
database, as many posts as there are threads would keep out everybody, and those who read nothing else stops.

More requests than can be done wait ever longer. One that has waited for two seconds is refused, and so is,
before it waits, one that would wait for nearly as long.
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
#: Whether the request of this thread has one only to be refused, because it would have waited for too long.
is_refused: ContextVar[bool] = ContextVar("is_refused", default=False)

#: Seconds that a request may wait for a thread; then one is there only to refuse it.
LONGEST_SECONDS = 2.0
#: How paths begin that may be refused: those that ask something of the log.
REFUSABLE = ("/api/", "/v1/")
#: What an application has in its `extensions` that refuses what `is_refused`, and does nothing before.
REFUSES = "logservice.refuses"
#: One thread of so many, rounded up, is left to readers, but not the only one.
_LEFT_OF = 4
#: Seconds for which who comes now may have to wait, by what is known: less, for it waits for its turn too.
_EXPECTED_SECONDS = 1.5
#: How fast a queue goes on is known by so many seconds in which all that were begun had waited for half a
#: second: there is more to do than can be done. What gathers while nothing goes on is soon done afterwards.
_COUNTED_SECONDS, _WAITED_SECONDS = 1.0, 0.5
#: For so many seconds that holds.
_KNOWN_SECONDS = 10.0


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
        self._readers: _Queue[Conn] = _Queue()
        self._writers: _Queue[Conn] = _Queue()

    def are_too_many(self, *, writes: bool) -> bool:
        """Whether a request that comes now would wait for too long, as things go."""
        return (self._writers if writes else self._readers).seconds() > _EXPECTED_SECONDS

    def add(self, conn: Conn, *, writes: bool) -> None:
        """Have the request of a connection begun, once there is a thread for it."""
        (self._writers if writes else self._readers).add(conn)
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
            since, conn = queue.take()
            # Before it is, for its thread asks for that.
            self._begun[conn] = Begun(queue is self._writers, since)
            try:
                self._begin(conn)
            except BaseException:
                del self._begun[conn]
                raise

    def _next(self) -> _Queue[Conn]:
        """Return the queue whose first is next, which is empty if none may begin."""
        if not self._writers or not self._may_write(self._writers.since):
            return self._readers
        if self._readers and self._readers.since <= self._writers.since:
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


class _Queue(Generic[Conn]):
    """Connections in the order in which they came, and how fast they go on."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting[Conn]] = deque()
        #: Seconds for each that is taken, and until when that holds.
        self._pace, self._known_until = 0.0, 0.0
        #: How many were taken since when, but for who is only refused; None if the last had not waited.
        self._taken = 0
        self._counted_from: float | None = None
        #: When the last of those was.
        self._counted = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def since(self) -> float:
        """Since when the first one waits."""
        return self._waiting[0].since

    def add(self, conn: Conn) -> None:
        self._waiting.append(_Waiting(time.monotonic(), conn))

    def take(self) -> tuple[float, Conn]:
        """Return since when the first one waited, and it, which waits no more."""
        since, conn = self._waiting.popleft()
        now = time.monotonic()
        waited = now - since
        if not self._waiting or waited < _WAITED_SECONDS:
            self._counted_from = None
        elif waited <= LONGEST_SECONDS:
            self._count(now)
        return since, conn

    def _count(self, now: float) -> None:
        """Count one that is taken to be served, and has waited."""
        if self._counted_from is None or now - self._counted > _WAITED_SECONDS:
            # Or nothing went on.
            self._taken, self._counted_from = 0, now
        else:
            self._taken += 1
            if now - self._counted_from >= _COUNTED_SECONDS:
                self._pace = (now - self._counted_from) / self._taken
                self._known_until = now + _KNOWN_SECONDS
                self._taken, self._counted_from = 0, now
        self._counted = now

    def seconds(self) -> float:
        """Return for how long one more would wait, 0 where nobody has waited for long, or it is not known."""
        now = time.monotonic()
        if not self._waiting or now - self.since < _WAITED_SECONDS or now >= self._known_until:
            return 0.0
        return len(self._waiting) * self._pace


class _Waiting(NamedTuple, Generic[Conn]):
    since: float
    conn: Conn
