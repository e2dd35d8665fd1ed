"""What becomes of spans: rules on calls of models, in both encodings of OTLP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from logservice.sources import otlp, otlp_json, otlp_protobuf, protobuf_wire
from logservice.sources.otlp import Span
from logservice.store import records

END = 1_795_481_337_500_000_000
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 900,
    "gen_ai.usage.output_tokens": 40,
    "gen_ai.usage.cache_read.input_tokens": 512,
    "gen_ai.request.stream": True,
    "gen_ai.response.time_to_first_chunk": 0.5,
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.input.messages": "a secret question",
    "user.id": "alice",
}
HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"


def value_of(value: Any) -> dict[str, Any]:
    """Return an attribute's value in OTLP's JSON."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(item) for item in value]}}
    return {"stringValue": value}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value_of(value)} for key, value in attributes.items()]


def make_span(attributes: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a span in OTLP's JSON: a call that went well, unless told otherwise."""
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat gpt-4o",
        "kind": 3,
        "startTimeUnixNano": str(END - 1_250_000_000),
        "endTimeUnixNano": str(END),
        "attributes": pairs(CALL if attributes is None else attributes),
        "status": {},
    }
    return {name: value for name, value in (span | changes).items() if value is not None}


def make_request(*spans: Any) -> dict[str, Any]:
    resource = {"attributes": pairs({"service.name": "gateway", "host.name": "h"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def encoded(request: dict[str, Any]) -> bytes:
    """Return a request in OTLP's binary encoding. Ids are hexadecimal here and Base64 in Protocol Buffers."""
    text = json.dumps(request)
    parsed = json_format.Parse(text, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    for resource_spans, raw_resource_spans in zip(
        parsed.resource_spans, request["resourceSpans"], strict=True
    ):
        spans = resource_spans.scope_spans[0].spans
        for span, raw in zip(spans, raw_resource_spans["scopeSpans"][0]["spans"], strict=True):
            span.trace_id, span.span_id = (bytes.fromhex(raw.get(name, "")) for name in ("traceId", "spanId"))
    return parsed.SerializeToString()


Decode = Callable[[dict[str, Any]], list[Span]]
BOTH: dict[str, Decode] = {
    "json": lambda request: list(otlp_json.spans(json.loads(json.dumps(request)))),
    "protobuf": lambda request: list(otlp_protobuf.spans(encoded(request), most=100)),
}


@pytest.fixture(params=BOTH)
def decode(request: pytest.FixtureRequest) -> Decode:
    """Read a request in either encoding."""
    return BOTH[request.param]


def event_of(span: Span) -> dict[str, Any]:
    """Return the event of a call, once the store has said that it takes it."""
    event = otlp.event(span, quota_per_unit=500_000)
    records.from_mapping(event, now=END / 10**9)
    return event


def only(decode: Decode, span: dict[str, Any]) -> Span:
    [found] = decode(make_request(span))
    return found


def test_a_call_becomes_a_consume_event(decode: Decode) -> None:
    span = only(decode, make_span())
    assert otlp.is_call(span)
    assert event_of(span) == {
        "created_at": 1_795_481_337.5,
        "type": 2,
        "username": "alice",
        "model_name": "gpt-4o",
        "channel_name": "openai",
        "prompt_tokens": 900,
        "completion_tokens": 40,
        "cached_tokens": 512,
        "use_time_ms": 1250,
        "first_token_ms": 500,
        "is_stream": True,
        "request_id": "chatcmpl-1",
        "other": {
            "operation": "chat",
            "response_model": "gpt-4o-2024-08-06",
            "trace_id": "5b8efff798038103d269b633813fc60c",
            "span_id": "eee19b7ec3c1b174",
            "service": "gateway",
        },
    }


def test_what_litellm_knows_is_read(decode: Decode) -> None:
    known = {
        "metadata.user_api_key_user_id": "bob",
        "metadata.user_api_key_alias": "laptop",
        "metadata.user_api_key_hash": HASH,
        "metadata.user_api_key_team_alias": "science",
        "metadata.requester_ip_address": "203.0.113.7",
        "litellm.call_id": "call-1",
        "gen_ai.cost.input_cost": 0.0003,
        "gen_ai.cost.total_cost": 0.0123,
        "llm.is_streaming": "True",
        "metadata.spend_logs_metadata": "",
    }
    event = event_of(only(decode, make_span(CALL | known)))
    assert (event["username"], event["token_name"], event["group"]) == ("bob", "laptop", "science")
    assert (event["token_hash"], event["ip"], event["request_id"]) == (HASH, "203.0.113.7", "call-1")
    assert (event["quota"], event["other"]["cost_breakdown"]) == (6150, {"input_cost": 0.0003})


@pytest.mark.parametrize(
    ("attributes", "field", "expected"),
    [
        ({"gen_ai.system": "anthropic", "gen_ai.provider.name": ""}, "channel_name", "anthropic"),
        ({"gen_ai.request.model": ""}, "model_name", "gpt-4o-2024-08-06"),
        ({"gen_ai.usage.input_tokens": "", "gen_ai.usage.prompt_tokens": 7}, "prompt_tokens", 7),
        ({"gen_ai.usage.output_tokens": "", "gen_ai.usage.completion_tokens": 8}, "completion_tokens", 8),
        ({"gen_ai.usage.input_tokens": 7.0}, "prompt_tokens", 7),
        ({"gen_ai.usage.input_tokens": 10**11}, "prompt_tokens", 10**10),
        ({"gen_ai.usage.input_tokens": 0}, "prompt_tokens", 0),
        ({"gen_ai.usage.prompt_tokens": 900}, "prompt_tokens", 900),
        ({"enduser.id": "carol"}, "username", "carol"),
        ({"user.id": 42}, "username", "42"),
        ({"litellm.api_key.hash": HASH.upper()}, "token_hash", HASH),
        ({"litellm.team.alias": "science"}, "group", "science"),
        ({"litellm.cost.total": 0.5}, "quota", 250_000),
        ({"gen_ai.request.stream": "", "llm.is_streaming": "False"}, "is_stream", False),
        ({"client.address": "2001:DB8::1"}, "ip", "2001:db8::1"),
    ],
)
def test_older_and_other_names_are_read(
    decode: Decode, attributes: dict[str, Any], field: str, expected: Any
) -> None:
    assert event_of(only(decode, make_span(CALL | attributes)))[field] == expected


def test_messages_and_what_is_no_hash_are_left_behind(decode: Decode) -> None:
    event = event_of(only(decode, make_span(CALL | {"metadata.user_api_key_hash": "sk-1234567890"})))
    assert "secret" not in json.dumps(event)
    assert "sk-1234567890" not in json.dumps(event)


# What is a call

USAGE = {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1}
FAILED = {"code": 2, "message": "no route"}
MODEL = {"gen_ai.request.model": "gpt-4o"}


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (make_span(MODEL | USAGE), True),
        (make_span({"gen_ai.response.model": "gpt-4o", "gen_ai.usage.prompt_tokens": 0}), True),
        (make_span({"gen_ai.system": "openai", "gen_ai.usage.completion_tokens": 1}), True),
        (make_span(MODEL, status=FAILED), True),
        (make_span(MODEL | {"error.type": "timeout"}), True),
        (make_span(MODEL | {"gen_ai.operation.name": "embeddings"} | USAGE), True),
        # LiteLLM's raw_gen_ai_request, and an ordinary call of a tool.
        (make_span({"llm.openai.stringified_raw_response": "{}"}), False),
        (make_span(MODEL), False),
        (make_span(MODEL, status={"code": 1}), False),
        # Whatever is around a call that failed: the web request, the proxy's own error span.
        (make_span({"http.request.method": "POST", "error.type": "500"}, status=FAILED), False),
        (make_span({"exception": "no route"}, status=FAILED, name="Failed Proxy Server Request"), False),
        (make_span({"metadata.user_api_key_team_alias": "science"}, status=FAILED), False),
        # Sums over calls.
        (make_span(MODEL | USAGE | {"gen_ai.operation.name": "invoke_agent"}), False),
        (make_span(MODEL | USAGE | {"gen_ai.operation.name": "invoke_workflow"}), False),
        (make_span(MODEL | {"gen_ai.operation.name": "execute_tool"}, status=FAILED), False),
        (make_span(USAGE), False),
        (make_span({}), False),
    ],
)
def test_a_call_names_a_model_and_tells_tokens_or_an_error(
    decode: Decode, span: dict[str, Any], expected: bool
) -> None:
    assert otlp.is_call(only(decode, span)) is expected


# Failures


def test_a_failure_becomes_an_error_event(decode: Decode) -> None:
    attributes = MODEL | {"error.type": "RateLimitError", "http.response.status_code": 429}
    event = event_of(only(decode, make_span(attributes, status=FAILED)))
    assert (event["type"], event["content"]) == (4, "no route")
    assert event["other"]["error_information"] == {"error_class": "RateLimitError", "error_code": "429"}


@pytest.mark.parametrize(
    ("attributes", "message", "exception", "content"),
    [
        ({"error.message": "said", "error.type": "T"}, "status", "thrown", "said"),
        ({"error.type": "T"}, "status", "thrown", "status"),
        ({"error.type": "T"}, "", "thrown", "thrown"),
        ({"error.type": "T"}, "", "", "T"),
    ],
)
def test_the_place_that_says_most_says_what_went_wrong(
    decode: Decode, attributes: dict[str, Any], message: str, exception: str, content: str
) -> None:
    events = [
        {"name": "retried", "attributes": pairs({"exception.message": "no"})},
        {"name": "exception", "attributes": pairs({"exception.message": "first"})},
        {"name": "exception", "attributes": pairs({"exception.message": exception})},
    ]
    span = make_span(MODEL | attributes, status={"code": 2, "message": message}, events=events)
    assert event_of(only(decode, span))["content"] == content


def test_an_error_without_a_word_is_an_error(decode: Decode) -> None:
    event = event_of(only(decode, make_span(MODEL, status={"code": 2})))
    assert event["type"] == 4
    assert "content" not in event


def test_a_long_error_is_shortened_and_says_so(decode: Decode) -> None:
    span = make_span(MODEL, status={"code": 2, "message": "中" * 100_000})
    content = event_of(only(decode, span))["content"]
    assert content.endswith("... [shortened from 300000 bytes]")
    assert len(content.encode()) <= records.MAX_TEXT


# What is refused


@pytest.mark.parametrize(
    ("span", "named"),
    [
        (make_span(endTimeUnixNano=None), "endTimeUnixNano"),
        (make_span(endTimeUnixNano="0"), "endTimeUnixNano"),
        (make_span(CALL | {"gen_ai.usage.input_tokens": -1}), "gen_ai.usage.input_tokens"),
        (make_span(CALL | {"gen_ai.usage.input_tokens": "many"}), "gen_ai.usage.input_tokens"),
        (make_span(CALL | {"gen_ai.usage.input_tokens": True}), "gen_ai.usage.input_tokens"),
        (make_span(CALL | {"gen_ai.usage.output_tokens": 1.5}), "gen_ai.usage.output_tokens"),
        (make_span(CALL | {"gen_ai.cost.total_cost": "much"}), "gen_ai.cost.total_cost"),
        (make_span(CALL | {"user.id": 1.5}), "user.id"),
        (make_span(CALL | {"gen_ai.response.time_to_first_chunk": "soon"}), "gen_ai.response"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_name(decode: Decode, span: dict[str, Any], named: str) -> None:
    found = only(decode, span)
    assert otlp.is_call(found)
    with pytest.raises(ValueError, match=rf"^{named}"):
        event_of(found)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", float("nan"), 1e301, "x", {}])
def test_a_double_that_is_no_finite_number_is_refused(number: Any) -> None:
    cost = {"key": "gen_ai.cost.total_cost", "value": {"doubleValue": number}}
    span = next(otlp_json.spans(make_request(make_span() | {"attributes": [*pairs(CALL), cost]})))
    with pytest.raises(ValueError, match=r"^gen_ai\.cost\.total_cost"):
        event_of(span)


@pytest.mark.parametrize(
    "time", ["-1", "1.5", "x", "9" * 20, "9" * 5000, 1.5, True, [], -1, 2**64, "١٢٣", "", " 1"]
)
@pytest.mark.parametrize("name", ["startTimeUnixNano", "endTimeUnixNano"])
def test_a_time_that_is_no_number_of_nanoseconds_is_refused(name: str, time: Any) -> None:
    [span] = otlp_json.spans(make_request(make_span(**{name: time})))
    with pytest.raises(ValueError, match=f"^{name}: "):
        event_of(span)


@pytest.mark.parametrize("time", [END, str(END)])
def test_a_time_comes_as_a_number_or_as_its_digits(time: Any) -> None:
    [span] = otlp_json.spans(make_request(make_span(endTimeUnixNano=time)))
    assert event_of(span)["created_at"] == END / 10**9


@pytest.mark.parametrize(
    "span",
    [
        None,
        7,
        "span",
        [],
        make_span(attributes=None) | {"attributes": {}},
        make_span() | {"attributes": [7]},
        make_span() | {"attributes": [{"key": "user.id", "value": 7}]},
        make_span() | {"attributes": [{"key": "user.id", "value": {"stringValue": {"a": 1}}}]},
        make_span() | {"attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": ["x"]}}]},
        make_span() | {"status": "bad"},
        make_span() | {"events": 7},
        make_span() | {"events": [{"name": "exception", "attributes": 7}]},
    ],
    ids=str,
)
def test_a_span_that_is_malformed_is_refused_and_costs_the_others_nothing(span: Any) -> None:
    before, bad, after = otlp_json.spans(make_request(make_span(), span, make_span()))
    assert event_of(before) == event_of(after)
    assert otlp.is_call(bad)
    assert otlp.name(bad).startswith("span 1")
    with pytest.raises(ValueError, match="must"):
        event_of(bad)


@pytest.mark.parametrize(
    "odd",
    [
        {"attributes": [{"key": 7, "value": {}}, {"value": {"stringValue": "x"}}, {"key": "user.id"}]},
        {"attributes": [{"key": "user.id", "value": {"arrayValue": {"values": []}}}]},
        {"traceId": None, "spanId": None, "unknown": {"a": [1]}},
        {"status": None, "events": None, "startTimeUnixNano": None},
        {"status": {"code": [], "message": None}},
    ],
    ids=str,
)
def test_what_says_nothing_is_no_mistake(odd: dict[str, Any]) -> None:
    span = make_span() | odd
    span["attributes"] = pairs(CALL | {"user.id": ""}) + odd.get("attributes", [])
    assert event_of(next(otlp_json.spans(make_request(span))))["prompt_tokens"] == 900


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        7,
        {"resourceSpans": {}},
        {"resourceSpans": [7]},
        {"resourceSpans": [{"scopeSpans": 7}]},
        {"resourceSpans": [{"scopeSpans": [None]}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]},
        {"resourceSpans": [{"resource": 7}]},
        {"resourceSpans": [{"resource": {"attributes": 7}}]},
    ],
    ids=str,
)
def test_a_document_without_a_place_for_spans_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        list(otlp_json.spans(document))


