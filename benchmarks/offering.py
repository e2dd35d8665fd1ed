"""Clients who do not wait for each other: requests are sent when they are due, however many are under way.

A client that waits for its answer before it asks again slows down with the service, and never offers it more
than it can do. Here each request has its moment, and how long it takes is counted from there.

Clients of a real service have processors of their own. These share those of the service, whose workers, when
there is too much to do, kept them waiting for a second at a time: that would count as the service's delay. So
they come first when they offer, where the system lets us, and how late they were is told.
"""

from __future__ import annotations

import gc
import os
import re
import resource
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from .figures import percentile

#: How long, in seconds, answers are waited for once all is sent.
GRACE = 60
#: A connection that was idle for so many seconds is not used again: the service is about to close it.
_IDLE_SECONDS = 2
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after: *(\d+)\r\n", re.IGNORECASE)
_MOST_FILES = 16_384
#: The status of a request that was refused a connection, or lost it.
LOST = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A prepared request of some kind, and what it is called in the ledger of its sender."""

    kind: str
    content: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: its status, milliseconds since it was due, whether it says when to retry."""

    request: Request
    status: int
    milliseconds: float
    retry_after: bool


@dataclass(slots=True)
class Offered:
    """All answers to what was offered in so many seconds, and the most requests under way at once.

    And by how many milliseconds the clients themselves were late with each.
    """

    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    most: int = 0
    late: list[float] = field(default_factory=list)

    def add(self, other: Offered) -> None:
        """Count what was offered at another time as well."""
        self.answers += other.answers
        self.seconds += other.seconds
        self.most = max(self.most, other.most)
        self.late += other.late

    def statuses(self, kind: str | None = None) -> Counter[int]:
        """Return how often each status was answered, of one kind or of all."""
        return Counter(one.status for one in self.answers if kind in (None, one.request.kind))

    def milliseconds(self, status: int, kind: str | None = None) -> list[float]:
        """Return how long those took that were answered with a status."""
        found = (one for one in self.answers if one.status == status)
        return [one.milliseconds for one in found if kind in (None, one.request.kind)]

    def described(self) -> Iterator[str]:
        """Yield a line for each kind and status."""
        for kind in sorted({one.request.kind for one in self.answers}):
            for status, count in sorted(self.statuses(kind).items()):
                took = self.milliseconds(status, kind)
                p50, p99 = (percentile(took, share) for share in (0.5, 0.99))
                yield (
                    f"{kind:6} {status or 'lost'}: {count:7,}  {count / self.seconds:7.1f}/s  "
                    f"p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  max {max(took):7.1f} ms"
                )
        if self.late:
            p99, most = percentile(self.late, 0.99), max(self.late)
            yield f"clients were late themselves by p99 {p99:.1f} ms  max {most:.1f} ms, which is part of it"


def _raise_limit() -> None:
    """Allow as many open files as connections may be under way, where the system lets us."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < _MOST_FILES:
        wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def offer(port: int, requests: Iterable[Request], *, rate: float, seconds: float) -> Offered:
    """Send so many requests a second for so many seconds, and wait for every answer."""
    _raise_limit()
    with _without_pauses(), _first():
        return _Clients(port).run(iter(requests), rate=rate, seconds=seconds)


def ask(port: int, requests: Iterable[Request], *, connections: int, seconds: float) -> Offered:
    """Have so many clients send one request after the other, each when it has its answer.

    These do not come first: so many that connect at once would keep the worker whose processor they are on
    from taking any.
    """
    with _without_pauses():
        return _Clients(port).run(iter(requests), rate=None, seconds=seconds, most=connections)


@contextmanager
def _without_pauses() -> Iterator[None]:
    """Collect no garbage meanwhile: to look through a million answers takes longer than the service does."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _first() -> Iterator[None]:
    """Have this thread get a processor whenever it wants one, if we may decide that."""
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


