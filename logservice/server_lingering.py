"""Connections that are over: each is closed once its client has closed it, while others are served.

A server that is done with a connection says so, and reads on for a little, or the system may take back an
answer that the client has not read yet (RFC 9112, section 9.6). Gunicorn waits for that in the thread that
gives work to all others, up to two seconds: clients that ask for `Connection: close` and leave it open would
stop a worker.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

#: What gunicorn waits for as well: so many seconds, and so many bytes that nobody will look at.
_SECONDS, _BYTES = 2.0, 65536


@dataclass(slots=True)
class _Lingering:
    until: float
    left: int = _BYTES


class Lingering:
    """Sockets that say no more, until their clients close them, have sent too much, or had their time."""

    def __init__(self, closed: Callable[[], None]) -> None:
        """Begin without sockets; `closed` is called after each that was closed."""
        self._sockets: dict[socket.socket, _Lingering] = {}
        self._closed = closed

    def add(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        """End what is written to a socket, and have the poller tell what still comes."""
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            poller.register(sock, selectors.EVENT_READ, partial(self._read, poller))
        except (OSError, ValueError):
            # The client was quicker.
            self._close(sock)
        else:
            self._sockets[sock] = _Lingering(time.monotonic() + _SECONDS)

    def close_expired(self, poller: selectors.BaseSelector) -> None:
        """Close those that have had their time; they stand in the order of that."""
        now = time.monotonic()
        for sock in [sock for sock, lingering in self._sockets.items() if now >= lingering.until]:
            self._end(sock, poller)

    def _read(self, poller: selectors.BaseSelector, sock: socket.socket) -> None:
        lingering = self._sockets[sock]
        try:
            received = len(sock.recv(_BYTES))
        except BlockingIOError:
            return
        except OSError:
            received = 0
        lingering.left -= received
        if not received or lingering.left <= 0:
            self._end(sock, poller)

    def _end(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        del self._sockets[sock]
        poller.unregister(sock)
        self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        sock.close()
        self._closed()
