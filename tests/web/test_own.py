"""`GET /api/log/self`: a user's own rows."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE,
    ALICE_ID,
    BOB,
    contents,
    make_bobs_event,
    make_event,
    post,
    post_contents,
)


def test_the_answer_has_items_total_page_and_page_size(client: FlaskClient) -> None:
    post_contents(client, "first", "second")
    data = assert_ok(client.get("/api/log/self", headers=ALICE))
    assert data.keys() == {"items", "total", "page", "page_size"}
    assert contents(data["items"]) == ["second", "first"]
    assert (data["total"], data["page"], data["page_size"]) == (2, 1, 20)


def test_a_filter_for_the_rows_of_somebody_else_finds_nothing_and_counts_nothing(client: FlaskClient) -> None:
    post(client, make_event(), make_bobs_event(request_id="bobs", model_name="secret-model"))
    for query in ({"token_name": "phone"}, {"request_id": "bobs"}, {"model_name": "secret-model"}):
        data = assert_ok(client.get("/api/log/self", query_string=query, headers=ALICE))
        assert (data["items"], data["total"]) == ([], 0)
        statistics = assert_ok(client.get("/api/log/self/stat", query_string=query, headers=ALICE))
        assert set(statistics.values()) == {0}


def test_the_id_of_a_stranger_as_cursor_shows_nothing_of_theirs(client: FlaskClient) -> None:
    post(client, make_event(), make_bobs_event(), make_event())
    [bobs] = assert_ok(client.get("/api/log/self", headers=BOB))["items"]
    data = assert_ok(client.get(f"/api/log/self?after={bobs['id'] - 1}", headers=ALICE))
    assert [row["user_id"] for row in data["items"]] == [ALICE_ID]
    assert data["total"] == 2


def test_a_parameter_that_is_known_and_cannot_be_read_is_named(client: FlaskClient) -> None:
    assert_error(client.get("/api/log/self?page_size=many", headers=ALICE), 400, "page_size")
