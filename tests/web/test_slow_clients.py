"""Clients that take their time: a thread of the service waits for none of them for long."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.processes import on_processors
from tests.serving import TOKENS, Service, send, serving

CLIENT_TIMEOUT = 2
HEADERS = f"Authorization: Bearer {TOKENS['gateway']}\r\nContent-Type: application/json\r\n"
POST = f"POST /api/log/ HTTP/1.1\r\nHost: x\r\n{HEADERS}"
#: What each client sends at once, and what it goes on with, a byte now and then. Of as many threads five are
#: for those that write, as many as send bodies.
SLOW = {
    "request line": ("G", "ET / HTTP/1.1"),
    "headers": ("GET /healthz HTTP/1.1\r\nHost: x\r\n", "X-Slow: " + "x" * 8000),
    "body": (f"{POST}Content-Length: 8000\r\n\r\n[", " " * 8000),
    "chunks": (f"{POST}Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n" * 8000),
    "one chunk": (f"{POST}Transfer-Encoding: chunked\r\n\r\n1000\r\n", " " * 8000),
    "trailers": (f"{POST}Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n", "X-Slow: " + "x" * 8000),
    "body of a stranger": ("POST /api/log/ HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n[", " " * 8000),
}


@pytest.fixture(scope="module", params=["1", "0"], ids=["in turn", "at once"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of one worker, whose requests compute in turn on one processor, or at once."""
    environ = {
        "LOGSERVICE_THREADS": str(len(SLOW)),
        "LOGSERVICE_CLIENT_TIMEOUT": str(CLIENT_TIMEOUT),
        "LOGSERVICE_CPU_AFFINITY": request.param,
    }
    with contextlib.ExitStack() as stack:
        # What is started keeps to it, and nobody else.
        with on_processors(1):
            found = stack.enter_context(serving(tmp_path_factory.mktemp("slow"), workers=1, environ=environ))
        yield found


@contextlib.contextmanager
def occupied(service: Service) -> Iterator[dict[str, socket.socket]]:
    """Have slow clients that go on sending until the block ends."""
    over = threading.Event()
    clients = {name: socket.create_connection(("127.0.0.1", service.port), timeout=30) for name in SLOW}
    for name, client in clients.items():
        client.sendall(SLOW[name][0].encode())

    def trickle() -> None:
        for turn in itertools.count():
            for name, client in clients.items():
                with contextlib.suppress(OSError):
                    client.send(SLOW[name][1][turn : turn + 1].encode())
            if over.wait(0.05):
                return

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        yield clients
    finally:
        over.set()
        sender.join()
        for client in clients.values():
            client.close()


def test_slow_clients_keep_nobody_out(service: Service) -> None:
    with occupied(service) as clients:
        # Were a thread kept, this would wait for as long as those clients go on: for minutes, and then fail.
        assert service.get("/healthz") == "ok"
        answers = {name: _answer(client) for name, client in clients.items()}
    assert answers == {
        "request line": b"",
        "headers": b"",
        "body": b"400",
        "chunks": b"400",
        "one chunk": b"400",
        "trailers": b"400",
        "body of a stranger": b"401",
    }
    assert service.get("/api/log/")["total"] == 0


def _answer(client: socket.socket) -> bytes:
    """Return the status that a client was answered with; nothing where it was only hung up on."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(4096):
            received += part
    return received[9:12]


def test_a_client_that_takes_no_answer_keeps_no_thread(service: Service) -> None:
    clients = [socket.socket(), socket.socket()]
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(("127.0.0.1", service.port))
        # Their answers are far more than what the system keeps for somebody who does not read.
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
    try:
        deadline = time.monotonic() + 30
        while service.printed().count("Socket error") < len(clients):
            assert time.monotonic() < deadline
            assert service.get("/healthz") == "ok"
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n[",
        b"POST /api/log/ HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n[",
    ],
    ids=["nothing", "headers", "a body to be ignored", "a body of a stranger"],
)
def test_clients_that_stop_in_the_middle_keep_no_thread(service: Service, said: bytes) -> None:
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", service.port)
        for _ in range(150):
            client = stack.enter_context(socket.create_connection(address))
            client.sendall(said)
        # Were a thread kept by each until it is late, this would wait for longer than it does.
        assert service.get("/healthz") == "ok"


def test_clients_that_leave_connections_open_that_are_over_stop_no_worker(service: Service) -> None:
    asking = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", service.port)
        clients = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(30)]
        for client in clients:
            client.sendall(asking)
        # Were one waited for after the other, this would take a minute.
        begun = time.monotonic()
        assert service.get("/healthz") == "ok"
        assert {_answer(client) for client in clients} == {b"200"}
        assert time.monotonic() - begun < 20


def test_who_is_quick_keeps_the_connection(service: Service) -> None:
    connection, sockets = service.open(), set()
    try:
        until = time.monotonic() + 2.5 * CLIENT_TIMEOUT
        while time.monotonic() < until:
            assert send(connection, "POST", "/api/log/", user="gateway", body=[])[0] == 200
            sockets.add(connection.sock)
    finally:
        connection.close()
    assert len(sockets) == 1
