"""`POST /api/log/`: events come in, are stored together, and are shown again."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
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
    BOB_ID,
    GATEWAY,
    NOW,
    ROOT,
    contents,
    make_event,
    only_row,
    post,
)

NDJSON = "application/x-ndjson"


def send(client: FlaskClient, body: Any, content_type: str = "application/json", **headers: str) -> Any:
    """Post bytes, or a value as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/api/log/", data=data, content_type=content_type, headers={**GATEWAY, **named})


def lines(*events: Any) -> bytes:
    """Return one event on each line."""
    return b"\n".join(json.dumps(event).encode() for event in events)


A, B = make_event(content="a"), make_event(content="b")


@pytest.mark.parametrize(
    ("body", "content_type", "stored"),
    [
        (A, "application/json", ["a"]),
        ([A], "application/json", ["a"]),
        ([A, B], "application/json", ["a", "b"]),
        ([A, B], "application/json; charset=utf-8", ["a", "b"]),
        ([A, B], "", ["a", "b"]),
        (b"\xef\xbb\xbf" + lines(A), "application/json", ["a"]),
        (b" \r\n" + lines(A) + b"\n", "application/json", ["a"]),
        (lines(A), NDJSON, ["a"]),
        (lines(A, B), NDJSON, ["a", "b"]),
        (lines(A, B) + b"\n", NDJSON, ["a", "b"]),
        (lines(A, B).replace(b"\n", b"\r\n\r\n"), NDJSON, ["a", "b"]),
        ([], "application/json", []),
    ],
)
def test_one_event_an_array_or_lines_are_stored(
    client: FlaskClient, body: Any, content_type: str, stored: list[str]
) -> None:
    data = assert_ok(send(client, body, content_type))
    assert data == {"accepted": len(stored), "rejected": []}
    assert contents(assert_ok(client.get("/api/log/", headers=ROOT))["items"]) == stored[::-1]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
@pytest.mark.parametrize("content_type", ["application/json", NDJSON])
def test_gzip_is_unpacked(client: FlaskClient, encoding: str, content_type: str) -> None:
    data = assert_ok(send(client, gzip.compress(lines(A)), content_type, Content_Encoding=encoding))
    assert data["accepted"] == 1


def test_gzip_in_several_members_is_unpacked(client: FlaskClient) -> None:
    body = b"".join(gzip.compress(line + b"\n") for line in (lines(A), lines(B)))
    assert assert_ok(send(client, body, NDJSON, Content_Encoding="gzip"))["accepted"] == 2


def test_an_acknowledged_event_is_in_rows_totals_and_statistics(client: FlaskClient) -> None:
    post(client, make_event(quota=42))
    data = assert_ok(client.get("/api/log/", headers=ROOT))
    assert (data["total"], data["items"][0]["quota"]) == (1, 42)
    assert assert_ok(client.get("/api/log/stat", headers=ROOT))["quota"] == 42


# Some valid, some not


@pytest.mark.parametrize("content_type", ["application/json", NDJSON])
def test_invalid_events_are_reported_one_by_one_and_cost_the_others_nothing(
    client: FlaskClient, content_type: str
) -> None:
    events = [A, {"quota": "much"}, B, {"nonsense": 1}, 5]
    body = lines(*events) if content_type == NDJSON else events
    data = assert_ok(send(client, body, content_type))
    assert data["accepted"] == 2
    assert [entry["index"] for entry in data["rejected"]] == [1, 3, 4]
    assert "quota" in data["rejected"][0]["message"]
    assert "nonsense" in data["rejected"][1]["message"]
    assert all(entry.keys() == {"index", "message"} and entry["message"] for entry in data["rejected"])
    assert contents(assert_ok(client.get("/api/log/", headers=ROOT))["items"]) == ["b", "a"]


def test_a_line_that_is_no_json_costs_the_others_nothing(client: FlaskClient) -> None:
    data = assert_ok(send(client, b'{"quota":1\n' + lines(A) + b"\n\xff\xfe\n", NDJSON))
    assert data["accepted"] == 1
    assert [entry["index"] for entry in data["rejected"]] == [0, 2]


