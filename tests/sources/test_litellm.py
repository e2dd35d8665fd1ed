"""What a LiteLLM payload becomes: rules on payloads as LiteLLM writes them, then what it really sent."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logservice.sources import litellm
from logservice.store import records

EXAMPLE = Path(__file__).parents[2] / "examples" / "litellm" / "send.py"
HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"


def make_payload(**changes: Any) -> dict[str, Any]:
    """Return a streamed success as a proxy reports it; `metadata` is merged, everything else replaced."""
    metadata = {
        "user_api_key_hash": HASH,
        "user_api_key_alias": "laptop",
        "user_api_key_user_id": "alice",
        "user_api_key_team_alias": "science",
        "user_api_key_user_email": None,
        "requester_ip_address": "203.0.113.7",
        "usage_object": {"prompt_tokens": 900, "prompt_tokens_details": {"cached_tokens": 512}},
    }
    payload: dict[str, Any] = {
        "id": "chatcmpl-repeated-by-the-provider",
        "litellm_call_id": "d436ac37-b546-4bf4-983f-00d1006a4c5e",
        "call_type": "acompletion",
        "stream": True,
        "status": "success",
        "custom_llm_provider": "openai",
        "startTime": 1795478536.25,
        "completionStartTime": 1795478536.75,
        "endTime": 1795478537.5,
        "model": "gpt-4o-mini",
        "model_group": "small",
        "model_id": "deployment-7",
        "response_cost": 0.0123,
        "prompt_tokens": 900,
        "completion_tokens": 40,
        "total_tokens": 940,
        "cost_breakdown": {
            "input_cost": 0.0003,
            "total_cost": 0.0123,
            "discount_amount": 0.0,
            "service_tier": None,
        },
        "request_tags": ["nightly"],
        "end_user": "customer-9",
        "api_base": "https://api.openai.com/v1",
        "requester_ip_address": "203.0.113.7",
        "messages": [{"role": "user", "content": "a secret question"}],
        "response": {"choices": [{"message": {"content": "a secret answer"}}]},
        "model_parameters": {"stream": True, "temperature": 0.2},
        "model_map_information": {"model_map_key": "gpt-4o-mini", "model_map_value": {"max_tokens": 16384}},
        "hidden_params": {"litellm_model_name": "openai/gpt-4o-mini"},
        "error_str": None,
        "error_information": {"error_code": "", "error_class": "", "traceback": "", "error_message": ""},
    }
    metadata |= changes.pop("metadata", None) or {}
    return payload | {"metadata": metadata} | changes


def make_failure(**changes: Any) -> dict[str, Any]:
    error = {
        "error_code": "429",
        "error_class": "RateLimitError",
        "llm_provider": "openai",
        "traceback": '  File "/app/litellm/main.py", line 795, in mock_completion\n',
        "error_message": "litellm.RateLimitError: slow down",
        "error_provider_request_id": None,
    }
    failure = {
        "status": "failure",
        "stream": None,
        "model_parameters": {},
        "completionStartTime": 1795478537.5,
        "response_cost": 0.0,
        "cost_breakdown": None,
        "error_str": "litellm.RateLimitError: slow down",
        "error_information": error,
    }
    return make_payload(**failure | changes)


def event_of(payload: Any) -> dict[str, Any]:
    """Return the event of a payload, once the store has said that it takes it."""
    event = litellm.event(payload, quota_per_unit=500_000)
    records.from_mapping(event, now=event["created_at"])
    return event


def test_a_success_becomes_a_consume_event() -> None:
    assert event_of(make_payload()) == {
        "created_at": 1795478537.5,
        "type": 2,
        "username": "alice",
        "token_name": "laptop",
        "token_hash": HASH,
        "model_name": "gpt-4o-mini",
        "channel_name": "deployment-7",
        "group": "science",
        "quota": 6150,
        "prompt_tokens": 900,
        "completion_tokens": 40,
        "cached_tokens": 512,
        "use_time_ms": 1250,
        "first_token_ms": 500,
        "is_stream": True,
        "ip": "203.0.113.7",
        "request_id": "d436ac37-b546-4bf4-983f-00d1006a4c5e",
        "other": {
            "cost_breakdown": {"input_cost": 0.0003, "total_cost": 0.0123},
            "request_tags": ["nightly"],
            "api_base": "https://api.openai.com/v1",
        },
    }


def test_a_failure_becomes_an_error_event_with_its_message_and_without_its_traceback() -> None:
    event = event_of(make_failure())
    assert (event["type"], event["content"]) == (4, "litellm.RateLimitError: slow down")
    kind = {"error_code": "429", "error_class": "RateLimitError", "llm_provider": "openai"}
    assert event["other"]["error_information"] == kind


def test_messages_answers_and_the_price_table_are_left_behind() -> None:
    kept = json.dumps(event_of(make_payload()))
    assert "secret" not in kept
    assert "16384" not in kept


@pytest.mark.parametrize("name", [name for name in make_payload() if name != "endTime"])
@pytest.mark.parametrize("make", [make_payload, make_failure])
def test_any_field_but_the_end_may_be_null_or_missing(make: Any, name: str) -> None:
    without = {key: value for key, value in make().items() if key != name}
    event = event_of(without)
    assert event["created_at"] == 1795478537.5
    assert None not in event.values()
    assert event_of(without | {name: None}) == event


def test_an_end_is_enough() -> None:
    assert event_of({"endTime": 1795478537}) == {"created_at": 1795478537.0, "type": 2, "is_stream": False}


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"metadata": {"user_api_key_user_id": None}}, "username", "customer-9"),
        ({"metadata": {"user_api_key_user_id": ""}}, "username", "customer-9"),
        ({"metadata": {"user_api_key_user_id": 42}}, "username", "42"),
        ({"model_id": ""}, "channel_name", "openai"),
        ({"model": ""}, "model_name", "small"),
        ({"requester_ip_address": None}, "ip", "203.0.113.7"),
        ({"metadata": {"user_api_key_hash": HASH.upper()}}, "token_hash", HASH),
        ({"status": None, "error_str": "no route"}, "type", 4),
        ({"error_str": None, "error_information": {"error_message": "gone"}}, "content", "gone"),
        ({"metadata": {"user_api_key_alias": "a\0b\ud800c"}}, "token_name", "abc"),
        ({"metadata": {"user_api_key_team_alias": "中" * 129}}, "group", "中" * 128),
        ({"litellm_call_id": "x" * 300}, "request_id", "x" * 256),
        ({"response_cost": 1e-9}, "quota", 0),
        ({"response_cost": -0.5}, "quota", -250_000),
        ({"response_cost": 1e12}, "quota", 10**12),
        ({"prompt_tokens": 10**11}, "prompt_tokens", 10**10),
        ({"prompt_tokens": 12.0}, "prompt_tokens", 12),
        ({"endTime": "2026-11-23T23:48:57.5Z"}, "created_at", 1795477737.5),
        ({"endTime": "2026-11-24 07:48:57.5+08:00"}, "created_at", 1795477737.5),
        ({"endTime": 1795478000.0}, "use_time_ms", 0),
        ({"startTime": 0.5}, "use_time_ms", 10**10),
        ({"completionStartTime": 1795478530.0}, "first_token_ms", 0),
    ],
)
def test_a_field_is_read(changes: dict[str, Any], field: str, expected: Any) -> None:
    assert event_of(make_payload(**changes))[field] == expected


@pytest.mark.parametrize(
    "key", ["sk-1234567890abcdef", "litellm_proxy_master_key", HASH + "0", HASH[:-1] + "g"]
)
def test_what_is_no_hash_of_a_key_is_never_kept(key: str) -> None:
    event = event_of(make_payload(metadata={"user_api_key_hash": key}))
    assert "token_hash" not in event
    assert key not in json.dumps(event)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("198.51.100.4, 10.0.0.1", "198.51.100.4"),
        ("198.51.100.4:51234", "198.51.100.4"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", None),
        ("", None),
    ],
)
def test_an_address_is_the_first_one_without_its_port(given: str, expected: str | None) -> None:
    event = event_of(make_payload(requester_ip_address=given, metadata={"requester_ip_address": None}))
    assert event.get("ip") == expected


def test_a_call_that_was_not_streamed_has_no_first_token() -> None:
    event = event_of(make_payload(stream=None, model_parameters={}))
    assert event["is_stream"] is False
    assert "first_token_ms" not in event


@pytest.mark.parametrize(("first", "expected"), [(1795478536.75, 500), (1795478537.5, None)])
def test_a_stream_that_failed_has_a_first_token_only_if_there_was_one(
    first: float, expected: int | None
) -> None:
    event = event_of(make_failure(model_parameters={"stream": True}, completionStartTime=first))
    assert event["is_stream"] is True
    assert event.get("first_token_ms") == expected


@pytest.mark.parametrize("character", ["x", "中", "😀"])
def test_a_long_error_is_shortened_and_says_so(character: str) -> None:
    content = event_of(make_failure(error_str=character * 5_000_000))["content"]
    size = len(character.encode()) * 5_000_000
    assert content.startswith(character * 1000)
    assert content.endswith(f"... [shortened from {size} bytes]")
    assert records.MAX_TEXT - 4 < len(content.encode()) <= records.MAX_TEXT


def test_an_error_of_exactly_the_limit_is_kept_whole() -> None:
    assert event_of(make_failure(error_str="x" * records.MAX_TEXT))["content"] == "x" * records.MAX_TEXT


def test_what_makes_other_too_large_is_dropped_and_named() -> None:
    tags = ["t" * 1000] * 60
    event = event_of(make_payload(request_tags=tags, cost_breakdown={"x" * 40_000: 1, "y": 2}))
    assert event["other"]["dropped"] == ["request_tags"]
    assert event["other"]["cost_breakdown"]["y"] == 2
    assert len(json.dumps(event["other"]).encode()) <= records.MAX_TEXT


def test_other_holds_only_what_json_can_carry() -> None:
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"deeper": deep, "note": "n"}
    odd = {"total_cost": float("nan"), "huge": 10**400, "input_cost": 0.5, "no\0te": "a\ud800b", "deep": deep}
    event = event_of(make_payload(cost_breakdown=odd, request_tags=["ok", 7, None, {"a": 1}]))
    costs = event["other"]["cost_breakdown"]
    assert (costs["input_cost"], costs["note"]) == (0.5, "ab")
    assert event["other"]["request_tags"] == ["ok"]
    assert len(json.dumps(event["other"], allow_nan=False)) < 1000


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://user:password@example.com:8443/v1?key=abc#top", "https://example.com:8443/v1"),
        ("http://[broken/v1", None),
        ("", None),
    ],
)
def test_an_api_base_carries_no_credentials(given: str, expected: str | None) -> None:
    assert event_of(make_payload(api_base=given))["other"].get("api_base") == expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"endTime": None}, "endTime"),
        ({"endTime": "yesterday"}, "endTime"),
        ({"endTime": "2026-11-23T23:48:57"}, "endTime"),
        ({"endTime": True}, "endTime"),
        ({"endTime": float("nan")}, "endTime"),
        ({"endTime": 10**400}, "endTime"),
        ({"startTime": []}, "startTime"),
        ({"prompt_tokens": -1}, "prompt_tokens"),
        ({"completion_tokens": 1.5}, "completion_tokens"),
        ({"completion_tokens": "40"}, "completion_tokens"),
        ({"response_cost": float("nan")}, "response_cost"),
        ({"response_cost": float("inf")}, "response_cost"),
        ({"status": "pending"}, "status"),
        ({"status": ["success"]}, "status"),
        ({"model": {"name": "gpt"}}, "model"),
        ({"metadata": {"user_api_key_alias": True}}, "metadata.user_api_key_alias"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}: "):
        event_of(make_payload(**changes))


@pytest.mark.parametrize("payload", [None, [], "text", 7])
def test_what_is_no_object_is_refused(payload: Any) -> None:
    with pytest.raises(ValueError, match="must be an object"):
        event_of(payload)


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps the payloads that are posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.headers: list[str] = []
        self.payloads: list[dict[str, Any]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers.append(self.headers["Authorization"])
        self.server.payloads += json.loads(body)
        self.do_GET()

    def do_GET(self) -> None:
        body = b'{"success": true, "message": "", "data": {}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the output of a test run is for failures."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


def test_what_litellm_really_sends_can_be_mapped(receiver: Receiver) -> None:
    url = f"http://127.0.0.1:{receiver.server_port}"
    environment = os.environ | {"LOGSERVICE_URL": url, "LOGSERVICE_TOKEN": "the-access-token"}
    run = subprocess.run(
        [sys.executable, str(EXAMPLE), "--calls", "3"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    sent = json.loads(run.stdout)["sent"]
    events = [event_of(payload) for payload in receiver.payloads]

    assert set(receiver.headers) == {"Bearer the-access-token"}
    assert [event["type"] for event in events].count(2) == sent["successes"] + sent["streams"] == 6
    assert [event["type"] for event in events].count(4) == sent["failures"] == 3
    assert sum(event["prompt_tokens"] for event in events) == sent["prompt_tokens"] > 0
    assert sum(event["completion_tokens"] for event in events) == sent["completion_tokens"] > 0
    assert {event["username"] for event in events} == set(sent["users"])
    assert len({event["token_hash"] for event in events}) == len(sent["keys"])
    assert len({event["request_id"] for event in events}) == len(events)
    assert all(event["quota"] > 0 and "content" not in event for event in events if event["type"] == 2)
    assert all(
        event["content"] and event["other"]["error_information"] for event in events if event["type"] == 4
    )
    assert not any("Mars" in json.dumps(event) for event in events)
