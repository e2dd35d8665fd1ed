"""`GET /api/log/token`: the rows of one API key."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store import accounts
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE_ID,
    ALICE_KEY,
    ALICE_TOKEN_ID,
    BOB_KEY,
    NOW,
    bearer,
    contents,
    make_bobs_event,
    make_event,
    post,
    post_contents,
)

UNKNOWN = "Token不存在或无权限"


def rows_of(client: FlaskClient, key: str = ALICE_KEY, **query: Any) -> list[dict[str, Any]]:
    """Ask with a key."""
    rows = assert_ok(client.get("/api/log/token", query_string={"key": key, **query}))
    assert isinstance(rows, list)
    return rows


def test_data_is_an_array_oldest_first(client: FlaskClient) -> None:
    post_contents(client, "first", "second", "third")
    assert contents(rows_of(client)) == ["first", "second", "third"]


def test_a_key_without_rows_gets_an_empty_array(client: FlaskClient) -> None:
    assert rows_of(client) == []


def test_only_the_newest_rows_are_shown_up_to_the_limit(client: FlaskClient, client_with) -> None:
    post_contents(client, "a", "b", "c", "d")
    assert contents(rows_of(client_with(TOKEN_LOG_LIMIT="3"))) == ["b", "c", "d"]


def test_the_limit_is_a_thousand(client: FlaskClient) -> None:
    post_contents(client, *(str(number) for number in range(1001)))
    assert contents(rows_of(client)) == [str(number) for number in range(1, 1001)]


def test_rows_are_matched_by_the_token_and_not_by_its_name(client: FlaskClient, store: LogStore) -> None:
    store.write(
        lambda connection: accounts.add_token(
            connection, "laptop", user_id=ALICE_ID, token_id=71, key="sk-a-second-laptop-0071"
        )
    )
    post(client, make_event(content="first"), make_event(content="second", token_id=71))
    assert contents(rows_of(client)) == ["first"]
    assert contents(rows_of(client, "sk-a-second-laptop-0071")) == ["second"]


def test_rows_of_no_token_belong_to_no_key(client: FlaskClient) -> None:
    post(client, make_event(token_id=0, token_name=""), make_bobs_event())
    assert rows_of(client) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"type": 2}, ["call", "later call"]),
        ({"type": "error"}, ["failure"]),
        ({"type": "错误"}, ["failure"]),
        ({"type": 0}, ["call", "failure", "later call"]),
        ({"model_name": "gpt-4o"}, ["call", "failure"]),
        ({"model_name": "claude%"}, ["later call"]),
        ({"start_timestamp": NOW - 20}, ["failure", "later call"]),
        ({"end_timestamp": NOW - 20}, ["call", "failure"]),
        ({"start_timestamp": NOW - 20, "end_timestamp": NOW - 20}, ["failure"]),
        ({"type": 2, "start_timestamp": NOW - 20}, ["later call"]),
    ],
    ids=str,
)
def test_type_model_and_time_filter(client: FlaskClient, query: dict[str, Any], found: list[str]) -> None:
    post(
        client,
        make_event(created_at=NOW - 30, content="call"),
        make_event(created_at=NOW - 20, content="failure", type="error"),
        make_event(created_at=NOW - 10, content="later call", model_name="claude-4"),
    )
    assert contents(rows_of(client, **query)) == found


NUMBERS = [str(number) for number in range(1, 31)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, NUMBERS),
        ({"p": 0}, NUMBERS),
        ({"p": -1}, NUMBERS),
        ({"p": ""}, NUMBERS),
        ({"page_size": ""}, NUMBERS),
        ({"p": 1}, NUMBERS[10:]),
        ({"p": 2}, NUMBERS[:10]),
        ({"p": 3}, []),
        ({"page": 0}, NUMBERS),
        ({"page": 2}, NUMBERS[:10]),
        ({"page": 2, "p": 0}, NUMBERS),
        ({"page": 2, "page_size": 4}, NUMBERS[22:26]),
        ({"page_size": 4}, NUMBERS[26:]),
        ({"page_size": 4, "p": 0}, NUMBERS[26:]),
        ({"page_size": 4, "p": 1}, NUMBERS[26:]),
        ({"page_size": 4, "p": 2}, NUMBERS[22:26]),
        ({"page_size": 4, "p": 8}, NUMBERS[:2]),
        ({"page_size": 0}, NUMBERS[10:]),
        ({"page_size": -5}, NUMBERS[10:]),
        ({"page_size": 1000}, NUMBERS),
        ({"page_size": 100, "p": 2}, []),
        ({"page_size": 100, "p": 10**15}, []),
        ({"page_size": 100, "p": 2**63 - 1}, []),
    ],
    ids=str,
)
def test_a_page_holds_the_newest_rows_oldest_first(
    client: FlaskClient, query: dict[str, Any], found: list[str]
) -> None:
    post_contents(client, *NUMBERS)
    assert contents(rows_of(client, **query)) == found


def test_a_page_has_a_hundred_rows_at_most(client: FlaskClient) -> None:
    post_contents(client, *(str(number) for number in range(120)))
    assert contents(rows_of(client, page_size=101)) == [str(number) for number in range(20, 120)]


@pytest.mark.parametrize("name", ["type", "start_timestamp", "end_timestamp", "p", "page_size"])
def test_what_cannot_be_read_is_named(client: FlaskClient, name: str) -> None:
    assert_error(client.get("/api/log/token", query_string={"key": ALICE_KEY, name: "abc"}), 400, name)


def test_a_key_is_looked_up_before_its_parameters(client: FlaskClient) -> None:
    assert_error(client.get("/api/log/token?key=sk-nobody&p=abc"), 200, UNKNOWN)


def test_a_key_seen_in_an_event_can_ask_at_once(client: FlaskClient) -> None:
    post(client, make_event(token_id=0, token_name="new", token_key="sk-never-seen-before", content="mine"))
    assert contents(rows_of(client, "sk-never-seen-before")) == ["mine"]
    assert contents(rows_of(client, "never-seen-before")) == ["mine"]


# Scope: no parameter opens another's rows.


def test_a_second_key_adds_nothing_to_the_first(client: FlaskClient) -> None:
    post(client, make_bobs_event(content="bob's"), make_event(content="alice's"))
    assert contents(assert_ok(client.get(f"/api/log/token?key={ALICE_KEY}&key={BOB_KEY}"))) == ["alice's"]
    headers = bearer(BOB_KEY)
    both = assert_ok(client.get(f"/api/log/token?key={ALICE_KEY}", headers=headers))
    assert {row["token_id"] for row in both} == {ALICE_TOKEN_ID}