def test_nothing_valid_names_the_first_refusal_and_their_number(client: FlaskClient) -> None:
    message = assert_error(send(client, [{"quota": "much"}, {"nonsense": 1}, 5]), 400, "quota")
    assert "3" in message
    assert "nonsense" not in message


# The fields

FIELDS = {
    "created_at": NOW - 5,
    "type": 4,
    "user_id": ALICE_ID,
    "username": "alice",
    "token_id": ALICE_TOKEN_ID,
    "token_name": "laptop",
    "model_name": "gpt-4o",
    "channel_id": 3,
    "channel_name": "east",
    "group": "vip",
    "quota": -12,
    "prompt_tokens": 11,
    "completion_tokens": 12,
    "cached_tokens": 13,
    "use_time_ms": 14_900,
    "first_token_ms": 150,
    "is_stream": True,
    "ip": "2001:db8::1",
    "request_id": "request",
    "content": "内容\n",
    "other": '{"a":1}',
}


def test_every_field_comes_back_as_it_was_sent(client: FlaskClient) -> None:
    post(client, FIELDS)
    row = only_row(client)
    assert row.pop("id") > 0
    assert row == FIELDS | {"channel": 3, "use_time": 14}


def test_null_is_the_same_as_a_missing_field(client: FlaskClient) -> None:
    post(client, dict.fromkeys(FIELDS))
    row = only_row(client)
    assert row.pop("id") > 0
    blank = {name: "" if isinstance(value, str) else 0 for name, value in FIELDS.items()}
    assert row == blank | {"created_at": NOW, "type": 2, "is_stream": False, "channel": 0, "use_time": 0}


def test_an_event_of_nothing_is_a_consumption_now(client: FlaskClient) -> None:
    post(client, {})
    row = only_row(client)
    assert (row["created_at"], row["type"], row["user_id"], row["quota"]) == (NOW, 2, 0, 0)


def test_an_exported_row_can_be_posted(client: FlaskClient) -> None:
    post(client, FIELDS)
    exported = only_row(client)
    post(client, exported)
    newer, older = assert_ok(client.get("/api/log/", headers=ROOT))["items"]
    assert older == exported
    assert newer.pop("id") != exported.pop("id")
    assert newer == exported


def test_channel_stands_for_channel_id(client: FlaskClient) -> None:
    post(client, {"channel": 5})
    assert only_row(client)["channel_id"] == 5


@pytest.mark.parametrize(
    ("created_at", "second"),
    [
        (1, 1),
        (NOW - 5.5, NOW - 6),
        (1_700_000_000.999, 1_700_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T22:13:20.999+00:00", 1_700_000_000),
        ("2023-11-15T06:13:20+08:00", 1_700_000_000),
        (NOW + 86400, NOW + 86400),
    ],
)
def test_created_at_is_epoch_seconds_or_iso_8601(client: FlaskClient, created_at: Any, second: int) -> None:
    post(client, make_event(created_at=created_at))
    assert only_row(client)["created_at"] == second


@pytest.mark.parametrize(
    ("kind", "number"),
    [(number, number) for number in range(1, 8)]
    + [
        ("4", 4),
        ("error", 4),
        ("Error", 4),
        ("错误", 4),
        ("system", 5),
        ("topup", 1),
        ("login", 7),
        ("退款", 6),
    ],
)
def test_a_type_comes_by_number_or_name(client: FlaskClient, kind: int | str, number: int) -> None:
    post(client, make_event(type=kind))
    assert only_row(client)["type"] == number


@pytest.mark.parametrize(
    ("sent", "milliseconds", "seconds"),
    [
        ({"use_time": 2}, 2000, 2),
        ({"use_time": 1.5}, 1500, 1),
        ({"use_time": 0.001}, 1, 0),
        ({"use_time_ms": 2999}, 2999, 2),
        ({"use_time": 14, "use_time_ms": 14_900}, 14_900, 14),
        ({"use_time_ms": 0, "use_time": 3}, 0, 0),
    ],
    ids=str,
)
def test_the_time_used_comes_in_seconds_or_milliseconds(
    client: FlaskClient, sent: dict[str, Any], milliseconds: int, seconds: int
) -> None:
    post(client, make_event(**sent))
    row = only_row(client)
    assert (row["use_time_ms"], row["use_time"]) == (milliseconds, seconds)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"a": 1}, '{"a":1}'),
        ('{ "a" : 1 }', '{"a":1}'),
        ('{"\\u0061":"\\u00e9"}', '{"a":"é"}'),
        ("", ""),
        ("  ", ""),
        (None, ""),
        ({}, ""),
        ("{}", ""),
    ],
)
def test_other_is_an_object_or_its_text_and_written_anew(client: FlaskClient, sent: Any, shown: str) -> None:
    post(client, make_event(other=sent))
    assert only_row(client)["other"] == shown


