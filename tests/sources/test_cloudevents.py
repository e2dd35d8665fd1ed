"""What a CloudEvent becomes: rules on events as LiteLLM's `openmeter` callback writes them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from logservice.sources import cloudevents
from logservice.store import records

DATA = {
    "model": "gpt-4o-mini",
    "cost": 0.0123,
    "prompt_tokens": 900,
    "completion_tokens": 40,
    "total_tokens": 940,
}


def make_event(**changes: Any) -> dict[str, Any]:
    """Return an event; `data` is merged, everything else replaced."""
    payload = {
        "specversion": "1.0",
        "type": "litellm_tokens",
        "id": "chatcmpl-1",
        "time": "2026-11-24T00:48:57.500000+00:00",
        "subject": "alice",
        "source": "litellm-proxy",
        "data": DATA | (changes.pop("data", None) or {}),
    }
    return payload | changes


def event_of(payload: Any) -> dict[str, Any]:
    """Return the event of a payload, once the store has said that it takes it."""
    event = cloudevents.event(payload, quota_per_unit=500_000)
    records.from_mapping(event, now=1_795_481_337.5)
    return event


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in make_event().items() if key != name}


def test_an_event_of_litellm_becomes_a_consume_event() -> None:
    assert event_of(make_event()) == {
        "created_at": 1_795_481_337.5,
        "type": 2,
        "username": "alice",
        "model_name": "gpt-4o-mini",
        "quota": 6150,
        "prompt_tokens": 900,
        "completion_tokens": 40,
        "request_id": "chatcmpl-1",
        "other": {"source": "litellm-proxy", "event_type": "litellm_tokens"},
    }


@pytest.mark.parametrize("name", ["time", "subject"])
def test_an_optional_attribute_may_be_null_or_missing(name: str) -> None:
    assert event_of(without(name)) == event_of(make_event(**{name: None}))


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
@pytest.mark.parametrize("value", [None, "", 7, ["1.0"], {"a": 1}])
def test_a_required_attribute_is_text_that_is_not_empty(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        event_of(make_event(**{name: value}))
    with pytest.raises(ValueError, match=rf"^{name}: missing"):
        event_of(without(name))


@pytest.mark.parametrize("version", ["0.3", "1", "1.1", "2.0", " 1.0"])
def test_another_version_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match=r"^specversion: must be 1\.0"):
        event_of(make_event(specversion=version))


@pytest.mark.parametrize(
    ("time", "second"),
    [
        ("2026-11-24T00:48:57Z", 1_795_481_337.0),
        ("2026-11-24t00:48:57z", 1_795_481_337.0),
        ("2026-11-24T08:48:57.25+08:00", 1_795_481_337.25),
        ("2026-11-24T00:48:57.123456789Z", 1_795_481_337.123456),
        # LiteLLM below Python 3.11 leaves out that it means UTC.
        ("2026-11-24T00:48:57.500000", 1_795_481_337.5),
    ],
)
def test_a_time_is_rfc_3339(time: str, second: float) -> None:
    assert event_of(make_event(time=time))["created_at"] == pytest.approx(second, abs=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        {"data": json.dumps(DATA)},
        {"data": json.dumps(DATA), "datacontenttype": "application/json"},
        {"data": None, "data_base64": base64.b64encode(json.dumps(DATA).encode()).decode()},
    ],
    ids=lambda given: " ".join(given),
)
def test_data_may_be_the_text_of_an_object_or_that_in_base64(given: dict[str, Any]) -> None:
    assert event_of({**make_event(), **given}) == event_of(make_event())


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"data": {"cost": 0}}, "quota", 0),
        ({"data": {"cost": 1e12}}, "quota", 10**12),
        ({"data": {"prompt_tokens": 10**11}}, "prompt_tokens", 10**10),
        ({"data": {"model": "m" * 200}}, "model_name", "m" * 128),
        ({"id": "x" * 300}, "request_id", "x" * 256),
        ({"subject": 42}, "username", "42"),
        ({"subject": "a\0b\ud800c"}, "username", "abc"),
    ],
)
def test_a_value_is_read(changes: dict[str, Any], field: str, expected: Any) -> None:
    assert event_of(make_event(**changes))[field] == expected


def test_what_litellm_has_no_price_or_no_tokens_for_is_a_call_all_the_same() -> None:
    event = event_of({**make_event(), "data": {"model": "whisper-1", "cost": None}})
    assert (event["model_name"], event["type"]) == ("whisper-1", 2)
    assert event.keys().isdisjoint({"quota", "prompt_tokens", "completion_tokens"})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"time": "yesterday"}, "time"),
        ({"time": 1795481337}, "time"),
        ({"time": ["2026-11-24T00:48:57Z"]}, "time"),
        ({"subject": {"name": "alice"}}, "subject"),
        ({"data": {"model": None}}, "data.model"),
        ({"data": {"model": ["gpt"]}}, "data.model"),
        ({"data": {"cost": "0.1"}}, "data.cost"),
        ({"data": {"cost": float("nan")}}, "data.cost"),
        ({"data": {"prompt_tokens": -1}}, "data.prompt_tokens"),
        ({"data": {"completion_tokens": 1.5}}, "data.completion_tokens"),
        ({"data": {"completion_tokens": "40"}}, "data.completion_tokens"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}: "):
        event_of(make_event(**changes))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"data": None}, "data: missing"),
        ({"data": [DATA]}, "data: must be an object"),
        ({"data": 7}, "data: must be an object"),
        ({"data": "no json"}, "data: not valid JSON"),
        ({"data": '"text"'}, "data: must be an object"),
        ({"data": "\ud800"}, "data: not valid JSON"),
        ({"data": None, "data_base64": "%%%"}, "data_base64: must be Base64"),
        ({"data": None, "data_base64": 7}, "data_base64: must be Base64"),
        ({"data": None, "data_base64": base64.b64encode(b"\xff").decode()}, "data_base64: not valid JSON"),
    ],
    ids=str,
)
def test_data_that_is_no_object_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        event_of({**make_event(), **data})


@pytest.mark.parametrize("payload", [None, [], "text", 7])
def test_what_is_no_object_is_refused(payload: Any) -> None:
    with pytest.raises(ValueError, match="must be an object"):
        event_of(payload)


# Binary mode


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("alice", "alice"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("euro%e2%82%ac", "euro€"),
        ("%61lice", "alice"),
        ("100%25", "100%"),
        ("%2525", "%25"),
        ("50% more", "50% more"),
        ('"alice smith"', "alice smith"),
        (r'"a \"b\" \\ c"', 'a "b" \\ c'),
        ('"alice%20smith"', "alice smith"),
        ("爱丽丝".encode().decode("latin-1"), "爱丽丝"),
    ],
)
def test_a_header_is_unquoted_and_percent_decoded_once(sent: str, meant: str) -> None:
    assert cloudevents.from_headers([("Ce-Subject", sent)], b"{}")["subject"] == meant


@pytest.mark.parametrize("sent", ["%C0%A0", "%ff", "%E2%82", "\xe9"])
def test_a_header_that_is_no_utf8_is_refused_by_name(sent: str) -> None:
    with pytest.raises(ValueError, match=r"^ce-subject: "):
        cloudevents.from_headers([("Ce-Subject", sent)], b"{}")


def test_headers_and_body_make_the_event_that_one_object_would() -> None:
    event = make_event()
    headers = [(f"ce-{name}", value) for name, value in event.items() if name != "data"]
    headers += [("Content-Type", "application/json"), ("Authorization", "Bearer secret")]
    assert cloudevents.from_headers(headers, json.dumps(DATA).encode()) == event


def test_no_header_stands_for_the_body() -> None:
    headers = [("ce-data", "{}"), ("ce-data_base64", "e30=")]
    assert cloudevents.from_headers(headers, b"") == {"data": None}


def test_headers_full_of_quotes_that_never_end_are_read_like_others() -> None:
    # Tried from each of them on, a hundred such headers would take minutes.
    value = '\\"' * 4000
    headers = [(f"ce-x{number}", value) for number in range(100)]
    assert cloudevents.from_headers(headers, b"")["x0"] == value


def test_base64_that_holds_more_values_than_memory_should_is_refused() -> None:
    data = base64.b64encode(b"[" + b"[]," * 2_000_000 + b"[]]").decode()
    with pytest.raises(ValueError, match="data_base64: holds more than"):
        cloudevents.event(
            {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": data},
            quota_per_unit=1,
        )
