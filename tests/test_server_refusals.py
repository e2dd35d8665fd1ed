"""Requests that may be refused where they are first seen, and those that may not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine

from logservice import LogService
from logservice import server_refusals as refusals
from tests.conftest import MakeApp
from tests.processes import eventually
from tests.sockets import tcp_pair

_REST = b" HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection: the server's end and the client's."""
    server, client = tcp_pair()
    with closing(server), closing(client):
        yield server, client


@pytest.mark.parametrize(
    ("seen", "is_quick"),
    [
        (b"GET /api/log/?page=1", True),
        (b"POST /api/log/", True),
        (b"\r\nPOST /api/log/", True),
        (b"POST /v1/traces", True),
        (b"HEAD /api/nowhere", True),
        (b"OPTIONS /api/log/token", False),
        (b"\r\nOPTIONS /api/log/token", False),
        (b"GET /api", False),
        (b"GET /", False),
        (b"GET /healthz", False),
        (b"GET /metrics", False),
        (b"GET /docs?of=/api/", False),
        (b"GET http://example.com/api/log/", False),
        (b"PROXY TCP4 /api/", False),
        (b"GET", False),
        (b"", False),
    ],
)
def test_what_asks_something_of_the_log_may_be_refused(
    ends: tuple[socket.socket, socket.socket], seen: bytes, is_quick: bool
) -> None:
    assert refusals.is_quick(seen + _REST, ends[0]) is is_quick
    # Whoever reads that would wait for more, or answers that it is malformed.
    assert not refusals.is_quick(seen + b" HTTP/1.1\nHost: x\n\n", ends[0])


def test_nobody_is_refused_at_once_who_has_not_taken_the_last_answer(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    server, client = ends
    seen = b"GET /api/log/" + _REST
    server.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += server.send(bytes(65536))
    assert not refusals.is_quick(seen, server)
    while sent:
        sent -= len(client.recv(65536))
    # Once the system of the client has said so.
    assert eventually(lambda: refusals.is_quick(seen, server))
    server.close()
    assert not refusals.is_quick(seen, server)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")
def test_only_the_service_itself_is_told_to_refuse(make_app: MakeApp, tmp_path: Path) -> None:
    assert refusals.are_known_to(make_app())
    host = Flask(__name__)
    with host.app_context():
        LogService(host, engine=create_engine(f"sqlite:///{tmp_path / 'host.db'}"))
    assert not refusals.are_known_to(host)
    assert not refusals.are_known_to(lambda _environ, _start_response: [])
