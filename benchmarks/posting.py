"""A client that posts prepared requests over many connections at once and costs little itself.

The machine that is measured runs the client too: a thread for each connection would take a good part of a
processor away from the service.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from .calling import JSON, Refused

#: How long, in seconds, the last answers are waited for.
GRACE = 30
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Posts:
    """What came of it: milliseconds for each answer, seconds for all, the client's share of a processor."""

    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0
    processor_share: float = 0.0


def request(access_token: str, body: bytes) -> bytes:
    """Return a whole request that posts one event."""
    head = (
        "POST /api/log/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {access_token}\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def post_each(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Posts:
    """Send each request once, one after another on each connection, for so many seconds at most.

    Raises Refused when an answer is no success or does not come.
    """
    posts = Posts()
    with ExitStack() as stack:
        lines = [stack.enter_context(closing(_Line(port))) for _ in range(connections)]
        begun, working = time.perf_counter(), time.thread_time()
        _talk(lines, _for_seconds(requests, seconds), posts, until=begun + seconds + GRACE)
        posts.seconds = time.perf_counter() - begun
        posts.processor_share = (time.thread_time() - working) / posts.seconds
    return posts


def _for_seconds(requests: Sequence[bytes], seconds: float) -> Iterator[bytes]:
    end = time.perf_counter() + seconds
    for waiting in requests:
        if time.perf_counter() > end:
            return
        yield waiting


def _talk(lines: Sequence[_Line], waiting: Iterator[bytes], posts: Posts, *, until: float) -> None:
    with selectors.DefaultSelector() as selector:
        for line in lines:
            selector.register(line, selectors.EVENT_READ)
        busy = sum(line.send(waiting) for line in lines)
        while busy:
            if time.perf_counter() > until:
                raise Refused("some posts were never answered")
            for key, _ in selector.select(timeout=1):
                answered = key.fileobj
                assert isinstance(answered, _Line)
                if answered.receive():
                    posts.milliseconds.append(answered.milliseconds)
                    busy -= not answered.send(waiting)


class _Line:
    """A connection with the request that is under way on it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._begun = 0.0
        self._answer = b""
        self.milliseconds = 0.0

    def fileno(self) -> int:
        """Tell a selector what to watch."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def send(self, waiting: Iterator[bytes]) -> bool:
        """Send the next request, and return whether there was one."""
        following = next(waiting, None)
        if following is None:
            return False
        self._answer, self._begun = b"", time.perf_counter()
        self._socket.sendall(following)
        return True

    def receive(self) -> bool:
        """Take what came, and return whether the answer is complete. Raises Refused for a failure."""
        part = self._socket.recv(65536)
        self._answer += part
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not part or not self._answer.startswith(b"HTTP/1.1 200 "[: len(self._answer)]):
            raise Refused(f"a post was answered with {self._answer[:300]!r}")
        length = _LENGTH.search(head + b"\r\n")
        if not end or length is None or len(body) < int(length[1]):
            return False
        self.milliseconds = (time.perf_counter() - self._begun) * 1000
        return True