class _Clients:
    """Connections to the service, those that are busy and those that may be used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Line] = []
        self._busy = 0
        self._found = Offered()

    def run(
        self, requests: Iterator[Request], *, rate: float | None, seconds: float, most: int = 0
    ) -> Offered:
        begun = time.perf_counter()
        due, end = begun, begun + seconds
        while (now := time.perf_counter()) < end:
            while (rate is None and self._busy < most) or (rate is not None and due <= now):
                self._send(next(requests), now if rate is None else due)
                if rate is not None:
                    self._found.late.append((time.perf_counter() - due) * 1000)
                    due += 1 / rate
            self._answers(max(0.0, min(due if rate else end, end) - time.perf_counter()))
        self._found.seconds = time.perf_counter() - begun
        while self._busy and time.perf_counter() < end + GRACE:
            self._answers(1)
        self._close()
        return self._found

    def _send(self, request: Request, due: float) -> None:
        self._busy += 1
        self._found.most = max(self._found.most, self._busy)
        line = self._usable() or _Line(self._port, self._selector)
        line.send(request, due)

    def _usable(self) -> _Line | None:
        while self._idle:
            line = self._idle.pop()
            if line.is_open and time.perf_counter() - line.used < _IDLE_SECONDS:
                return line
            line.close()
        return None

    def _answers(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            line: _Line = key.data
            answer = line.go_on()
            if answer is None:
                continue
            self._busy -= 1
            self._found.answers.append(answer)
            if line.is_open:
                self._idle.append(line)

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            line: _Line = key.data
            # Whoever never got an answer is told of as lost.
            if line.request is not None:
                self._found.answers.append(line.lost())
            line.close()
        self._selector.close()


class _Line:
    """A connection, and the request that is under way on it."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect_ex(("127.0.0.1", port))
        self._selector.register(self._socket, selectors.EVENT_WRITE, self)
        self._unsent, self._answer, self._due = b"", b"", 0.0
        self.request: Request | None = None
        self.used = 0.0
        self.is_open = True

    def send(self, request: Request, due: float) -> None:
        """Send a request as soon as the connection takes it."""
        self.request, self._due, self._unsent, self._answer = request, due, request.content, b""
        self._selector.modify(self._socket, selectors.EVENT_WRITE, self)

    def go_on(self) -> Answer | None:
        """Send or receive a part; return the answer once it is complete, or there will be none."""
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
                if not self._unsent:
                    self._selector.modify(self._socket, selectors.EVENT_READ, self)
                return None
            part = self._socket.recv(65536)
        except BlockingIOError:
            return None
        except OSError:
            part = b""
        if self.request is None:
            # Closed while it was idle.
            self.close()
            return None
        self._answer += part
        return self._complete() if part else self.lost()

    def lost(self) -> Answer:
        """Return what is noted of a request that gets no answer."""
        self.close()
        return self._noted(LOST, retry_after=False)

    def close(self) -> None:
        """Hang up."""
        if self.is_open:
            self.is_open = False
            with suppress(KeyError):
                self._selector.unregister(self._socket)
            self._socket.close()

    def _complete(self) -> Answer | None:
        head, end, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if not end or length is None or len(body) < int(length[1]):
            return None
        self.used = time.perf_counter()
        status = _STATUS.match(head)
        if b"\r\nconnection: close" in head.lower():
            self.close()
        return self._noted(
            int(status[1]) if status else LOST, retry_after=bool(_RETRY.search(head + b"\r\n"))
        )

    def _noted(self, status: int, *, retry_after: bool) -> Answer:
        request, self.request = self.request, None
        assert request is not None
        return Answer(request, status, (time.perf_counter() - self._due) * 1000, retry_after)


def names_of(answers: Sequence[Answer], status: int) -> set[str]:
    """Return the names of the requests that were answered with a status."""
    return {one.request.name for one in answers if one.status == status and one.request.name}
