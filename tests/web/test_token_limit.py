"""`GET /api/log/token`: how often an address may ask, and guess."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store import accounts
from logservice.store.store import LogStore
from logservice.store.tables import tokens
from tests.answers import assert_error, assert_ok
from tests.rows import ALICE, ALICE_KEY, ALICE_TOKEN_ID, BOB_KEY, bearer

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")

UNKNOWN = "Token不存在或无权限"
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


#: Ways to guess: all of them, and a call without a key, count as one with an unknown key does.
GUESSES = (
    ("GET", "/api/log/token?key=sk-unknown", {}),
    ("GET", "/api/log/token/?key=sk-unknown", {}),
    ("HEAD", "/api/log/token?key=sk-unknown", {}),
    ("GET", "/api/log/token", bearer("sk-unknown")),
    ("GET", "/api/log/token?key=sk-unknown", bearer("sk-unknown-as-well")),
    ("GET", "/api/log/token?key=sk-unknown", bearer(ALICE_KEY)),
    ("GET", "/api/log/token", {}),
    ("GET", "/api/log/token?key=sk-unknown&p=abc", {}),
)


@pytest.mark.parametrize(("method", "path", "headers"), GUESSES)
def test_an_unknown_key_counts_five_times(
    client_with, method: str, path: str, headers: dict[str, str]
) -> None:
    client = client_with(TOKEN_RATE_LIMIT="20/hour")
    answers = [client.open(path, method=method, headers=headers) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
    assert admitted(client) == 0


def test_a_disabled_key_counts_as_an_unknown_one(client_with, store: LogStore) -> None:
    client = client_with(TOKEN_RATE_LIMIT="20/hour")
    store.write(lambda connection: accounts.disable(connection, tokens, ALICE_TOKEN_ID))
    assert admitted(client) == 4


#: Headers by which somebody may want to be taken for another; X-Forwarded-For alone counts, from proxies.
DISGUISES = (
    "X-Real-IP",
    "X-Client-IP",
    "X-Forwarded",
    "Forwarded",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Via",
)


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
def test_no_other_header_makes_an_address_another_one(client_with, trusted: str) -> None:
    client = client_with(TOKEN_RATE_LIMIT="5/hour", TRUSTED_PROXIES=trusted)
    for number, name in enumerate(DISGUISES):
        address = f"for=192.0.2.{number}" if name == "Forwarded" else f"192.0.2.{number}"
        assert client.get(KNOWN, headers={name: address}).status_code == (200 if number < 5 else 429)


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
