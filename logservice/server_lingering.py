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
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

#: So many seconds, as gunicorn, and so many bytes that nobody looks at: headers without an end, and as many.
_SECONDS, _BYTES = 2.0, 2 * 65536
#: As many bytes are read at a time.
_CHUNK = 4096


@dataclass(slots=True)
class _Left:
    """What a socket is still given."""

    until: float
    bytes: int = _BYTES


class Lingering:
    """Sockets that say no more, until their clients close them or had their time.

    Of who sends too much nothing more is read, and is waited for all the same: a proxy that is still sending
    has to find the answer before it finds the connection gone.
    """

    def __init__(self, after_close: Callable[[], None]) -> None:
        """Begin without sockets; `after_close` is called after each that was closed."""
        # In the order in which their time ends, for all have the same.
        self._sockets: dict[socket.socket, _Left] = {}
        self._after_close = after_close

    def __len__(self) -> int:
        """Return how many are not closed yet."""
        return len(self._sockets)

    def add(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        """End what is written to a socket, and have the poller tell what still comes."""
        left = _Left(time.monotonic() + _SECONDS)
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            if _is_open(sock, left):
                if left.bytes > 0:
                    poller.register(sock, selectors.EVENT_READ, partial(self._read, poller))
                self._sockets[sock] = left
                return
        except (OSError, ValueError, KeyError):
            # It is closed already, or cannot be watched.
            pass
        self._close(sock)

    def seconds(self) -> float | None:
        """Return in how many seconds the first has had its time, or None without any."""
        return next((max(0.0, left.until - time.monotonic()) for left in self._sockets.values()), None)

    def close_expired(self, poller: selectors.BaseSelector) -> None:
        """Close those that have had their time."""
        now = time.monotonic()
        for sock, _ in list(takewhile(lambda one: one[1].until <= now, self._sockets.items())):
            self._end(sock, poller)

    def _read(self, poller: selectors.BaseSelector, sock: socket.socket) -> None:
        left = self._sockets[sock]
        if not _is_open(sock, left):
            self._end(sock, poller)
        elif left.bytes <= 0:
            poller.unregister(sock)

    def _end(self, sock: socket.socket, poller: selectors.BaseSelector) -> None:
        if self._sockets.pop(sock).bytes > 0:
            poller.unregister(sock)
        self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        with suppress(OSError):
            sock.close()
        self._after_close()


def _is_open(sock: socket.socket, left: _Left) -> bool:
    """Read what a client has sent, unless that is too much, and return whether it has not closed."""
    try:
        while left.bytes > 0:
            received = len(sock.recv(_CHUNK))
            if not received:
                return False
            left.bytes -= received
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
