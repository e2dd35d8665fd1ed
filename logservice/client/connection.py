"""One connection to the service, kept open between requests, none of which takes longer than its deadline."""

from __future__ import annotations

# Looking a host up needs this codec. Left to be imported by the first connection, it would be so in a thread,
# and a process forked at that moment would wait for the end of that import for ever.
import encodings.idna  # noqa: F401 - imported for what it registers
import http.client
import io
import os
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .limits import Limits

#: An answer longer than this is none of this service's.
_LONGEST_ANSWER = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    retry_after: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """Where events are posted to, and as whom."""

    secure: bool
    host: str
    port: int | None
    path: str
    access_token: str

    @classmethod
    def of(cls, url: str, path: str, access_token: str) -> Target:
        """Return the target of a service at `url`. Raises ValueError, which never repeats the token."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: http://host:port or https://host is expected")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("url: takes neither a login nor a query nor a fragment")
        whole = parts.path.rstrip("/") + path
        if not whole.startswith("/") or not _is_plain(whole) or not _is_plain(parts.hostname):
            raise ValueError("url, path: printable ASCII without spaces is expected, and a path from /")
        if not access_token or not _is_plain(access_token):
            raise ValueError("access_token: printable ASCII without spaces is expected")
        return cls(parts.scheme == "https", parts.hostname, parts.port, whole, access_token)

    def __str__(self) -> str:
        """Name the service without its token, for log lines."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.secure else 'http'}://{host}{port}{self.path}"


class Connection:
    """Posts bodies one after the other, from one thread."""

    def __init__(self, target: Target, limits: Limits, context: ssl.SSLContext | None) -> None:
        self._target = target
        self._limits = limits
        self._context = context
        self._http: http.client.HTTPConnection | None = None
        self._socket: _BoundedSocket | None = None

    def post(self, body: bytes, *, key: str) -> Answer:
        """Post lines of JSON under an Idempotency-Key. Raises OSError or HTTPException.

        A service closes a connection that was idle for long; then the post is repeated at once on a new one.
        """
        deadline = time.monotonic() + self._limits.deadline
        was_open = self._http is not None
        try:
            return self._exchange(body, key, deadline)
        except ConnectionError:
            if not was_open:
                raise
        return self._exchange(body, key, deadline)

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._http is not None:
            self._http.close()
        self._http = self._socket = None

    def forget(self) -> None:
        """Let go of the connection in a child process: its end is closed, the parent goes on with its own.

        The descriptor alone is closed, because a lock of a buffer may be held by a thread left in the parent.
        """
        if self._socket is not None and self._socket.fileno() >= 0:
            os.close(self._socket.detach())
        self._http = self._socket = None

    def _exchange(self, body: bytes, key: str, deadline: float) -> Answer:
        try:
            connection = self._opened(deadline)
            connection.request("POST", self._target.path, body, self._headers(key))
            response = connection.getresponse()
            answer = Answer(
                response.status, response.headers.get("Retry-After"), response.read(_LONGEST_ANSWER + 1)
            )
        except BaseException:
            self.close()
            raise
        if not response.isclosed() or response.will_close:
            self.close()
        if len(answer.body) > _LONGEST_ANSWER:
            raise http.client.HTTPException(f"an answer longer than {_LONGEST_ANSWER} bytes")
        return answer

    def _opened(self, deadline: float) -> http.client.HTTPConnection:
        if self._http is None or self._socket is None:
            self._http = self._new()
            self._http.connect()
            self._http.sock = self._socket = _BoundedSocket(self._http.sock, self._limits.read_timeout)
        self._socket.deadline = deadline
        return self._http

    def _new(self) -> http.client.HTTPConnection:
        target, timeout = self._target, self._limits.connect_timeout
        if target.secure:
            return http.client.HTTPSConnection(
                target.host, target.port, timeout=timeout, context=self._context
            )
        return http.client.HTTPConnection(target.host, target.port, timeout=timeout)

    def _headers(self, key: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._target.access_token}",
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": key,
            "User-Agent": "logservice-client",
        }


class _BoundedSocket:
    """What `http.client` needs of a socket, each step limited by what is left until the deadline.

    A timeout of the socket alone begins anew with every byte, so that a service that trickles could hold a
    request for ever.
    """

    def __init__(self, sock: socket.socket, read_timeout: float) -> None:
        self._sock = sock
        self._read_timeout = read_timeout
        self.deadline = 0.0

    def limit(self) -> None:
        """Give the next step the time that is left. Raises TimeoutError when that is none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took longer than its deadline")
        self._sock.settimeout(min(left, self._read_timeout))

    def sendall(self, data: bytes) -> None:
        """Send everything; the socket's own `sendall` counts its time anew for each piece under TLS."""
        rest = memoryview(data)
        while rest:
            self.limit()
            rest = rest[self._sock.send(rest) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what an answer is read from."""
        return io.BufferedReader(_BoundedReader(self, self._sock.makefile("rb", buffering=0)))

    def close(self) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def detach(self) -> int:
        return self._sock.detach()


class _BoundedReader(io.RawIOBase):
    def __init__(self, bounded: _BoundedSocket, raw: io.RawIOBase) -> None:
        self._bounded = bounded
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._bounded.limit()
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