@pytest.mark.parametrize("document", [{}, {"resourceSpans": None}, {"resourceSpans": [{"scopeSpans": []}]}])
def test_a_document_may_be_empty(document: Any) -> None:
    assert list(otlp_json.spans(document)) == []
    assert list(otlp_protobuf.spans(b"", most=100)) == []


@pytest.mark.parametrize(
    "content", [b"\xff", b"\x0a\xff", b'{"resourceSpans": []}', encoded(make_request(make_span()))[:-1]]
)
def test_bytes_that_are_no_request_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no ExportTraceServiceRequest"):
        list(otlp_protobuf.spans(content, most=100))


def test_spans_are_numbered_across_resources_and_scopes(decode: Decode) -> None:
    request = make_request(make_span(), make_span())
    request["resourceSpans"] *= 3
    assert [span.index for span in decode(request)] == list(range(6))


# Answers


def test_a_full_success_says_nothing() -> None:
    assert otlp_protobuf.response(0, "") == b""
    assert otlp_json.response(0, "") == b"{}"


def test_a_partial_success_says_how_many_and_why() -> None:
    answer = ExportTraceServiceResponse.FromString(otlp_protobuf.response(3, "为什么"))
    assert (answer.partial_success.rejected_spans, answer.partial_success.error_message) == (3, "为什么")
    assert json_format.Parse(otlp_json.response(3, "为什么"), ExportTraceServiceResponse()) == answer


