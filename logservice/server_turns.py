"""Requests of a worker compute in turn, and those that read before those that write.

Where a worker keeps to one processor, and the database computes in it, its threads gain nothing by computing
at once: each is done when nearly all are, and on the way they take the interpreter and the caches from one
another. So a request has its turn, from its headers to its answer. Whoever reads waits for the answer with a
person behind it; a post that waits meanwhile goes into the next commit with others. It gives way for half a
second at most, after which it is served in the order in which all came: who reads cannot keep it out.

A turn ends early where its request waits for a commit, where the rest of its body is not seen, and where it
would keep others waiting for too long: see `look`. The rest of it is computed beside the next one then.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from .server_threads import Begun

#: Seconds after which others may begin beside a request.
LONGEST = 0.02
#: Seconds from one look at what a worker does to the next.
LOOK_EVERY = 0.005
#: A worker that computes for less than this share of the time waits, for a disk or a client. One of several
#: on a processor gets more of it.
BUSY_SHARE = 0.2
#: Seconds for which who writes gives way to who reads.
GIVES_WAY = 0.5
#: Seconds from one time that who waits asks whether there are turns at all to the next.
_ASK_EVERY = 0.1


class Turns:
    """Whose turn it is, and who waits for one; for any thread, but for `look`.

    Once it was stopped nothing here says any more who computes or waits.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lock = threading.Lock()
        #: Whose turn it is, and since when.
        self._turn: Turn | None = None
        self._since = 0.0
        self._is_stopped = False
        #: How many requests go on whose turn has ended.
        self._past = 0
        self._readers: deque[_Waiting] = deque()
        self._writers: deque[_Waiting] = deque()
        #: When it was looked at last, and for how long the process had computed.
        self._looked, self._computed = 0.0, 0.0

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._readers) + len(self._writers)

    @property
    def past(self) -> int:
        """How many requests go on whose turn has ended."""
        return self._past

    @contextmanager
    def taken(self, begun: Begun) -> Iterator[None]:
        """Wait for the turn of a request, and have it in the block."""
        turn = Turn(self)
        self._take(turn, begun)
        token = current_turn.set(turn)
        try:
            yield
        finally:
            self._leave(turn)
            current_turn.reset(token)

    def look(self) -> None:
        """Let the next one begin, where whose turn it is only waits or takes long.

        To be called often, by one thread. Whether it waits is told by the processor time of the process,
        which is little then.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        computed = time.process_time()
        waits = computed - self._computed < BUSY_SHARE * (now - self._looked)
        # Who has begun since the last look was not there for all of that time.
        latest = max(self._looked, now - LONGEST) if waits else now - LONGEST
        with self._lock:
            if self._turn is not None and self._since <= latest:
                self._past += 1
                self._next()
        self._looked, self._computed = now, computed

    def stop(self) -> None:
        """Have all compute at once from now on, for nobody looks any more."""
        self._is_stopped = True

    def end(self, turn: Turn) -> None:
        """Let the next one begin beside this one, if it is still its turn."""
        with self._lock:
            if self._turn is turn:
                self._past += 1
                self._next()

    def _take(self, turn: Turn, begun: Begun) -> None:
        with self._lock:
            if self._is_stopped:
                return
            if self._turn is None:
                self._begin(turn)
                return
            ready = threading.Lock()
            ready.acquire()
            queue = self._writers if begun.writes else self._readers
            queue.append(_Waiting(begun.since, turn, ready))
        while not (ready.acquire(timeout=_ASK_EVERY) or self._is_stopped):
            pass

    def _leave(self, turn: Turn) -> None:
        with self._lock:
            if self._turn is turn:
                self._next()
            else:
                self._past -= 1

    def _next(self) -> None:
        queue = self._queue()
        if queue:
            waiting = queue.popleft()
            self._begin(waiting.turn)
            waiting.ready.release()
        else:
            self._turn = None

    def _begin(self, turn: Turn) -> None:
        self._turn, self._since = turn, time.monotonic()

    def _queue(self) -> deque[_Waiting]:
        """Return the queue whose first is next, which is empty if nobody waits."""
        if not self._writers or not self._readers:
            return self._writers or self._readers
        since = self._writers[0].since
        is_due = time.monotonic() - since > GIVES_WAY and since < self._readers[0].since
        return self._writers if is_due else self._readers


class Turn:
    """The turn of one request."""

    def __init__(self, turns: Turns) -> None:
        """Belong to the turns of a worker."""
        self._turns = turns

    def end(self) -> None:
        """Let others compute; nothing comes of it where its turn is over."""
        self._turns.end(self)


class _Waiting(NamedTuple):
    since: float
    turn: Turn
    #: Locked until its turn has come.
    ready: threading.Lock


#: That of the request of this thread, where requests take turns; it may have ended.
current_turn: ContextVar[Turn | None] = ContextVar("current_turn", default=None)


def end_turn() -> None:
    """Let others compute: the request of this thread, if it has a turn, is about to wait."""
    turn = current_turn.get()
    if turn is not None:
        turn.end()
