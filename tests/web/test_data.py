"""`/api/data/` and `/api/data/self`: the hourly rows that dashboards of new-api read."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE,
    ALICE_ID,
    BOB_ID,
    NOW,
    ROOT,
    Headers,
    make_bobs_event,
    make_event,
    post,
)

HOUR, DAY = 3600, 86400
THIS_HOUR = NOW - NOW % HOUR
MONTH = "时间跨度不能超过 1 个月"
EACH = pytest.mark.parametrize(("path", "headers"), [("/api/data/", ROOT), ("/api/data/self", ALICE)])


def rows(client: FlaskClient, path: str = "/api/data/", headers: Headers = ROOT, **query: Any) -> Any:
    return assert_ok(client.get(path, query_string=query, headers=headers))


def asked(**query: Any) -> dict[str, Any]:
    """Return what the dashboard of new-api sends: a range that ends an hour from now, and its own choice."""
    return {"start_timestamp": NOW - DAY, "end_timestamp": NOW + HOUR, "default_time": "hour", **query}


def some_events(client: FlaskClient) -> None:
    post(
        client,
        make_event(quota=1),
        make_event(quota=2, created_at=THIS_HOUR),
        make_event(quota=4, created_at=THIS_HOUR - 1),
        make_bobs_event(quota=8),
        make_event(quota=16, type="error"),
        make_event(quota=32, type="topup"),
    )


def test_an_admin_sees_a_row_for_each_hour_and_model_of_the_site(client: FlaskClient) -> None:
    some_events(client)
    common = {"user_id": 0, "username": "", "model_name": "gpt-4o"}
    assert rows(client, **asked(username="")) == [
        {**common, "created_at": THIS_HOUR - HOUR, "count": 1, "quota": 4, "token_used": 15},
        {**common, "created_at": THIS_HOUR, "count": 3, "quota": 11, "token_used": 45},
    ]


def test_with_a_username_the_rows_are_that_user_s(client: FlaskClient) -> None:
    some_events(client)
    common = {"user_id": BOB_ID, "username": "bob", "model_name": "gpt-4o"}
    assert rows(client, **asked(username="bob")) == [
        {**common, "created_at": THIS_HOUR, "count": 1, "quota": 8, "token_used": 15}
    ]


@pytest.mark.parametrize("query", [{}, {"username": "bob"}], ids=str)
def test_self_sees_its_own_rows_whatever_it_asks(client: FlaskClient, query: dict[str, str]) -> None:
    some_events(client)
    found = rows(client, "/api/data/self", ALICE, **asked(**query))
    assert [(row["user_id"], row["username"], row["quota"]) for row in found] == [
        (ALICE_ID, "alice", 4),
        (ALICE_ID, "alice", 3),
    ]


@pytest.mark.parametrize(
    ("start", "end", "quotas"),
    [
        (THIS_HOUR, THIS_HOUR, [11]),
        (THIS_HOUR + 1, NOW, []),
        (THIS_HOUR - HOUR, THIS_HOUR - 1, [4]),
        (THIS_HOUR - HOUR + 1, THIS_HOUR, [11]),
        (NOW, THIS_HOUR, []),
    ],
)
def test_an_hour_counts_whole_when_it_begins_within_the_range(
    client: FlaskClient, start: int, end: int, quotas: list[int]
) -> None:
    some_events(client)
    assert [row["quota"] for row in rows(client, start_timestamp=start, end_timestamp=end)] == quotas


@EACH
def test_without_a_range_it_is_the_last_30_days(client: FlaskClient, path: str, headers: Headers) -> None:
    for age in (1, 29, 31):
        post(client, make_event(created_at=NOW - age * DAY, quota=age))
    assert [row["quota"] for row in rows(client, path, headers)] == [29, 1]


def test_nothing_is_an_empty_array(client: FlaskClient) -> None:
    assert rows(client, **asked()) == []


def test_a_user_may_ask_for_30_days(client: FlaskClient, client_with: Any) -> None:
    query = {"start_timestamp": NOW - 30 * DAY, "end_timestamp": NOW}
    assert rows(client, "/api/data/self", ALICE, **query) == []
    query["start_timestamp"] -= 1
    assert_error(client.get("/api/data/self", query_string=query, headers=ALICE), 400, MONTH)
    old = client_with(LEGACY_STATUS="1")
    assert_error(old.get("/api/data/self", query_string=query, headers=ALICE), 200, MONTH)


def test_an_admin_may_ask_for_a_year(client: FlaskClient) -> None:
    query = {"start_timestamp": NOW - 366 * DAY, "end_timestamp": NOW}
    assert rows(client, **query) == []
    query["start_timestamp"] -= 1
    assert_error(client.get("/api/data/", query_string=query, headers=ROOT), 400, "start_timestamp: ")


@EACH
@pytest.mark.parametrize("name", ["start_timestamp", "end_timestamp"])
@pytest.mark.parametrize("value", ["abc", f"{NOW}000", "NaN"])
def test_what_cannot_be_read_is_refused_by_name(
    client: FlaskClient, path: str, headers: Headers, name: str, value: str
) -> None:
    assert_error(client.get(path, query_string={name: value}, headers=headers), 400, f"{name}: ")


def test_hours_outlive_their_rows(client: FlaskClient, store: LogStore) -> None:
    some_events(client)
    before = rows(client, **asked())
    list(store.purge(Purge(NOW, keep_usage=True)))
    assert rows(client, **asked()) == before
