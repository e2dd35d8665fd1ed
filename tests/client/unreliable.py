"""A real HTTP server between a client and a service, that has moods: it hangs, refuses, loses answers."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    at: float
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.split(b"\n")]


class Unreliable:
    """The server. Without a service behind it, it stores whatever comes, once for each key.

    `mood` is one of "good", "close" (good, and the connection is closed without a word afterwards), "lose"
    (stored, but the connection is closed before the answer), "hang", "trickle" (an answer without end), or a
    status with a body and headers.
    """

    def __init__(self, port: int | None) -> None:
        self.upstream = port
        self.mood: str | tuple[int, bytes, dict[str, str]] = "good"
        self.requests: list[Request] = []
        self.stored: dict[str, list[dict[str, Any]]] = {}
        self.connections = 0
        self.released = threading.Event()

    def forward(self, request: Request) -> tuple[int, bytes]:
        """Have a request stored, and return status and body of the answer."""
        if self.upstream is None:
            events = self.stored.setdefault(request.key, request.events)
            return 200, report(len(events))
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        try:
            connection.request("POST", "/api/log/", request.body, dict(request.headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    @property
    def keys(self) -> list[str]:
        """The keys in the order of the requests."""
        return [request.key for request in self.requests]

    def wait_for(self, number: int, timeout: float = 20.0) -> None:
        """Wait until so many requests have arrived."""
        until = time.monotonic() + timeout
        while len(self.requests) < number:
            assert time.monotonic() < until, f"{len(self.requests)} of {number} requests arrived"
            time.sleep(0.01)


def report(accepted: int, *rejected: tuple[int, str]) -> bytes:
    """Return the answer of the service for so many stored events."""
    named = [{"index": index, "message": message} for index, message in rejected]
    return json.dumps(
        {"success": True, "message": "", "data": {"accepted": accepted, "rejected": named}}
    ).encode()


def failure(message: str) -> bytes:
    """Return a failure in the service's envelope."""
    return json.dumps({"success": False, "message": message}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    unreliable: Unreliable

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        """Count the connection; one whose TLS the client breaks off ends here."""
        self.unreliable.connections += 1
        try:
            super().handle()
        except ssl.SSLError:
            return

    def do_POST(self) -> None:
        """Answer as the mood is."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = Request(time.monotonic(), dict(self.headers), body)
        mood = self.unreliable.mood
        self.unreliable.requests.append(request)
        if mood == "hang":
            self._hang()
        elif mood == "trickle":
            self._trickle()
        elif mood == "lose":
            self.unreliable.forward(request)
            self.close_connection = True
        elif isinstance(mood, tuple):
            self._answer(*mood)
        else:
            self._answer(*self.unreliable.forward(request), {})
            self.close_connection = mood == "close"

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _hang(self) -> None:
        self.unreliable.released.wait(60)
        self.close_connection = True

    def _trickle(self) -> None:
        self.close_connection = True
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not self.unreliable.released.wait(0.02):
                self.wfile.write(b"x")
        except OSError:
            return


@contextmanager
def unreliable(
    upstream: int | None = None, *, certificate: Path | None = None
) -> Iterator[tuple[Unreliable, str]]:
    """Run the server before the service at a port of this machine, if any; give it and its address.

    With a certificate and its key in a file it speaks TLS.
    """
    state = Unreliable(upstream)
    handler = type("Handler", (_Handler,), {"unreliable": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state, f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        state.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
