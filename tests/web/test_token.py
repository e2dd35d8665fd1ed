"""`GET /api/log/token`: the rows of one API key."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store import accounts
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE,
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

TRIES = (
    ("user_id", "8"),
    ("username", "bob"),
    ("username", "%"),
    ("token_id", "80"),
    ("token_name", "phone"),
    ("token_name", "%"),
    ("token_key", BOB_KEY),
    ("token", BOB_KEY),
    ("channel", "3"),
    ("group", "default"),
    ("ip", "192.0.2.8"),
    ("request_id", "bobs-request"),
    ("id", "8"),
    ("scope", "site"),
    ("role", "admin"),
    ("keyword", "bob"),
    ("model_name", "%"),
    ("before", str(2**62)),
    ("after", "0"),
    ("type", "0"),
    ("p", "1"),
    ("page_size", "100"),
    ("start_timestamp", "1"),
    ("end_timestamp", str(NOW)),
)


@pytest.mark.parametrize(("name", "value"), TRIES)
def test_no_parameter_shows_the_rows_of_another_key(client: FlaskClient, name: str, value: str) -> None:
    bobs = make_bobs_event(content="bob's", request_id="bobs-request", ip="192.0.2.8")
    post(client, bobs, make_event(content="alice's"), bobs)
    assert contents(rows_of(client, **{name: value})) == ["alice's"]


def test_a_second_key_adds_nothing_to_the_first(client: FlaskClient) -> None:
    post(client, make_bobs_event(content="bob's"), make_event(content="alice's"))
    assert contents(assert_ok(client.get(f"/api/log/token?key={ALICE_KEY}&key={BOB_KEY}"))) == ["alice's"]
    headers = bearer(BOB_KEY)
    both = assert_ok(client.get(f"/api/log/token?key={ALICE_KEY}", headers=headers))
    assert {row["token_id"] for row in both} == {ALICE_TOKEN_ID}


# The rate limit

KNOWN = f"/api/log/token?key={ALICE_KEY}"


def admitted(client: FlaskClient, path: str = KNOWN, tries: int = 20, **request: Any) -> int:
    """Return how many calls in a row are let in."""
    answers = [client.get(path, **request) for _ in range(tries)]
    return sum(answer.status_code == 200 for answer in answers)


def test_too_many_requests_are_told_to_wait(client_with) -> None:
    client = client_with(TOKEN_RATE_LIMIT="3/hour")
    assert admitted(client) == 3
    answer = client.get(KNOWN, headers={"Origin": "https://somewhere.example"})
    assert_error(answer, 429, "too many")
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_the_limit_is_120_a_minute(app, client_with) -> None:
    client = client_with(TOKEN_RATE_LIMIT=None)
    began = time.monotonic()
    found = admitted(client, tries=140)
    # Two a second are let in besides, however long these calls take.
    assert 120 <= found <= 121 + 2 * (time.monotonic() - began)


def test_a_limit_of_0_is_none(client_with) -> None:
    assert admitted(client_with(TOKEN_RATE_LIMIT="0"), tries=200) == 200


def test_options_are_not_counted(client_with) -> None:
    client = client_with(TOKEN_RATE_LIMIT="2/hour")
    for _ in range(10):
        assert client.options("/api/log/token").status_code < 300
    assert admitted(client) == 2
    assert client.options("/api/log/token").status_code < 300


@pytest.mark.parametrize("path", ["/api/log/token?key=sk-unknown", "/api/log/token/?key=sk-unknown"])
def test_an_unknown_key_counts_five_times(client_with, path: str) -> None:
    client = client_with(TOKEN_RATE_LIMIT="20/hour")
    assert admitted(client, path) == 4
    assert admitted(client) == 0


def test_known_keys_pay_for_unknown_ones_from_the_same_address(client_with) -> None:
    client = client_with(TOKEN_RATE_LIMIT="20/hour")
    assert_error(client.get("/api/log/token?key=sk-unknown"), 200, UNKNOWN)
    assert admitted(client) == 15


def test_both_slashes_and_all_keys_count_together(client_with) -> None:
    client = client_with(TOKEN_RATE_LIMIT="3/hour")
    for path in (KNOWN, f"/api/log/token/?key={ALICE_KEY}", f"/api/log/token?key={BOB_KEY}"):
        assert_ok(client.get(path))
    assert admitted(client) == 0


def test_other_routes_are_not_limited(client_with) -> None:
    client = client_with(TOKEN_RATE_LIMIT="1/hour")
    for _ in range(5):
        assert_ok(client.get("/api/log/self", headers=ALICE))


def test_addresses_count_apart(client_with) -> None:
    client = client_with(TOKEN_RATE_LIMIT="2/hour")
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
        assert admitted(client, environ_base={"REMOTE_ADDR": address}) == 2


def test_workers_count_together(client_with) -> None:
    first, second = (client_with(TOKEN_RATE_LIMIT="4/hour") for _ in range(2))
    assert admitted(first, tries=3) + admitted(second) == 4


PROXY = "198.51.100.9"


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "counted_apart"),
    [
        ("", PROXY, "{}", False),
        (PROXY, "192.0.2.77", "{}", False),
        (PROXY, PROXY, "{}", True),
        ("198.51.100.0/24", PROXY, "{}", True),
        (f"10.0.0.1,{PROXY}", PROXY, "{}, 10.0.0.1", True),
        (PROXY, PROXY, "{}, 192.0.2.200", False),
        ("unix", "", "{}", True),
        (PROXY, "", "{}", False),
    ],
)
def test_only_a_trusted_proxy_may_say_for_whom_it_asks(
    client_with, trusted: str, peer: str, forwarded: str, counted_apart: bool
) -> None:
    client = client_with(TOKEN_RATE_LIMIT="1/hour", TRUSTED_PROXIES=trusted)
    let_in = [
        admitted(
            client,
            tries=1,
            environ_base={"REMOTE_ADDR": peer},
            headers={"X-Forwarded-For": forwarded.format(f"192.0.2.{number}")},
        )
        for number in (1, 2, 1)
    ]
    assert let_in == ([1, 1, 0] if counted_apart else [1, 0, 0])


def test_several_headers_of_proxies_are_read_as_one(client_with) -> None:
    client = client_with(TOKEN_RATE_LIMIT="1/hour", TRUSTED_PROXIES=PROXY)
    let_in = []
    for number in (1, 2):
        headers = [("X-Forwarded-For", f"192.0.2.{number}"), ("X-Forwarded-For", "203.0.113.5")]
        let_in.append(admitted(client, tries=1, environ_base={"REMOTE_ADDR": PROXY}, headers=headers))
    assert let_in == [1, 0]
