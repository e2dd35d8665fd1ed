"""Requests that waited too long for a thread are refused at once; probes never are."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from flask.testing import FlaskClient

from logservice.server_threads import is_refused, waited_to_begin
from logservice.store.store import LogStore
from logservice.web import queueing
from tests.answers import assert_error, assert_ok
from tests.conftest import MakeApp
from tests.rows import ALICE_KEY, GATEWAY, ROOT, make_event
from tests.sockets import tcp_pair

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    """The server's end of a TCP connection, on which a request came in a moment ago."""
    server, client = tcp_pair()
    with closing(client), closing(server):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        yield server


@pytest.fixture
def late(connection: socket.socket, monkeypatch: pytest.MonkeyPatch) -> dict[str, socket.socket]:
    """What gunicorn tells of a request that waited for longer than it may."""
    monkeypatch.setattr(queueing, "LONGEST_SECONDS", 0.05)
    deadline = time.monotonic() + 10
    while queueing.waited(connection) <= queueing.LONGEST_SECONDS:
        assert time.monotonic() < deadline, "the system does not tell when data came in"
        time.sleep(0.01)
    return {"gunicorn.socket": connection}


def test_who_waited_too_long_is_told_to_come_back_and_nothing_is_done(
    client: FlaskClient, store: LogStore, late: dict[str, socket.socket]
) -> None:
    answers = [
        client.get("/api/log/", headers=ROOT, environ_base=late),
        client.get(f"/api/log/token?key={ALICE_KEY}", environ_base=late),
        client.post("/api/log/", json=make_event(), headers=GATEWAY, environ_base=late),
        client.get("/api/nowhere", environ_base=late),
    ]
    for answer in answers:
        assert_error(answer, 503, "too many requests are waiting")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["X-Request-ID"]
    assert answers[1].headers["Access-Control-Allow-Origin"] == "*"
    assert client.post("/v1/traces", headers=GATEWAY, environ_base=late).status_code == 503
    assert store.count_raw() == 0


def test_who_waited_too_long_for_a_thread_while_a_body_came_is_told_to_come_back(
    client: FlaskClient, connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "LONGEST_SECONDS", 0)
    monkeypatch.setattr(queueing, "waited", lambda _connection: 0.0)
    environ = {"gunicorn.socket": connection}
    assert_ok(client.post("/api/log/", json=make_event(), headers=GATEWAY, environ_base=environ))
    token = waited_to_begin.set(0.01)
    try:
        answer = client.post("/api/log/", json=make_event(), headers=GATEWAY, environ_base=environ)
    finally:
        waited_to_begin.reset(token)
    assert_error(answer, 503, "too many requests are waiting")


def test_who_would_wait_too_long_is_told_to_come_back(client: FlaskClient, store: LogStore) -> None:
    token = is_refused.set(True)
    try:
        answers = [
            client.get(f"/api/log/token?key={ALICE_KEY}"),
            client.post("/api/log/", json=make_event(), headers=GATEWAY),
            client.get("/api/nowhere"),
            # By another name, as behind a prefix.
            client.get("/readyz"),
        ]
    finally:
        is_refused.reset(token)
    for answer in answers:
        assert_error(answer, 503, "too many requests are waiting")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["X-Request-ID"]
    assert answers[0].headers["Access-Control-Allow-Origin"] == "*"
    assert store.count_raw() == 0
    assert_ok(client.post("/api/log/", json=make_event(), headers=GATEWAY))


def test_what_asks_nothing_of_the_log_is_answered_however_late(
    client: FlaskClient, late: dict[str, socket.socket]
) -> None:
    for path in ("/healthz", "/readyz", "/readyz/", "/metrics", "/", "/openapi.json"):
        assert client.get(path, headers=ROOT, environ_base=late).status_code == 200
    origin = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    assert client.options("/api/log/token", headers=origin, environ_base=late).status_code == 200


def test_who_came_while_the_service_was_starting_is_served(
    make_app: MakeApp, connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "waited", lambda _connection: 60.0)
    client = make_app().test_client()
    environ = {"gunicorn.socket": connection}
    assert client.get("/api/log/", environ_base=environ).status_code == 401


def test_who_has_just_come_is_served(client: FlaskClient, connection: socket.socket) -> None:
    environ = {"gunicorn.socket": connection}
    assert_ok(client.get("/api/log/", headers=ROOT, environ_base=environ))


def test_where_nobody_knows_how_long_it_was_everybody_is_served(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "LONGEST_SECONDS", 0)
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with closing(ours), closing(theirs):
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert_ok(client.get("/api/log/", headers=ROOT, environ_base={"gunicorn.socket": ours}))
    assert_ok(client.get("/api/log/", headers=ROOT))
