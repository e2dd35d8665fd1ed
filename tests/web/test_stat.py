"""`GET /api/log/stat` and `/self/stat`: sums over a range, and the rates of the last minute."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import assert_ok
from tests.rows import ALICE, BOB, NOW, ROOT, Headers, make_bobs_event, make_event, post

DAY = 86400
FIELDS = {
    "quota",
    "rpm",
    "tpm",
    "requests",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
}

#: Each with an own power of ten, so that a sum tells what was added up.
EVENTS = (
    make_event(created_at=NOW - 3 * DAY, quota=1, prompt_tokens=1, completion_tokens=2, cached_tokens=3),
    make_event(created_at=NOW - 30, quota=10, prompt_tokens=10, completion_tokens=20, cached_tokens=30),
    make_event(
        created_at=NOW - 20, quota=100, model_name="claude-4", prompt_tokens=100, completion_tokens=200
    ),
    make_event(created_at=NOW - 20, quota=1000, type="error", prompt_tokens=1000, completion_tokens=2000),
    make_event(created_at=NOW - 20, quota=10_000, type="topup", prompt_tokens=0, completion_tokens=0),
    make_bobs_event(created_at=NOW - 10, quota=100_000, prompt_tokens=7, completion_tokens=8),
)


def stat(client: FlaskClient, path: str = "/api/log/stat", headers: Headers = ROOT, **query: Any) -> Any:
    """Record the events above and ask for their statistics."""
    post(client, *EVENTS)
    return assert_ok(client.get(path, query_string=query, headers=headers))


@pytest.mark.parametrize(("path", "headers"), [("/api/log/stat", ROOT), ("/api/log/self/stat", ALICE)])
def test_nothing_makes_zeros(client: FlaskClient, path: str, headers: Headers) -> None:
    data = assert_ok(client.get(path, headers=headers))
    assert data == dict.fromkeys(FIELDS, 0)
    assert all(type(value) is int for value in data.values())


def test_quota_and_tokens_are_those_of_consumption_unless_a_type_is_named(client: FlaskClient) -> None:
    data = stat(client)
    assert data == {
        "quota": 1 + 10 + 100 + 100_000,
        "prompt_tokens": 1 + 10 + 100 + 7,
        "completion_tokens": 2 + 20 + 200 + 8,
        "cached_tokens": 3 + 30,
        "requests": 5,
        "errors": 1,
        "rpm": 3,
        "tpm": 30 + 300 + 15,
    }


@pytest.mark.parametrize(
    ("asked", "quota", "rpm", "tpm"),
    [
        ("0", 100_111, 3, 345),
        ("", 100_111, 3, 345),
        ("2", 100_111, 3, 345),
        ("consume", 100_111, 3, 345),
        ("消费", 100_111, 3, 345),
        ("4", 1000, 1, 3000),
        ("error", 1000, 1, 3000),
        ("1", 10_000, 1, 0),
        ("7", 0, 0, 0),
    ],
)
def test_sums_and_rates_follow_the_type_but_requests_and_errors_do_not(
    client: FlaskClient, asked: str, quota: int, rpm: int, tpm: int
) -> None:
    data = stat(client, type=asked)
    assert (data["quota"], data["rpm"], data["tpm"]) == (quota, rpm, tpm)
    assert (data["requests"], data["errors"]) == (5, 1)


def test_tokens_follow_the_type(client: FlaskClient) -> None:
    data = stat(client, type=4)
    assert (data["prompt_tokens"], data["completion_tokens"], data["cached_tokens"]) == (1000, 2000, 0)


def test_the_range_bounds_the_sums_but_not_the_rates(client: FlaskClient) -> None:
    data = stat(client, start_timestamp=NOW - 4 * DAY, end_timestamp=NOW - DAY)
    assert (data["quota"], data["requests"], data["errors"], data["cached_tokens"]) == (1, 1, 0, 3)
    assert (data["rpm"], data["tpm"]) == (3, 345)


@pytest.mark.parametrize(
    ("query", "quota", "rpm"),
    [
        ({"username": "bob"}, 100_000, 1),
        ({"username": "%l%"}, 111, 2),
        ({"token_name": "phone"}, 100_000, 1),
        ({"model_name": "claude%"}, 100, 1),
        ({"channel": "3"}, 100_111, 3),
        ({"channel": "4"}, 0, 0),
        ({"group": "vip"}, 0, 0),
        ({"request_id": "nothing"}, 0, 0),
        ({"ip": "192.0.2.1"}, 0, 0),
    ],
    ids=str,
)
def test_filters_narrow_sums_and_rates(
    client: FlaskClient, query: dict[str, str], quota: int, rpm: int
) -> None:
    data = stat(client, **query)
    assert (data["quota"], data["rpm"]) == (quota, rpm)


@pytest.mark.parametrize("query", [{"p": 2}, {"page_size": 1}, {"before": 5}, {"after": 2**62}, {"p": "abc"}])
def test_paging_parameters_are_ignored(client: FlaskClient, query: dict[str, Any]) -> None:
    assert stat(client, **query)["quota"] == 100_111


@pytest.mark.parametrize(("headers", "quota", "errors", "rpm"), [(ALICE, 111, 1, 2), (BOB, 100_000, 0, 1)])
def test_self_counts_its_own_rows(
    client: FlaskClient, headers: Headers, quota: int, errors: int, rpm: int
) -> None:
    data = stat(client, "/api/log/self/stat", headers)
    assert data.keys() == FIELDS
    assert (data["quota"], data["errors"], data["rpm"]) == (quota, errors, rpm)


@pytest.mark.parametrize(("age", "rpm"), [(0, 1), (59, 1), (61, 0)])
def test_rates_look_back_sixty_seconds(client: FlaskClient, age: int, rpm: int) -> None:
    post(client, make_event(created_at=NOW - age, prompt_tokens=40, completion_tokens=2))
    data = assert_ok(client.get("/api/log/stat", headers=ROOT))
    assert (data["rpm"], data["tpm"]) == (rpm, 42 * rpm)


def test_sums_beyond_32_bits_are_exact(client: FlaskClient) -> None:
    post(client, *[make_event(quota=10**12 - 1)] * 9)
    assert assert_ok(client.get("/api/log/stat", headers=ROOT))["quota"] == 9 * (10**12 - 1)