# Whose it is


def test_a_whole_number_may_be_written_with_a_point(client: FlaskClient) -> None:
    """Python writes 1500.0 for what it has computed."""
    post(client, make_event(quota=1500.0, prompt_tokens=2e3, other={"ratio": 1.0}))
    row = only_row(client)
    assert (row["quota"], row["prompt_tokens"], row["other"]) == (1500, 2000, '{"ratio":1.0}')
    assert_error(send(client, {"quota": 1500.5}), 400, "quota")


def test_a_known_name_stands_for_its_id_and_the_other_way_round(client: FlaskClient) -> None:
    post(client, {"username": "bob", "content": "by name"}, {"user_id": BOB_ID, "content": "by id"})
    for row in assert_ok(client.get("/api/log/", headers=ROOT))["items"]:
        assert (row["user_id"], row["username"]) == (BOB_ID, "bob")


def test_unknown_users_are_registered_without_a_login(client: FlaskClient, store: LogStore) -> None:
    post(client, {"username": "carol"}, {"username": "carol"}, {"user_id": 55, "username": "dave"})
    post(client, {"username": "carol"})
    with store.reading() as connection:
        known = {user.username: user for user in accounts.list_users(connection)}
    rows = assert_ok(client.get("/api/log/?username=carol", headers=ROOT))["items"]
    assert [row["user_id"] for row in rows] == [known["carol"].id] * 3
    assert known["carol"].id >= 2**31
    assert known["dave"].id == 55
    assert not known["carol"].has_login
    assert not known["dave"].has_login


@pytest.mark.parametrize("key", [ALICE_KEY, ALICE_KEY.removeprefix("sk-")])
def test_a_key_says_which_token_and_whose(client: FlaskClient, key: str) -> None:
    post(client, {"token_key": key})
    row = only_row(client)
    assert (row["token_id"], row["token_name"]) == (ALICE_TOKEN_ID, "laptop")
    assert (row["user_id"], row["username"]) == (ALICE_ID, "alice")


@pytest.mark.parametrize("change", [str, str.upper])
def test_the_hash_of_a_key_says_the_same(client: FlaskClient, change: Any) -> None:
    post(client, {"token_hash": change(sha256(ALICE_KEY.encode()).hexdigest())})
    assert only_row(client)["token_id"] == ALICE_TOKEN_ID


@pytest.mark.parametrize(
    ("sent", "token_id"),
    [
        ({"token_id": 4711}, 4711),
        ({"token_name": "laptop", "user_id": ALICE_ID}, ALICE_TOKEN_ID),
        ({"token_name": "laptop", "username": "alice"}, ALICE_TOKEN_ID),
        ({"token_name": "laptop", "user_id": BOB_ID}, 0),
        ({"token_name": "no such name", "user_id": ALICE_ID}, 0),
        ({"token_name": "laptop"}, 0),
    ],
    ids=str,
)
def test_a_token_comes_by_id_or_by_a_name_that_only_one_of_that_user_bears(
    client: FlaskClient, sent: dict[str, Any], token_id: int
) -> None:
    post(client, sent)
    assert only_row(client)["token_id"] == token_id


