"""The client itself: what a program calls, and what becomes of it when the process forks or ends."""

from __future__ import annotations

import atexit
import os
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any, Self
from weakref import WeakSet

from .buffer import Buffer, Counts
from .connection import Connection, Target
from .delivery import Delivery
from .limits import Limits
from .lines import Unwritable, line
from .notices import Notices, OnRefused, log


class Client:
    """Records events without waiting, and delivers them to the service at `url` from a thread of its own.

    `access_token` is that of a writer or admin. `path` is where events go below `url`; in a host application
    it follows the prefix that was chosen there. `on_refused(event, reason)` is called for each event that
    cannot be stored, from the client's thread: it must neither flush nor close. `ssl_context` replaces the
    default one for https. Raises ValueError for a url, path or token that cannot be used; nothing is sent
    before the first event. May be used by many threads, and on both sides of a fork.
    """

    def __init__(
        self,
        url: str,
        access_token: str,
        *,
        path: str = "/api/log/",
        limits: Limits | None = None,
        on_refused: OnRefused | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._target = Target.of(url, path, access_token)
        self._limits = limits or Limits()
        self._on_refused = on_refused
        if ssl_context is None and self._target.secure:
            ssl_context = ssl.create_default_context()
        self._context = ssl_context
        self._begin()
        _clients.add(self)
        atexit.register(self._at_exit)

    def __repr__(self) -> str:
        return f"<Client of {self._target}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        """What became of all events recorded in this process."""
        return self._buffer.counts

    def record(self, event: Mapping[str, Any] | None = None, /, **fields: Any) -> bool:
        """Keep one event for delivery, given as a mapping, as keywords, or as both, where keywords count.

        Neither waits nor raises for what an event holds. Returns False when the event will not be sent: it
        cannot be written as JSON, which is logged, or the buffer is full or closed. `counts` tells which.
        """
        written = line(event, fields, time.time())
        if isinstance(written, Unwritable):
            self._buffer.refuse(written)
            kept = False
        else:
            kept = self._buffer.add(written)
        if self._thread is None:
            self._start()
        return kept

    def flush(self, timeout: float = 10.0) -> bool:
        """Deliver what was recorded before, now; False when the service has not answered for all in time."""
        return self._buffer.flush(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Deliver what is left within so many seconds, then stop; False when events had to be given up.

        They are counted as `dropped_closed`. Those that were just being sent may have been stored.
        """
        atexit.unregister(self._at_exit)
        deadline = time.monotonic() + timeout
        self._buffer.close()
        done = self._buffer.flush(timeout)
        if not done and (given_up := self._buffer.abandon()):
            log.error("%d events were not delivered to %s in time", given_up, self._target)
        if self._thread is not None:
            self._thread.join(max(deadline - time.monotonic(), 0.1))
        return done

    # -- life ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start with nothing: in a new client, and in a child process, where the parent delivers its own."""
        self._buffer = Buffer(self._limits)
        self._connection = Connection(self._target, self._limits, self._context)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def _start(self) -> None:
        """Start the thread, when there is something to deliver: one that ran before a fork would be lost."""
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                notices = Notices(str(self._target), self._on_refused)
                delivery = Delivery(self._buffer, self._connection, self._limits, notices)
                thread = threading.Thread(target=delivery.run, name="logservice-client", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError as error:
            # No thread is left, or the interpreter is ending. The next event tries again.
            log.error("events of %s wait: no thread can be started (%s)", self._target, error)
        finally:
            self._starting.release()

    def _at_exit(self) -> None:
        self.close(self._limits.at_exit)

    def _after_fork(self) -> None:
        was_closed = self._buffer.is_closed
        self._connection.forget()
        self._begin()
        if was_closed:
            self._buffer.close()


_clients: WeakSet[Client] = WeakSet()


def _after_fork() -> None:
    """Give a child process clients of its own, before anything else runs in it."""
    for client in list(_clients):
        client._after_fork()


os.register_at_fork(after_in_child=_after_fork)
