"""Requests that would wait too long for a thread are refused at once, in a thread of their own.

Of twice as many as can be done every second one is refused. It helps nobody that it waits first: its client
learns of it late, and one of the threads, and a turn, are kept from what could be done. What is said is said
by the application all the same, for a refusal has to look as any other answer does, in the log and in the
figures too.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

from . import server_headers as headers
from .server_threads import REFUSABLE, REFUSES

_REFUSABLE = tuple(path.encode() for path in REFUSABLE)
_INT = struct.Struct("i")


def are_known_to(app: Any) -> bool:
    """Whether an application refuses what it is told to, and does nothing before."""
    return REFUSES in getattr(app, "extensions", {})


def is_quick(seen: bytes, sock: socket.socket) -> bool:
    """Whether a request of which this was seen may be refused, and that waits for nobody."""
    return _asks_the_log(seen) and headers.are_whole(seen) and _has_all(sock)


def _asks_the_log(seen: bytes) -> bool:
    method, _, target = seen[:64].partition(b" ")
    return method.strip() != b"OPTIONS" and target.startswith(_REFUSABLE)


def _has_all(sock: socket.socket) -> bool:
    """Whether a client has all answers so far: one more, which is short, fits into the system's buffer."""
    try:
        [unsent] = _INT.unpack(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(_INT.size)))
    except (OSError, ValueError):
        # It is closed.
        return False
    return bool(unsent == 0)
