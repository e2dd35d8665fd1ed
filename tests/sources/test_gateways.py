"""What a row of a gateway's log becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from logservice.errors import InvalidValue
from logservice.sources import gateways
from logservice.sources.gateways import Flavour, GatewayRow
from logservice.store.log_types import LogType
from logservice.store.records import MAX_TEXT, Record

NEW, ONE = Flavour.NEW_API, Flavour.ONE_API
NOW = 1_750_000_000


def make_row(**columns: Any) -> GatewayRow:
    """Return a call as new-api writes it down."""
    call = {
        "id": 7,
        "created_at": NOW - 60,
        "type": 2,
        "user_id": 3,
        "username": "alice",
        "token_id": 5,
        "token_name": "laptop",
        "model_name": "gpt-4o",
        "channel_id": 9,
        "group": "default",
        "quota": 1200,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "use_time": 4,
        "is_stream": 1,
        "ip": "203.0.113.7",
        "request_id": "r-1",
        "content": "a call",
        "other": '{"frt": 350, "cache_tokens": 64, "model_ratio": 2.5}',
    }
    return GatewayRow(**{**call, **columns})


def read(flavour: Flavour = NEW, **columns: Any) -> Record:
    return gateways.record(make_row(**columns), flavour, channels={9: "east"}, now=NOW)


def other_of(record: Record) -> Any:
    return json.loads(record.row["other"])


def test_a_call_keeps_all_it_says() -> None:
    record = read()

    assert record.second == NOW - 60
    assert record.row_id is None
    assert record.row == {
        "type": 2,
        "user_id": 3,
        "username": "alice",
        "token_id": 5,
        "token_name": "laptop",
        "model_name": "gpt-4o",
        "channel_id": 9,
        "channel_name": "east",
        "group": "default",
        "quota": 1200,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cached_tokens": 64,
        "use_time_ms": 4000,
        "first_token_ms": 350,
        "is_stream": True,
        "ip": "203.0.113.7",
        "request_id": "r-1",
        "content": "a call",
        "other": '{"frt":350,"cache_tokens":64,"model_ratio":2.5}',
    }


@pytest.mark.parametrize(
    ("flavour", "number", "kind"),
    [
        (NEW, 0, LogType.MANAGE),
        (NEW, 1, LogType.TOPUP),
        (NEW, 2, LogType.CONSUME),
        (NEW, 3, LogType.MANAGE),
        (NEW, 4, LogType.SYSTEM),
        (NEW, 5, LogType.ERROR),
        (NEW, 6, LogType.REFUND),
        (NEW, 7, LogType.LOGIN),
        (ONE, 0, LogType.MANAGE),
        (ONE, 2, LogType.CONSUME),
        (ONE, 4, LogType.SYSTEM),
        (ONE, 5, LogType.MANAGE),
    ],
)
def test_each_gateway_numbers_the_kinds_in_its_own_way(flavour: Flavour, number: int, kind: LogType) -> None:
    assert read(flavour, type=number).row["type"] == kind


@pytest.mark.parametrize("number", [42, -1, 2**31 - 1])
def test_a_kind_that_nobody_knows_is_kept_and_said_to_be_unknown(number: int) -> None:
    kind = read(type=number).row["type"]

    assert kind == number
    assert not gateways.is_known(kind)


def test_one_api_s_tests_of_channels_are_marked() -> None:
    assert other_of(read(ONE, type=5, other=None))["test"] is True
    assert read(ONE, type=3, other=None).row["other"] == ""


def test_one_api_counts_milliseconds() -> None:
    record = read(ONE, use_time=None, elapsed_time=1234, other=None, system_prompt_reset=True)

    assert record.row["use_time_ms"] == 1234
    assert other_of(record) == {"system_prompt_reset": True}


def test_what_is_null_is_nothing() -> None:
    nothing = dict.fromkeys(GatewayRow._fields[3:])

    row = read(**nothing).row

    assert set(row.values()) == {2, 0, ""}


@pytest.mark.parametrize(
    "text",
    ["not json", "[1]", '"text"', "{", '{"a":' * 40 + "1" + "}" * 40, '{"a": NaN}', '{"a": "\\ud800"}'],
)
def test_other_that_is_no_object_is_kept_as_it_is(text: str) -> None:
    assert other_of(read(other=text)) == {"raw": text}


@pytest.mark.parametrize("text", ["", "null", None, "{}"])
def test_other_that_says_nothing_is_empty(text: str | None) -> None:
    assert read(other=text).row["other"] == ""


@pytest.mark.parametrize("text", ["x" * 200_000, "\x01" * 200_000, '{"a": "%s", "b": 1}' % ("y" * 200_000)])
def test_other_that_is_too_long_is_cut_and_says_so(text: str) -> None:
    other = read(other=text).row["other"]

    assert len(other.encode()) <= MAX_TEXT
    assert "shortened" in other or json.loads(other) == {"b": 1, "dropped": ["a"]}


@pytest.mark.parametrize(
    ("said", "milliseconds"), [("-1000", 0), ("12.6", 12), ('"x"', 0), ("1e99", 10**10), ("null", 0)]
)
def test_the_first_token_is_a_count_or_nothing(said: str, milliseconds: int) -> None:
    assert read(other=f'{{"frt": {said}}}').row["first_token_ms"] == milliseconds


def test_long_texts_are_cut() -> None:
    row = read(username="u" * 300, model_name="m" * 300, request_id="r" * 300, content="字" * 50_000).row

    assert (len(row["username"]), len(row["model_name"]), len(row["request_id"])) == (128, 128, 256)
    assert row["username"] != read(username="u" * 301).row["username"]
    assert len(row["content"].encode()) <= MAX_TEXT
    assert "shortened from 150000 bytes" in row["content"]


def test_characters_that_cannot_be_stored_are_left_out() -> None:
    row = read(content="a\0b", username="x\0").row

    assert (row["content"], row["username"]) == ("ab", "x")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"quota": 10**15}, {"quota": 10**12}),
        ({"quota": -5}, {"quota": -5}),
        (
            {"prompt_tokens": -1, "completion_tokens": 10**12},
            {"prompt_tokens": 0, "completion_tokens": 10**10},
        ),
        ({"use_time": 10**12}, {"use_time_ms": 10**10}),
        ({"use_time": "7"}, {"use_time_ms": 7000}),
        ({"user_id": -1, "channel_id": 2**60}, {"user_id": 0, "channel_id": 0}),
        ({"is_stream": "0"}, {"is_stream": False}),
        ({"is_stream": b"\x01"}, {"is_stream": True}),
        ({"is_stream": " TRUE"}, {"is_stream": True}),
        (
            {"username": 7, "content": b"caf\xc3\xa9 \xff", "ip": 1.5},
            {"username": "7", "content": "café \ufffd"},
        ),
        ({"other": {"cache_tokens": 5}}, {"cached_tokens": 5, "other": '{"cache_tokens":5}'}),
    ],
)
def test_numbers_are_brought_into_our_limits(columns: dict[str, Any], found: dict[str, Any]) -> None:
    row = read(**columns).row

    assert {name: row[name] for name in found} == found


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"created_at": 0}, "created_at: 0 is not after the start of 1970"),
        ({"created_at": NOW * 1000}, "created_at: .* milliseconds"),
        ({"created_at": "yesterday"}, "created_at: 'yesterday' is no number"),
        ({"quota": "much"}, "quota: 'much' is no number"),
        ({"prompt_tokens": float("inf")}, "prompt_tokens: not a finite number"),
        ({"type": 2**40}, "type: "),
        ({"group": ["vip"]}, "group: list is no text"),
        ({"content": {}}, "content: dict is no text"),
    ],
)
def test_a_row_that_cannot_be_stored_names_the_column(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        read(**columns)


@pytest.mark.parametrize(
    ("more", "flavour"),
    [
        ({"elapsed_time"}, ONE),
        ({"use_time", "group", "other"}, NEW),
        (set(), ONE),
        ({"use_time", "elapsed_time"}, ONE),
    ],
)
def test_a_gateway_is_recognised_by_its_columns(more: set[str], flavour: Flavour) -> None:
    assert gateways.recognise(gateways.REQUIRED | more) is flavour


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidValue, match="no column quota"):
        gateways.recognise(gateways.REQUIRED - {"quota"})


def test_fields_that_are_ours_are_no_gateway_s() -> None:
    names = gateways.REQUIRED | {"use_time"}

    assert gateways.recognise_fields(names) is NEW
    assert gateways.recognise_fields(names | {"use_time_ms"}) is None
    assert gateways.recognise_fields({"created_at", "use_time"}) is None


def test_a_row_as_a_gateway_answers_it_is_read_as_well() -> None:
    answered = {
        "created_at": str(NOW),
        "type": "5",
        "channel": 9,
        "channel_name": "east",
        "is_stream": "true",
    }

    row = gateways.from_fields(answered, NEW, now=NOW).row

    assert (row["type"], row["channel_id"], row["channel_name"], row["is_stream"]) == (4, 9, "east", True)