@pytest.mark.parametrize(
    "message", ["", "short", "为什么", "x" * 127, "x" * 128, "x" * 20_000, "half \ud800"]
)
def test_a_status_is_one_of_google_rpc(message: str) -> None:
    readable = message.replace("\ud800", "?")
    assert Status.FromString(otlp_protobuf.status(message)) == Status(message=readable)
    if readable == message:
        assert json_format.Parse(otlp_json.status(message), Status()) == Status(message=message)


def field(number: int, content: bytes) -> bytes:
    """Return a field that holds a message, as it is encoded."""
    return otlp_protobuf._varint(number << 3 | 2) + otlp_protobuf._varint(len(content)) + content


#: Messages of two bytes, as many as make a few megabytes; each takes up to 180 bytes once it is built.
MANY = {
    "resources": field(1, b"") * 2_000_001,
    "scopes": field(1, field(2, b"") * 2_000_001),
    "spans": field(1, field(2, field(2, b"") * 600_000)),
    "attributes": field(1, field(2, field(2, field(9, b"") * 2_000_001))),
    "values": field(1, field(2, field(2, field(9, field(2, field(5, field(1, b"") * 2_000_001)))))),
    "spans, and rubbish behind": field(1, field(2, field(2, b"") * 600_000)) + b"\xff" * 100,
}


@pytest.mark.parametrize("content", MANY.values(), ids=MANY)
def test_more_than_memory_should_hold_is_refused_before_it_is_built(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExportTraceServiceRequest, "ParseFromString", pytest.fail, raising=False)
    with pytest.raises(otlp.TooMany, match=r"^more than [0-9]+ (spans|messages) in one post$"):
        list(otlp_protobuf.spans(content, most=100_000))


def test_all_messages_of_a_request_are_counted() -> None:
    request = encoded(make_request(make_span()))
    outermost = protobuf_wire.kind(ExportTraceServiceRequest.DESCRIPTOR)
    counted = Counter(protobuf_wire.messages(request, outermost))
    built = Counter(_types_in(ExportTraceServiceRequest.FromString(request)))
    assert counted == built
    assert counted["Span"] == 1


def _types_in(message: Any) -> Iterator[str]:
    """Yield the type of each message inside one that was built."""
    for description, value in message.ListFields():
        if description.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield inner.DESCRIPTOR.name
                yield from _types_in(inner)
