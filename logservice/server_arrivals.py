"""Connections whose next request is not there yet: they take no thread until its headers are.

Gunicorn has a thread wait for the rest of headers. Some clients who send a byte now and then would keep all
threads, and need no login for that.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from typing import Any

from gunicorn.workers.gthread import TConn

from . import server_headers as headers


@dataclass(slots=True)
class _Awaited:
    """Until when headers are waited for, and how many bytes the system held when it was asked last."""

    until: float
    size: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is done with a connection that need not be waited for."""

    #: Its request may be given to a thread; so much of it was seen, nothing where that cannot be.
    begin: Callable[[TConn, bytes], None]
    #: Its headers have no end.
    refuse: Callable[[TConn], None]
    #: Nothing more comes, or it comes too late.
    close: Callable[[TConn], None]


class Arrivals:
    """Connections that are waited for, by the main thread of a worker alone."""

    def __init__(self, outcome: Outcome, *, seconds: float) -> None:
        """Begin without any; headers are waited for so many seconds."""
        self._outcome = outcome
        self._seconds = seconds
        # In the order in which their time ends, for all have the same.
        self._awaited: dict[TConn, _Awaited] = {}

    def add(self, conn: TConn, poller: selectors.BaseSelector) -> None:
        """Go on with a connection once the headers of its request are there, which may be at once."""
        seen = _look(conn)
        if seen is None or not headers.are_awaited(seen.all):
            self._go_on(conn, seen)
            return
        conn.sock.setblocking(False)
        self._awaited[conn] = _Awaited(time.monotonic() + self._seconds, 0)
        poller.register(conn.sock, selectors.EVENT_READ, partial(self._look_again, conn, poller))
        self._wait_for_more(conn, seen)

    def close_expired(self, poller: selectors.BaseSelector) -> None:
        """Close those whose headers came too late."""
        now = time.monotonic()
        for conn, _ in list(takewhile(lambda one: one[1].until <= now, self._awaited.items())):
            self._forget(conn, poller)
            self._outcome.close(conn)

    def end_by(self, moment: float) -> None:
        """Wait for none any longer than that."""
        for awaited in self._awaited.values():
            awaited.until = min(awaited.until, moment)

    def give_up(self, poller: selectors.BaseSelector, *, after: float, most: int) -> list[TConn]:
        """Return the first connections that were waited for so many seconds in vain, and wait no more."""
        latest = time.monotonic() + self._seconds - after
        old = takewhile(lambda one: one[1].until <= latest, self._awaited.items())
        found = list(islice(self._idle(old), most))
        for conn in found:
            self._forget(conn, poller)
        return found

    def _idle(self, some: Iterator[tuple[TConn, _Awaited]]) -> Iterator[TConn]:
        for conn, awaited in some:
            seen = headers.look(conn.sock)
            if seen is not None and len(seen) == awaited.size:
                yield conn

    def _look_again(self, conn: TConn, poller: selectors.BaseSelector, _sock: socket.socket) -> None:
        seen, before = _look(conn), self._awaited[conn].size
        if seen is not None and seen.size <= before:
            # It is readable, and there is no more than before: the client has hung up.
            self._forget(conn, poller)
            self._outcome.close(conn)
        elif seen is not None and headers.are_awaited(seen.all):
            self._wait_for_more(conn, seen)
        else:
            self._forget(conn, poller)
            self._go_on(conn, seen)

    def _wait_for_more(self, conn: TConn, seen: _Seen) -> None:
        if seen.size != self._awaited[conn].size:
            self._awaited[conn].size = seen.size
            headers.wait_for(conn.sock, seen.size + 1)

    def _forget(self, conn: TConn, poller: selectors.BaseSelector) -> None:
        if self._awaited.pop(conn).size:
            headers.wait_for(conn.sock, 1)
        poller.unregister(conn.sock)

    def _go_on(self, conn: TConn, seen: _Seen | None) -> None:
        if seen is None:
            self._outcome.begin(conn, b"")
        elif headers.are_too_many(seen.all):
            self._outcome.refuse(conn)
        else:
            self._outcome.begin(conn, seen.all)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The beginning of a request, and how much of it lies in the system's buffer."""

    all: bytes
    size: int


def _look(conn: TConn) -> _Seen | None:
    """Return what there is of the next request, or None where that does not tell whether to wait for more."""
    if conn.is_http2 or (conn.initialized and conn.cfg.is_ssl):
        return None
    found = headers.look(conn.sock)
    if found is None or (found and conn.cfg.is_ssl):
        return None
    return _Seen(_read_ahead(conn) + found, len(found))


def _read_ahead(conn: TConn) -> bytes:
    """Return what was read of the next request together with the one before, as gunicorn asks itself."""
    parser: Any = conn.parser
    read: bytes = parser.unreader.buf.getvalue() if conn.initialized else b""
    return read
