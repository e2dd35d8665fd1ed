"""Who may enter, with which credential, in which role."""

from __future__ import annotations

import logging

import pytest
from flask.testing import FlaskClient

from logservice.store.store import LogStore
from logservice.store.tables import tokens
from tests.access import CLOSED, KEY_ROUTE, call
from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE_KEY,
    ALICE_TOKEN,
    ALICE_TOKEN_ID,
    GATEWAY,
    ROOT,
    Headers,
    bearer,
    make_event,
    post,
)

UNKNOWN = "Token不存在或无权限"


STRANGERS: list[Headers] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    bearer("nobody-has-this-token"),
    bearer(ALICE_TOKEN.upper()),
    bearer(ALICE_KEY),
    {"Authorization": f"Basic {ALICE_TOKEN}"},
    {"New-API-User": "1"},
]


@pytest.mark.parametrize("headers", STRANGERS, ids=str)
def test_a_stranger_is_asked_for_an_access_token(client: FlaskClient, headers: Headers) -> None:
    answer = client.get("/api/log/self", headers=headers)
    assert_error(answer, 401, "access token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER   {}", "{}", "  {}  "])
def test_an_access_token_comes_with_or_without_bearer(client: FlaskClient, header: str) -> None:
    post(client, make_event(content="alice's"))
    headers = {"Authorization": header.format(ALICE_TOKEN)}
    assert assert_ok(client.get("/api/log/self", headers=headers))["total"] == 1


def test_without_any_issued_credential_nobody_enters(make_app) -> None:
    client = make_app().test_client()
    for method, path in CLOSED:
        answer = call(client, method, path, bearer("sk-anything-at-all-00"))
        assert answer.status_code == (200 if path == KEY_ROUTE else 401), path
        assert (UNKNOWN if path == KEY_ROUTE else "access token") in answer.text


def test_who_sends_no_token_is_told_how(client: FlaskClient) -> None:
    how = "in the header Authorization: Bearer TOKEN"
    for headers in ({}, {"Authorization": " "}, {"X-Api-Key": "other"}):
        assert assert_error(client.get("/api/log/", headers=headers), 401, "access token").endswith(how)
    assert "header" not in assert_error(client.get("/api/log/", headers=bearer("other")), 401, "access token")


def test_who_sends_a_key_instead_of_a_token_is_told_where_it_belongs(client: FlaskClient) -> None:
    for method, path in [route for route in CLOSED if route[1] not in (KEY_ROUTE, "/v1/traces")]:
        for headers in (bearer(ALICE_KEY), {"Authorization": "sk-nobody-has-this-key"}):
            message = assert_error(call(client, method, path, headers), 401, "access token is required")
            assert message.endswith("; an API key is none, and opens its own rows at /api/log/token")
            assert headers["Authorization"] not in message
        assert "API key" not in assert_error(call(client, method, path, bearer("other")), 401, "")


# Keys


@pytest.mark.parametrize("key", ["", "?key=", "?key=%20", "?key=sk-", "?key=sk-nobody", "?key=%00", "?KEY=x"])
def test_a_missing_empty_or_unknown_key_is_told_with_status_200(client: FlaskClient, key: str) -> None:
    assert assert_error(client.get(f"/api/log/token{key}"), 200, UNKNOWN) == UNKNOWN


BARE = ALICE_KEY.removeprefix("sk-")


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({"key": ALICE_KEY}, {}),
        ({"key": BARE}, {}),
        ({"key": f" {ALICE_KEY} "}, {}),
        ({}, bearer(ALICE_KEY)),
        ({}, bearer(BARE)),
        ({}, {"Authorization": ALICE_KEY}),
        ({"key": ALICE_KEY}, bearer(ALICE_KEY)),
        ({"key": BARE}, bearer(ALICE_KEY)),
        ({"key": ""}, bearer(ALICE_KEY)),
        ({"key": ALICE_KEY}, bearer("a-token-of-something-else")),
    ],
    ids=str,
)
def test_a_key_comes_in_the_query_or_the_header_with_or_without_its_prefix(
    client: FlaskClient, query: dict[str, str], headers: Headers
) -> None:
    post(client, make_event())
    rows = assert_ok(client.get("/api/log/token", query_string=query, headers=headers))
    assert [row["token_id"] for row in rows] == [ALICE_TOKEN_ID]


@pytest.mark.parametrize("key", [ALICE_KEY.upper(), BARE[:-1], f"{ALICE_KEY}%", ALICE_TOKEN])
def test_nothing_but_the_key_opens(client: FlaskClient, key: str) -> None:
    post(client, make_event())
    assert_error(client.get("/api/log/token", query_string={"key": key}), 200, UNKNOWN)


def test_the_stored_hash_of_a_key_is_no_key(client: FlaskClient, store: LogStore) -> None:
    with store.reading() as connection:
        [key_hash] = connection.scalars(tokens.select().with_only_columns(tokens.c.key_hash).limit(1))
    assert_error(client.get(f"/api/log/token?key={key_hash}"), 200, UNKNOWN)


SECRET = "sk-this-must-never-be-seen-anywhere"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/api/log/token?key={SECRET}", None),
        ("GET", f"/api/log/token?key={SECRET}&p=abc", None),
        ("GET", f"/api/log/token/{SECRET}", None),
        ("PUT", f"/api/log/token?key={SECRET}", None),
        ("DELETE", f"/api/log/?key={SECRET}", None),
        ("POST", "/api/log/", [{"token_key": SECRET, "nonsense": 1}]),
        ("POST", "/api/log/", [{"token_key": SECRET * 99}]),
        ("POST", "/api/log/", [{"token_hash": SECRET}]),
        ("POST", "/api/log/", [{"token_key": SECRET, "quota": "much"}]),
    ],
)
def test_a_key_stands_in_no_error_and_no_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, method: str, path: str, body: object
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = client.open(path, method=method, headers={**ROOT, "X-Key": SECRET}, json=body)
    assert SECRET not in answer.text
    assert SECRET not in caplog.text


def test_a_key_stands_in_no_log_when_the_database_fails(
    client: FlaskClient, store: LogStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store.write(lambda connection: connection.exec_driver_sql("DROP TABLE log_tokens"))
    answer = client.get("/api/log/token", query_string={"key": SECRET}, headers=bearer(SECRET))
    assert_error(answer, 503, "获取日志失败")
    assert_error(client.post("/api/log/", json=make_event(token_key=SECRET), headers=GATEWAY), 503, "")
    assert SECRET not in answer.text
    assert SECRET not in caplog.text


def test_a_key_is_nowhere_in_the_database(client: FlaskClient, store: LogStore, tmp_path) -> None:
    post(client, make_event(token_key=SECRET, token_id=99))
    assert [row["token_id"] for row in assert_ok(client.get(f"/api/log/token?key={SECRET}"))] == [99]
    store.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.removeprefix("sk-").encode() in path.read_bytes()]