# The limits

KIB_64 = 64 * 1024
NAMES = ("username", "token_name", "model_name", "channel_name", "group")
COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens", "use_time_ms", "first_token_ms")

AT_THE_LIMIT = [
    *((name, "名" * 128) for name in NAMES),
    *((name, 10**10) for name in COUNTS),
    ("request_id", "r" * 256),
    ("content", "c" * KIB_64),
    ("content", "内" * (KIB_64 // 3)),
    ("other", {"a": "o" * (KIB_64 - 8)}),
    ("quota", 10**12),
    ("quota", -(10**12)),
    ("created_at", 1),
    ("created_at", NOW + 86400),
    ("use_time", 10**7),
]
BEYOND = [
    *((name, "名" * 129) for name in NAMES),
    *((name, 10**10 + 1) for name in COUNTS),
    *((name, -1) for name in COUNTS),
    *((name, 1.5) for name in COUNTS),
    *((name, True) for name in COUNTS),
    *((name, 5) for name in NAMES),
    ("request_id", "r" * 257),
    ("content", "c" * (KIB_64 + 1)),
    ("content", "内" * (KIB_64 // 3 + 1)),
    ("content", ["text"]),
    ("other", {"a": "o" * (KIB_64 - 7)}),
    ("other", [1]),
    ("other", 1),
    ("other", "text"),
    ("other", "[1]"),
    ("other", '{"a":NaN}'),
    ("quota", 10**12 + 1),
    ("quota", -(10**12) - 1),
    ("quota", 0.5),
    ("quota", "5"),
    ("use_time", -1),
    ("use_time", 10**10 + 1),
    ("is_stream", 1),
    ("is_stream", "true"),
    ("user_id", -1),
    ("user_id", 2**53),
    ("token_id", -1),
    ("channel_id", "3"),
    ("token_hash", "abc"),
    ("token_hash", "g" * 64),
    ("created_at", 0),
    ("created_at", -1),
    ("created_at", NOW + 86401),
    ("created_at", (NOW - 5) * 1000),
    ("created_at", "yesterday"),
    ("created_at", "2023-11-14T22:13:20"),
    ("created_at", "2023-11-14"),
    ("created_at", True),
    ("created_at", [1]),
    ("type", 0),
    ("type", 8),
    ("type", -1),
    ("type", "consumption"),
    ("type", 2.5),
]


def short(value: Any) -> str:
    """Name a parameter of a test."""
    return str(value)[:30]


@pytest.mark.parametrize(("name", "value"), AT_THE_LIMIT, ids=short)
def test_a_value_at_the_limit_is_stored_whole(client: FlaskClient, name: str, value: Any) -> None:
    post(client, {name: value})
    row = only_row(client)
    if name == "other":
        assert json.loads(row["other"]) == value
    else:
        assert row[name] == value


@pytest.mark.parametrize(("name", "value"), BEYOND, ids=short)
def test_a_value_beyond_it_is_refused_by_name(client: FlaskClient, name: str, value: Any) -> None:
    data = assert_ok(send(client, [make_event(**{name: value}), A]))
    assert data["accepted"] == 1
    [refusal] = data["rejected"]
    assert refusal["index"] == 0
    assert name in refusal["message"]
    assert contents(assert_ok(client.get("/api/log/", headers=ROOT))["items"]) == ["a"]


@pytest.mark.parametrize("name", ["nonsense", "userid", "Type", "", "created_at "])
def test_an_unknown_field_is_refused_by_name(client: FlaskClient, name: str) -> None:
    assert_error(send(client, make_event(**{name: 1})), 400, name)


def test_a_name_that_repeats_belongs_to_whoever_bears_it(client: FlaskClient) -> None:
    post(client, make_event(user_id=99, username="bob"), {"user_id": BOB_ID})
    rows = assert_ok(client.get("/api/log/?username=bob", headers=ROOT))["items"]
    assert sorted(row["user_id"] for row in rows) == [BOB_ID, 99]
