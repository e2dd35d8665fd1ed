"""`/api/log/usage` and `/api/log/self/usage`: sums by groups and intervals."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import ALICE, BOB, NOW, ROOT, Headers, make_bobs_event, make_event, post

ALL, OWN = "/api/log/usage", "/api/log/self/usage"
EACH = pytest.mark.parametrize(("path", "headers"), [(ALL, ROOT), (OWN, ALICE)])
DAY = 86400
#: NOW is 12:34:56 UTC on 9 October 2025, a Thursday.
MIDNIGHT = NOW - NOW % DAY
FIGURES = {
    "rows",
    "quota",
    "requests",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "use_time_ms",
}


def usage(client: FlaskClient, path: str = ALL, headers: Headers = ROOT, **query: Any) -> Any:
    return assert_ok(client.get(path, query_string=query, headers=headers))


def quotas(answer: Any, *names: str) -> list[Any]:
    """Return what tells the groups of an answer apart, and the quota of each."""
    return [(*(item[name] for name in names), item["quota"]) for item in answer["items"]]


@EACH
def test_the_answer_says_how_the_question_was_understood(
    client: FlaskClient, path: str, headers: Headers
) -> None:
    query = {
        "group_by": " model_name , type,type",
        "interval": "week",
        "timezone": "Asia/Kathmandu",
        "start_timestamp": NOW - 30 * DAY,
        "end_timestamp": NOW,
    }
    assert usage(client, path, headers, **query) == {
        "start_timestamp": NOW - 30 * DAY,
        "end_timestamp": NOW,
        "interval": "week",
        "timezone": "Asia/Kathmandu",
        "group_by": ["model_name", "type"],
        "exact": True,
        "items": [],
    }


@EACH
def test_without_groups_and_intervals_it_is_one_sum(client: FlaskClient, path: str, headers: Headers) -> None:
    post(
        client, make_event(use_time_ms=250), make_event(cached_tokens=4, use_time=1), make_event(type="error")
    )
    answer = usage(client, path, headers)
    assert answer["items"] == [
        {
            "rows": 2,
            "quota": 200,
            "requests": 3,
            "errors": 1,
            "prompt_tokens": 20,
            "completion_tokens": 10,
            "cached_tokens": 4,
            "use_time_ms": 1250,
        }
    ]
    assert (answer["interval"], answer["timezone"], answer["group_by"]) == ("none", "UTC", [])
    assert (answer["start_timestamp"], answer["end_timestamp"]) == (0, 0)


@pytest.mark.parametrize(
    ("timezone", "starts"),
    [
        ("UTC", ["2025-10-08T00:00:00+00:00", "2025-10-09T00:00:00+00:00"]),
        ("Asia/Shanghai", ["2025-10-09T00:00:00+08:00"]),
        ("Asia/Kolkata", ["2025-10-09T00:00:00+05:30"]),
    ],
)
def test_days_are_those_of_the_zone(client: FlaskClient, timezone: str, starts: list[str]) -> None:
    post(client, make_event(created_at=MIDNIGHT - 5 * 3600), make_event(created_at=MIDNIGHT))
    items = usage(client, interval="day", timezone=timezone)["items"]
    assert [item["start_time"] for item in items] == starts
    assert items[0].keys() == FIGURES | {"start", "start_time"}


@pytest.mark.parametrize(
    ("interval", "start"),
    [
        ("hour", "2025-10-09T12:00:00+00:00"),
        ("day", "2025-10-09T00:00:00+00:00"),
        ("week", "2025-10-06T00:00:00+00:00"),
        ("month", "2025-10-01T00:00:00+00:00"),
    ],
)
def test_each_interval_is_named_by_its_start(client: FlaskClient, interval: str, start: str) -> None:
    post(client, make_event())
    [item] = usage(client, interval=interval, start_timestamp=NOW - 60)["items"]
    assert item["start_time"] == start


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("model_name", [("claude-4", 5), ("gpt-4o", 101)]),
        ("username", [("alice", 6), ("bob", 100)]),
        ("token_name", [("laptop", 6), ("phone", 100)]),
        ("channel_id", [(3, 101), (4, 5)]),
        ("group", [("default", 6), ("vip", 100)]),
        ("username,model_name", [("alice", "claude-4", 5), ("alice", "gpt-4o", 1), ("bob", "gpt-4o", 100)]),
    ],
)
def test_every_group_has_its_own_sums(client: FlaskClient, group_by: str, expected: list[Any]) -> None:
    post(
        client,
        make_event(quota=1),
        make_event(quota=5, model_name="claude-4", channel_id=4),
        make_bobs_event(quota=100, group="vip"),
        make_event(type="login", model_name="none", quota=0),
    )
    assert quotas(usage(client, group_by=group_by), *group_by.split(",")) == expected


@pytest.mark.parametrize(
    ("query", "quota", "requests"),
    [({}, 1, 2), ({"type": "0"}, 1, 2), ({"type": "error"}, 10, 2), ({"type": "topup"}, 100, 2)],
    ids=str,
)
def test_sums_follow_the_type_but_requests_do_not(
    client: FlaskClient, query: dict[str, str], quota: int, requests: int
) -> None:
    post(
        client,
        *(make_event(type=kind, quota=10**power) for power, kind in enumerate(("consume", "error", "topup"))),
    )
    [item] = usage(client, **query)["items"]
    assert (item["quota"], item["requests"], item["errors"]) == (quota, requests, 1)


def test_by_type_each_has_its_own_and_the_filter_narrows(client: FlaskClient) -> None:
    post(
        client,
        *(make_event(type=kind, quota=10**power) for power, kind in enumerate(("consume", "error", "topup"))),
    )
    assert quotas(usage(client, group_by="type"), "type") == [(1, 100), (2, 1), (4, 10)]
    assert quotas(usage(client, group_by="type", type="error"), "type") == [(4, 10)]


@pytest.mark.parametrize(
    ("query", "quota"),
    [
        ({"username": "b%"}, 100),
        ({"model_name": "gpt%"}, 101),
        ({"token_name": "laptop"}, 1),
        ({"channel": "3"}, 101),
        ({"group": "default"}, 101),
        ({"request_id": "r-9"}, 100),
        ({"ip": "192.0.2.7"}, 1),
        ({"start_timestamp": NOW - 5}, 100),
        ({"end_timestamp": NOW - 6}, 1),
    ],
    ids=str,
)
def test_filters_are_those_of_the_list(client: FlaskClient, query: dict[str, Any], quota: int) -> None:
    post(client, make_event(quota=1, ip="192.0.2.7"))
    post(client, make_bobs_event(quota=100, request_id="r-9", created_at=NOW - 5))
    for interval in ("none", "day"):
        assert quotas(usage(client, interval=interval, **query)) == [(quota,)]


@pytest.mark.parametrize(("headers", "quota"), [(ALICE, 1), (BOB, 100)])
@pytest.mark.parametrize("query", [{}, {"username": "bob"}, {"channel": "99"}, {"ip": "::9"}], ids=str)
@pytest.mark.parametrize("interval", ["none", "month"])
def test_self_sees_its_own_usage_whatever_it_asks(
    client: FlaskClient, headers: Headers, quota: int, query: dict[str, str], interval: str
) -> None:
    post(client, make_event(quota=1), make_bobs_event(quota=100))
    answer = usage(client, OWN, headers, interval=interval, group_by="username", **query)
    assert quotas(answer, "username") == [("alice" if headers is ALICE else "bob", quota)]


@EACH
def test_the_largest_groups_come_with_the_sum_of_all_others(
    client: FlaskClient, path: str, headers: Headers
) -> None:
    for model, quota, tokens in (("a", 1, 9), ("b", 5, 0), ("c", 3, 1), ("d", 2, 0)):
        post(client, make_event(model_name=model, quota=quota, prompt_tokens=tokens, completion_tokens=0))
    asked = {"group_by": "model_name", "top": 2}

    answer = usage(client, path, headers, **asked)
    assert (answer["top"], answer["top_by"], answer["groups"]) == (2, "quota", 4)
    assert quotas(answer, "model_name") == [("b", 5), ("c", 3), (None, 3)]
    by_tokens = usage(client, path, headers, **asked, top_by="tokens", interval="day")
    assert quotas(by_tokens, "model_name", "start") == [
        ("a", MIDNIGHT, 1),
        ("c", MIDNIGHT, 3),
        (None, MIDNIGHT, 7),
    ]


@pytest.mark.parametrize("group_by", ["", "model_name,type"])
def test_what_has_no_largest_is_refused(client: FlaskClient, group_by: str) -> None:
    assert_error(client.get(ALL, query_string={"group_by": group_by, "top": 1}, headers=ROOT), 400, "top: ")


@EACH
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("group_by", "colour"),
        ("group_by", "model_name,user_id"),
        ("group_by", "model_name;type"),
        ("group_by", "MODEL_NAME"),
        ("interval", "year"),
        ("interval", "Day"),
        ("interval", "day,hour"),
        ("interval", "\0"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("timezone", "UTC\0"),
        ("timezone", "+08:00"),
        ("timezone", "x" * 5000),
        ("top", "0"),
        ("top", "101"),
        ("top", "some"),
        ("top_by", "rows"),
        ("type", "abc"),
        ("start_timestamp", f"{NOW}000"),
        ("end_timestamp", "noon"),
        ("model_name", "\0"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    client: FlaskClient, path: str, headers: Headers, name: str, value: str
) -> None:
    answer = client.get(path, query_string={name: value}, headers=headers)
    assert len(assert_error(answer, 400, f"{name}: ")) < 300


@EACH
def test_empty_parameters_are_absent_ones(client: FlaskClient, path: str, headers: Headers) -> None:
    names = ("group_by", "interval", "timezone", "top", "top_by", "type", "start_timestamp", "model_name")
    post(client, make_event())
    assert usage(client, path, headers, **dict.fromkeys(names, "")) == usage(client, path, headers)


def test_too_many_intervals_are_refused_by_name(client: FlaskClient) -> None:
    post(client, make_event(created_at=NOW - 500 * DAY), make_event())
    assert len(usage(client, interval="day")["items"]) == 2
    answer = client.get(ALL, query_string={"interval": "hour"}, headers=ROOT)
    assert_error(answer, 400, "interval: ")


def test_extremes_are_no_mistake_of_ours(client: FlaskClient) -> None:
    post(client, make_event(created_at=1), make_event())
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Africa/Monrovia"):
        query = {"start_timestamp": -(2**36), "end_timestamp": 99_999_999_999, "timezone": zone}
        for interval in ("none", "month", "week"):
            items = usage(client, interval=interval, **query)["items"]
            assert sum(item["quota"] for item in items) == 200


def test_usage_outlives_rows_that_were_purged_and_rows_are_those_that_are_left(
    client: FlaskClient, store: LogStore
) -> None:
    post(client, make_event(created_at=NOW - 2 * DAY, quota=7), make_event(quota=1))
    list(store.purge(Purge(NOW - DAY, keep_usage=True)))
    [item] = usage(client)["items"]
    assert (item["quota"], item["requests"], item["rows"]) == (8, 2, 1)


def test_an_edge_within_kept_usage_is_marked(client: FlaskClient, store: LogStore) -> None:
    post(client, make_event(created_at=MIDNIGHT - 800))
    list(store.purge(Purge(MIDNIGHT, keep_usage=True)))
    assert usage(client, start_timestamp=MIDNIGHT - 500)["exact"] is False
    assert usage(client, start_timestamp=MIDNIGHT - 900)["exact"] is True
