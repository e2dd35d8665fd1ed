"""One envelope for every answer, and the status of every kind of failure."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.answers import assert_error, assert_ok
from tests.rows import ALICE, ALICE_KEY, GATEWAY, ROOT, Headers, make_event, post

READS = (
    ("/api/log/", ROOT),
    ("/api/log/self", ALICE),
    ("/api/log/stat", ROOT),
    ("/api/log/self/stat", ALICE),
    ("/api/log/search?keyword=x", ROOT),
    ("/api/log/self/search?keyword=x", ALICE),
    (f"/api/log/token?key={ALICE_KEY}", {}),
)


@pytest.mark.parametrize(("path", "headers"), READS)
def test_every_success_has_success_message_and_data(client: FlaskClient, path: str, headers: Headers) -> None:
    assert assert_ok(client.get(path, headers=headers)) is not None


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/log/self", {}, 401),
        ("GET", "/api/log/", ALICE, 403),
        ("GET", "/api/log/?type=abc", ROOT, 400),
        ("GET", "/api/log/search", ROOT, 400),
        ("POST", "/api/log/", GATEWAY, 400),
        ("GET", "/api/log/nothing", ROOT, 404),
        ("GET", "/api/nothing", {}, 404),
        ("GET", "/nothing", {}, 404),
        ("PUT", "/api/log/", ROOT, 405),
        ("POST", "/api/log/self", ALICE, 405),
        ("DELETE", "/api/log/token", {}, 405),
    ],
)
def test_every_failure_has_success_and_message(
    client: FlaskClient, method: str, path: str, headers: Headers, status: int
) -> None:
    assert_error(client.open(path, method=method, headers=headers), status, "")


def test_an_unknown_method_names_the_known_ones(client: FlaskClient) -> None:
    answer = client.put("/api/log/", headers=ROOT)
    assert_error(answer, 405, "method")
    assert {"GET", "POST", "DELETE"} <= set(answer.headers["Allow"].split(", "))


def test_a_body_that_is_too_large_has_a_status_of_its_own(client_with) -> None:
    client = client_with(MAX_BODY="1KB")
    assert_error(client.post("/api/log/", data=b" " * 1025, headers=GATEWAY), 413, "body")


def test_a_body_of_another_type_has_a_status_of_its_own(client: FlaskClient) -> None:
    answer = client.post("/api/log/", data=b"{}", content_type="text/csv", headers=GATEWAY)
    assert_error(answer, 415, "text/csv")


def test_a_mistake_of_ours_tells_the_client_nothing_about_it(
    client: FlaskClient, store, caplog: pytest.LogCaptureFixture
) -> None:
    store.clock = lambda: 1 / 0
    message = assert_error(client.post("/api/log/", json=make_event(), headers=GATEWAY), 500, "internal")
    assert "division" not in message
    assert "ZeroDivisionError" in caplog.text


def test_json_is_utf8_without_escapes(client: FlaskClient) -> None:
    post(client, make_event(content="充值成功"))
    assert "充值成功".encode() in client.get("/api/log/", headers=ROOT).data
    assert "Token不存在或无权限".encode() in client.get("/api/log/token").data


@pytest.mark.parametrize(
    "path",
    [
        "/api/log/",
        "/api/log/export",
        "/api/log/token",
        "/api/ingest/litellm",
        "/api/v1/events",
        "/api/nothing",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_nothing_under_api_is_kept_in_a_cache(client: FlaskClient, method: str, path: str) -> None:
    assert client.open(path, method=method).headers["Cache-Control"] == "no-store"


def test_the_process_and_the_database_say_that_they_are_well(client: FlaskClient) -> None:
    assert assert_ok(client.get("/healthz")) is not None
    assert assert_ok(client.get("/readyz")) is not None
