"""Requests are looked at before a thread reads them: whether their headers are there, and whether they write.

Gunicorn has a thread wait for the rest of headers. Some clients who send a byte now and then would keep all
threads, and need no login for that. What waits in the system's buffer can be looked at without being taken,
and the system told to wake nobody before more of it is there.
"""

from __future__ import annotations

import socket
from contextlib import suppress

#: Bytes of headers that are waited for; other servers allow 8 to 64 KiB.
MOST = 65536
_END = b"\r\n\r\n"
#: How methods begin that do not only read: RFC 9110, section 9.2.1, and RFC 5789.
_WRITING = (b"POST", b"PUT ", b"PATC", b"DELE")


def look(sock: socket.socket) -> bytes | None:
    """Return what has arrived, up to MOST bytes; None where no more will, or nobody can be woken for more."""
    try:
        seen = sock.recv(MOST, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""
    except OSError:
        return None
    # Unix sockets count as readable whatever is there.
    return seen if seen and sock.family in (socket.AF_INET, socket.AF_INET6) else None


def are_awaited(seen: bytes | None) -> bool:
    """Whether more of the headers has to arrive, and may."""
    return seen is not None and not _are_complete(seen) and len(seen) < MOST


def are_too_many(seen: bytes | None) -> bool:
    """Whether so much has arrived that no more is waited for, and the headers have no end."""
    return seen is not None and not _are_complete(seen) and len(seen) >= MOST


def write(seen: bytes | None) -> bool:
    """Whether a request writes, as its method says; one that nobody can look at counts as one that reads."""
    return seen is not None and seen[:4] in _WRITING


def wait_for(sock: socket.socket, size: int) -> None:
    """Have a socket count as readable once so many bytes have arrived, or the client has hung up.

    Reading waits for as many: it is 1 at first, and has to be again before anybody reads.
    """
    # A client that has gone meanwhile makes it readable too.
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


def _are_complete(seen: bytes) -> bool:
    return _END in seen
