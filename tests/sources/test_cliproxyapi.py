"""What a usage record of CLIProxyAPI becomes: rules on records as its usage queue hands them out."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from logservice.sources import cliproxyapi
from logservice.store import records

KEY = "sk-proxy-key-of-alice-1234"
HASH = sha256(KEY.encode()).hexdigest()
TOKENS = {
    "input_tokens": 900,
    "output_tokens": 40,
    "reasoning_tokens": 12,
    "cached_tokens": 512,
    "total_tokens": 940,
}


def make_record(**changes: Any) -> dict[str, Any]:
    """Return a streamed success; `tokens` is merged, everything else replaced."""
    record = {
        "timestamp": "2026-11-24T08:48:56.25123456+08:00",
        "latency_ms": 1250,
        "ttft_ms": 500,
        "source": "upstream-key-or-account@example.com",
        "auth_index": "3",
        "client_ip": "203.0.113.7",
        "x_forwarded_for": "198.51.100.4, 10.0.0.1",
        "user_agent": "tests/1.0",
        "tokens": TOKENS | (changes.pop("tokens", None) or {}),
        "failed": False,
        "generate": True,
        "stream": True,
        "fail": {"status_code": 200, "body": ""},
        "response_headers": {"X-Request-Id": ["upstream-1"]},
        "provider": "openai",
        "executor_type": "CodexExecutor",
        "model": "gpt-5.4",
        "alias": "best",
        "endpoint": "POST /v1/chat/completions",
        "auth_type": "oauth",
        "api_key": KEY,
        "request_id": "a1b2c3d4",
        "reasoning_effort": "medium",
        "service_tier": "auto",
    }
    return record | changes


def make_failure(**changes: Any) -> dict[str, Any]:
    fail = {"status_code": 429, "body": "rate limit reached"}
    return make_record(**{"failed": True, "fail": fail, "ttft_ms": 0, **changes})


def make_breakdown(*, quality: str = "complete", **counts: int) -> dict[str, Any]:
    return {
        "schema_version": 2,
        "quality": quality,
        "input": {"total_tokens": counts["input"], "cache_read_tokens": counts["cached"]},
        "output": {"total_tokens": counts["output"]},
    }


def event_of(record: Any) -> dict[str, Any]:
    """Return the event of a record, once the store has said that it takes it."""
    event = cliproxyapi.event(record, quota_per_unit=500_000)
    records.from_mapping(event, now=1_795_481_337.5)
    return event


def test_a_success_becomes_a_consume_event_at_the_time_it_ended() -> None:
    event = event_of(make_record())
    assert event.pop("created_at") == pytest.approx(1_795_481_337.501234, abs=1e-6)
    assert event == {
        "type": 2,
        "token_hash": HASH,
        "model_name": "gpt-5.4",
        "channel_name": "openai",
        "prompt_tokens": 900,
        "completion_tokens": 40,
        "cached_tokens": 512,
        "use_time_ms": 1250,
        "first_token_ms": 500,
        "is_stream": True,
        "ip": "203.0.113.7",
        "request_id": "a1b2c3d4",
        "other": {
            "alias": "best",
            "endpoint": "POST /v1/chat/completions",
            "user_agent": "tests/1.0",
            "reasoning_effort": "medium",
            "service_tier": "auto",
            "reasoning_tokens": 12,
            "admin_info": {"executor_type": "CodexExecutor", "auth_type": "oauth", "auth_index": "3"},
        },
    }


def test_a_failure_becomes_an_error_event_with_what_the_upstream_said() -> None:
    event = event_of(make_failure())
    assert (event["type"], event["content"]) == (4, "rate limit reached")
    assert event["other"]["fail"] == {"status_code": 429}
    assert "first_token_ms" not in event


@pytest.mark.parametrize("name", [name for name in make_record() if name != "timestamp"])
@pytest.mark.parametrize("make", [make_record, make_failure])
def test_any_field_but_the_timestamp_may_be_null_or_missing(make: Any, name: str) -> None:
    without = {key: value for key, value in make().items() if key != name}
    assert event_of(without | {name: None}) == event_of(without)


def test_the_short_names_of_tokens_are_read_too() -> None:
    tokens = {"input": 7, "output": 5, "reasoning": 2, "cached": 3}
    event = event_of({**make_record(), "tokens": tokens})
    assert (event["prompt_tokens"], event["completion_tokens"], event["cached_tokens"]) == (7, 5, 3)


@pytest.mark.parametrize(
    ("tokens", "completion"),
    [
        ({"total_tokens": 940}, 40),
        ({"total_tokens": 952}, 52),
        ({"total_tokens": 0}, 40),
        ({"total_tokens": 5}, 40),
        ({"total_tokens": 900 + 40, "reasoning_tokens": 0}, 40),
    ],
)
def test_reasoning_beside_the_output_is_counted_where_the_total_says_so(
    tokens: dict[str, int], completion: int
) -> None:
    assert event_of(make_record(tokens=tokens))["completion_tokens"] == completion


def test_a_complete_breakdown_says_best_what_was_used() -> None:
    claude = make_record(provider="claude", token_breakdown=make_breakdown(input=1500, cached=600, output=52))
    event = event_of(claude)
    assert (event["prompt_tokens"], event["completion_tokens"], event["cached_tokens"]) == (1500, 52, 600)


def test_a_breakdown_that_is_not_complete_says_nothing() -> None:
    unsure = make_breakdown(quality="unclassified", input=0, cached=0, output=0)
    assert event_of(make_record(token_breakdown=unsure)) == event_of(make_record())


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"timestamp": "2026-11-24T00:48:56Z", "latency_ms": None}, "created_at", 1_795_481_336.0),
        ({"timestamp": 1_795_481_336.25}, "created_at", 1_795_481_337.5),
        ({"latency_ms": 10**11}, "use_time_ms", 10**10),
        ({"failed": None, "fail": {"status_code": 500}}, "type", 4),
        ({"failed": None, "fail": {"status_code": 200}}, "type", 2),
        ({"failed": True, "fail": None}, "type", 4),
        ({"model": "unknown"}, "model_name", "best"),
        ({"client_ip": "", "stream": False}, "ip", "198.51.100.4"),
        ({"stream": False}, "is_stream", False),
        ({"api_key": KEY.removeprefix("sk-")}, "token_hash", HASH),
        ({"api_key": f" {KEY} "}, "token_hash", HASH),
    ],
)
def test_a_field_is_read(changes: dict[str, Any], field: str, expected: Any) -> None:
    created = {} if "timestamp" in changes or field == "created_at" else {"timestamp": 1_795_480_000}
    event = cliproxyapi.event(make_record(**changes, **created), quota_per_unit=1)
    assert event[field] == expected


def test_the_model_is_not_repeated_as_its_alias() -> None:
    assert "alias" not in event_of(make_record(alias="gpt-5.4"))["other"]


@pytest.mark.parametrize("key", [KEY, KEY.removeprefix("sk-"), "plain-key-without-prefix", "Schlüssel-中文"])
@pytest.mark.parametrize("place", ["fail", "user_agent", "endpoint", "source", "request_id", "model"])
def test_the_key_is_kept_nowhere(key: str, place: str) -> None:
    said = f'{{"error": "Incorrect API key provided: {key}, or {key.removeprefix("sk-")}"}}'
    value: Any = {"status_code": 401, "body": said} if place == "fail" else said
    event = event_of(make_failure(**{"api_key": key, place: value}))
    assert key.removeprefix("sk-") not in json.dumps(event, ensure_ascii=False)
    assert event["token_hash"] == records.hash_key(key)


def test_not_even_half_a_key_is_left_where_a_long_text_is_cut() -> None:
    for room in range(len(KEY) + 30):
        body = "x" * (records.MAX_TEXT - 40 - room) + KEY + "y" * 1000
        content = event_of(make_failure(fail={"status_code": 401, "body": body}))["content"]
        assert KEY[3:9] not in content


def test_the_account_of_the_upstream_is_left_behind() -> None:
    assert "example.com" not in json.dumps(event_of(make_record()))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-11-24T00:48:56"}, "timestamp"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency_ms": "1250"}, "latency_ms"),
        ({"ttft_ms": 0.5}, "ttft_ms"),
        ({"failed": "yes"}, "failed"),
        ({"stream": 1}, "stream"),
        ({"tokens": {"input_tokens": -5}}, "tokens.input_tokens"),
        ({"tokens": {"output_tokens": "x"}}, "tokens.output_tokens"),
        ({"model": ["gpt"]}, "model"),
        ({"api_key": {"key": KEY}}, "api_key"),
        ({"failed": True, "fail": {"status_code": "x"}}, "fail.status_code"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_name_and_without_the_key(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{named}: ") as refusal:
        event_of(make_record(**changes))
    assert KEY.removeprefix("sk-") not in str(refusal.value)


@pytest.mark.parametrize("record", [None, [], "text", 7])
def test_what_is_no_object_is_refused(record: Any) -> None:
    with pytest.raises(ValueError, match="must be an object"):
        event_of(record)


def test_a_long_key_is_looked_for_in_a_long_text_that_nearly_holds_it() -> None:
    # Tried at each place of the text anew, this would take hours.
    record = {"timestamp": 1_760_013_000, "api_key": "a" * 2_000_000 + "b", "fail": {"body": "a" * 4_000_000}}
    fields = cliproxyapi.event({**record, "failed": True}, quota_per_unit=500_000.0)
    assert fields["content"].startswith("aaa")
