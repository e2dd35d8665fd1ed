"""Requests are looked at before a thread reads them: whether their headers are there, and whether they write.

What waits in the system's buffer can be seen without being taken, and the system told to wake nobody before
more of it is there.
"""

from __future__ import annotations

import socket
from contextlib import suppress

#: Bytes of a request line without its end, as gunicorn's `limit_request_line`.
LONGEST_LINE = 8190
#: Bytes of headers that are waited for; other servers allow 8 to 64 KiB.
MOST = 65536
_LINE_END, _END = b"\r\n", b"\r\n\r\n"
#: How methods begin that do not only read: RFC 9110, section 9.2.1, and RFC 5789.
_WRITING = (b"POST", b"PUT ", b"PATC", b"DELE")


def look(sock: socket.socket) -> bytes | None:
    """Return what has arrived, up to MOST bytes; None where no more will, or nobody can be woken for more."""
    try:
        seen = sock.recv(MOST, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""
    except (OSError, ValueError):
        # ValueError: a socket of TLS shows nothing.
        return None
    # Unix sockets count as readable whatever is there.
    return seen if seen and sock.family in (socket.AF_INET, socket.AF_INET6) else None


def wait_for(sock: socket.socket, size: int) -> None:
    """Have a socket count as readable once so many bytes have arrived, or the client has hung up.

    Reading waits for as many: it is 1 at first, and has to be again before anybody reads.
    """
    # A client that has gone meanwhile makes it readable too.
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


def are_whole(seen: bytes) -> bool:
    """Whether all headers of a request are there."""
    return _END in seen


def are_awaited(seen: bytes) -> bool:
    """Whether more has to arrive before anybody can say what becomes of a request, and may arrive."""
    return not (are_whole(seen) or _is_malformed(seen) or len(seen) >= MOST)


def are_too_many(seen: bytes) -> bool:
    """Whether so much has arrived that no more is waited for, and the headers have no end."""
    return len(seen) >= MOST and not (are_whole(seen) or _is_malformed(seen))


def is_writing(seen: bytes) -> bool:
    """Whether a request does not only read, as its method says."""
    # An empty line before it is allowed: RFC 9112, section 2.2.
    return seen.removeprefix(_LINE_END)[:4] in _WRITING


def _is_malformed(seen: bytes) -> bool:
    """Whether it is refused whatever follows: for the end of a line, or a first line that is too long."""
    longest = LONGEST_LINE + len(_LINE_END)
    is_too_long = len(seen) > longest and _LINE_END not in seen[:longest]
    return is_too_long or seen.count(b"\n") != seen.count(_LINE_END)
