"""`LOGSERVICE_LEGACY_STATUS=1`: failures have status 200, 401 excepted; everything else stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import ALICE, ALICE_KEY, GATEWAY, NOW, ROOT, Headers, bearer, make_event, post


@pytest.fixture
def old(client: FlaskClient, client_with: Any) -> FlaskClient:
    """Somebody who calls the service with the setting on."""
    old = client_with(LEGACY_STATUS="1", MAX_BODY="100KB")
    assert isinstance(old, FlaskClient)
    return old


@pytest.mark.parametrize(
    ("method", "path", "headers", "fragment"),
    [
        ("GET", "/api/log/", ALICE, "role"),
        ("GET", "/api/log/?type=abc", ROOT, "type"),
        ("GET", "/api/log/self?start_timestamp=1700000000000", ALICE, "milliseconds"),
        ("GET", "/api/log/search", ROOT, "keyword"),
        ("GET", "/api/log/token", {}, "Token不存在或无权限"),
        ("GET", f"/api/log/token?key={ALICE_KEY}&p=abc", {}, "p: "),
        ("DELETE", "/api/log/", ROOT, "target timestamp is required"),
        ("POST", "/api/log/", GATEWAY, "body"),
        ("GET", "/api/log/nothing", ROOT, "path"),
        ("GET", "/nothing", {}, "path"),
        ("PUT", "/api/log/", ROOT, "method"),
    ],
)
def test_every_failure_has_status_200(
    old: FlaskClient, method: str, path: str, headers: Headers, fragment: str
) -> None:
    assert_error(old.open(path, method=method, headers=headers), 200, fragment)


@pytest.mark.parametrize("headers", [{}, bearer("unknown")], ids=str)
def test_401_stays_401(old: FlaskClient, headers: Headers) -> None:
    answer = old.get("/api/log/self", headers=headers)
    assert_error(answer, 401, "access token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_bodies_too_large_or_of_another_type_have_status_200(old: FlaskClient) -> None:
    assert_error(old.post("/api/log/", data=b" " * 100_001, headers=GATEWAY), 200, "body")
    assert_error(old.post("/api/log/", data=b"x", content_type="text/csv", headers=GATEWAY), 200, "text/csv")


def test_conflicts_have_status_200(old: FlaskClient, store: LogStore) -> None:
    post(old, *[make_event(created_at=NOW - 9000)] * 5)
    running = store.purge(Purge(NOW - 8999), batch=3)
    next(running)
    assert_error(old.delete(f"/api/log/?target_timestamp={NOW}", headers=ROOT), 200, "purge")
    assert sum(running) == 2


def test_too_many_requests_have_status_200_and_a_time_to_wait(client: FlaskClient, client_with: Any) -> None:
    old = client_with(LEGACY_STATUS="1", TOKEN_RATE_LIMIT="1/hour")
    assert_ok(old.get(f"/api/log/token?key={ALICE_KEY}"))
    answer = old.get(f"/api/log/token?key={ALICE_KEY}")
    assert_error(answer, 200, "too many")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_database_that_fails_has_status_200_and_a_time_to_wait(old: FlaskClient, store: LogStore) -> None:
    store.write(lambda connection: connection.exec_driver_sql("DROP TABLE log_users"))
    answer = old.get("/api/log/", headers=ROOT)
    assert_error(answer, 200, "获取日志失败")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("query", "page", "page_size"),
    [({}, 1, 20), ({"p": -1, "page_size": 500}, 1, 100), ({"p": 3, "page_size": 2}, 3, 2)],
    ids=str,
)
def test_paging_is_the_same(old: FlaskClient, query: dict[str, int], page: int, page_size: int) -> None:
    post(old, *[make_event()] * 5)
    data = assert_ok(old.get("/api/log/", query_string=query, headers=ROOT))
    assert (data["total"], data["page"], data["page_size"]) == (5, page, page_size)
