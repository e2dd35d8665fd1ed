"""`GET /api/log/self`: a user's own rows."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE,
    ALICE_ID,
    BOB,
    BOB_ID,
    BOB_KEY,
    NOW,
    ROOT,
    contents,
    make_bobs_event,
    make_event,
    post,
    post_contents,
)

PATHS = ("/api/log/self", "/api/log/self/search?keyword=a", "/api/log/self/stat")

TRIES = (
    ("user_id", str(BOB_ID)),
    ("username", "bob"),
    ("username", "%"),
    ("user", "bob"),
    ("token_id", "80"),
    ("token_name", "%"),
    ("token_key", BOB_KEY),
    ("key", BOB_KEY),
    ("channel", "3"),
    ("channel", "9"),
    ("channel_id", "9"),
    ("group", "default"),
    ("ip", "192.0.2.8"),
    ("id", str(BOB_ID)),
    ("scope", "site"),
    ("role", "admin"),
    ("types", "1"),
    ("model_names", "x"),
    ("model_name", "%"),
    ("before", str(2**62)),
    ("type", "2"),
    ("p", "1"),
    ("page_size", "100"),
    ("start_timestamp", "1"),
    ("end_timestamp", str(NOW)),
)


def test_the_answer_has_items_total_page_and_page_size(client: FlaskClient) -> None:
    post_contents(client, "first", "second")
    data = assert_ok(client.get("/api/log/self", headers=ALICE))
    assert data.keys() == {"items", "total", "page", "page_size"}
    assert contents(data["items"]) == ["second", "first"]
    assert (data["total"], data["page"], data["page_size"]) == (2, 1, 20)


def test_self_never_shows_other_users(client: FlaskClient) -> None:
    post(client, make_event(), make_bobs_event(), make_event())
    for headers, user_id, count in ((ALICE, ALICE_ID, 2), (BOB, BOB_ID, 1), (ROOT, 1, 0)):
        data = assert_ok(client.get("/api/log/self", headers=headers))
        assert [row["user_id"] for row in data["items"]] == [user_id] * count
        assert data["total"] == count


def test_self_is_told_by_the_id_and_not_by_the_name(client: FlaskClient) -> None:
    post(client, make_event(user_id=99, username="alice", content="another alice"), make_event(username="al"))
    [row] = assert_ok(client.get("/api/log/self", headers=ALICE))["items"]
    assert (row["user_id"], row["username"]) == (ALICE_ID, "al")


@pytest.mark.parametrize(("name", "value"), TRIES)
def test_no_parameter_shows_the_rows_of_somebody_else(client: FlaskClient, name: str, value: str) -> None:
    bobs = make_bobs_event(content="a", quota=1000, ip="192.0.2.8", request_id="bobs", channel_id=9)
    post(client, bobs, make_event(content="a", quota=1), bobs)
    for path in PATHS:
        data = assert_ok(client.get(f"{path}{'&' if '?' in path else '?'}{name}={value}", headers=ALICE))
        if "quota" in data:
            assert data["quota"] == 1
        else:
            rows = data if isinstance(data, list) else data["items"]
            assert [row["user_id"] for row in rows] == [ALICE_ID]


@pytest.mark.parametrize("query", ["token_name=phone", "request_id=bobs", "model_name=secret-model"])
def test_a_filter_for_the_rows_of_somebody_else_finds_nothing(client: FlaskClient, query: str) -> None:
    post(client, make_event(), make_bobs_event(request_id="bobs", model_name="secret-model"))
    data = assert_ok(client.get(f"/api/log/self?{query}", headers=ALICE))
    assert (data["items"], data["total"]) == ([], 0)
    assert assert_ok(client.get(f"/api/log/self/stat?{query}", headers=ALICE))["requests"] == 0
    assert assert_ok(client.get("/api/log/self/search?keyword=secret", headers=ALICE)) == []


@pytest.mark.parametrize("name", ["channel", "username", "ip", "user_id"])
@pytest.mark.parametrize("path", PATHS)
def test_parameters_of_the_admin_are_unknown_here_and_so_ignored(
    client: FlaskClient, path: str, name: str
) -> None:
    assert_ok(client.get(f"{path}{'&' if '?' in path else '?'}{name}=abc%00", headers=ALICE))


def test_the_id_of_a_stranger_as_cursor_shows_nothing_of_theirs(client: FlaskClient) -> None:
    post(client, make_event(), make_bobs_event(), make_event())
    [bobs] = assert_ok(client.get("/api/log/self", headers=BOB))["items"]
    data = assert_ok(client.get(f"/api/log/self?after={bobs['id'] - 1}", headers=ALICE))
    assert [row["user_id"] for row in data["items"]] == [ALICE_ID]
    assert data["total"] == 2


def test_a_parameter_that_is_known_and_cannot_be_read_is_named(client: FlaskClient) -> None:
    assert_error(client.get("/api/log/self?page_size=many", headers=ALICE), 400, "page_size")
