"""Who may enter, with which credential, in which role."""

from __future__ import annotations

import logging

import pytest
from flask.testing import FlaskClient

from logservice.store import accounts
from logservice.store.store import LogStore
from logservice.store.tables import tokens, users
from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE,
    ALICE_ID,
    ALICE_KEY,
    ALICE_TOKEN,
    ALICE_TOKEN_ID,
    BOB,
    GATEWAY,
    NOW,
    ROOT,
    Headers,
    bearer,
    make_event,
    post,
)

UNKNOWN = "Token不存在或无权限"

#: Every route that needs a login, and the roles that it lets in.
DOORS = (
    ("GET", "/api/log/", {"admin"}),
    ("GET", "/api/log/stat", {"admin"}),
    ("GET", "/api/log/search?keyword=x", {"admin"}),
    ("DELETE", f"/api/log/?target_timestamp={NOW - 1}", {"admin"}),
    ("GET", "/api/log/self", {"user", "admin"}),
    ("GET", "/api/log/self/stat", {"user", "admin"}),
    ("GET", "/api/log/self/search?keyword=x", {"user", "admin"}),
    ("POST", "/api/log/", {"writer", "admin"}),
    ("POST", "/api/ingest/litellm", {"writer", "admin"}),
    ("POST", "/api/ingest/cliproxyapi", {"writer", "admin"}),
)
ROLES = {"admin": ROOT, "user": ALICE, "writer": GATEWAY}


@pytest.mark.parametrize(("method", "path", "roles"), DOORS)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_own_doors_only(
    client: FlaskClient, method: str, path: str, roles: set[str], role: str
) -> None:
    answer = client.open(path, method=method, headers=ROLES[role], json=[] if method == "POST" else None)
    if role in roles:
        assert_ok(answer)
    else:
        assert_error(answer, 403, "role")


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


@pytest.mark.parametrize(("method", "path", "roles"), DOORS)
def test_strangers_are_asked_for_an_access_token(
    client: FlaskClient, method: str, path: str, roles: set[str]
) -> None:
    for headers in STRANGERS:
        answer = client.open(path, method=method, headers=headers)
        assert_error(answer, 401, "access token")
        assert answer.headers["WWW-Authenticate"] == "Bearer", headers


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER   {}", "{}", "  {}  "])
def test_an_access_token_comes_with_or_without_bearer(client: FlaskClient, header: str) -> None:
    post(client, make_event(content="alice's"))
    headers = {"Authorization": header.format(ALICE_TOKEN)}
    assert assert_ok(client.get("/api/log/self", headers=headers))["total"] == 1


@pytest.mark.parametrize("name", ["New-API-User", "Veloera-User", "User-id", "X-User-Id"])
def test_a_header_that_names_somebody_else_is_ignored(client: FlaskClient, name: str) -> None:
    post(client, make_event())
    assert assert_ok(client.get("/api/log/self", headers={**BOB, name: str(ALICE_ID)}))["items"] == []
    assert assert_ok(client.get("/api/log/self", headers={**ALICE, name: "nonsense"}))["total"] == 1


@pytest.mark.parametrize(("method", "path", "roles"), DOORS)
def test_a_stranger_learns_nothing_about_parameters(
    client: FlaskClient, method: str, path: str, roles: set[str]
) -> None:
    path = path.partition("?")[0] + "?p=abc&target_timestamp=abc"
    assert_error(client.open(path, method=method, data=b"{"), 401, "access token")
    assert_error(client.open(path, method=method, data=b"{", headers=bearer("unknown")), 401, "access token")


def test_a_disabled_user_stays_outside(client: FlaskClient, store: LogStore) -> None:
    store.write(lambda connection: accounts.disable(connection, users, ALICE_ID))
    assert_error(client.get("/api/log/self", headers=ALICE), 401, "access token")
    assert_error(client.get(f"/api/log/token?key={ALICE_KEY}"), 200, UNKNOWN)
    assert_ok(client.get("/api/log/self", headers=BOB))


def test_a_new_access_token_ends_the_old_one(client: FlaskClient, store: LogStore) -> None:
    store.write(lambda connection: accounts.rotate_user(connection, ALICE_ID, "another-secret-of-alice"))
    assert_error(client.get("/api/log/self", headers=ALICE), 401, "access token")
    assert_ok(client.get("/api/log/self", headers=bearer("another-secret-of-alice")))


def test_without_any_issued_credential_nobody_enters(make_app) -> None:
    client = make_app().test_client()
    for method, path, _ in DOORS:
        assert_error(
            client.open(path, method=method, headers=bearer("anything-at-all-00")), 401, "access token"
        )
    assert_error(client.get("/api/log/token?key=sk-anything"), 200, UNKNOWN)


@pytest.mark.parametrize(("method", "path", "roles"), DOORS)
def test_who_sends_a_key_instead_of_a_token_is_told_where_it_belongs(
    client: FlaskClient, method: str, path: str, roles: set[str]
) -> None:
    for headers in (bearer(ALICE_KEY), {"Authorization": "sk-nobody-has-this-key"}):
        message = assert_error(
            client.open(path, method=method, headers=headers), 401, "access token is required"
        )
        assert message.endswith("; an API key is none, and opens its own rows at /api/log/token")
        assert headers["Authorization"] not in message
    assert "API key" not in assert_error(client.open(path, method=method, headers=bearer("other")), 401, "")


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


def test_a_disabled_key_opens_nothing(client: FlaskClient, store: LogStore) -> None:
    store.write(lambda connection: accounts.disable(connection, tokens, ALICE_TOKEN_ID))
    assert_error(client.get(f"/api/log/token?key={ALICE_KEY}"), 200, UNKNOWN)


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
