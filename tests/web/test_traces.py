"""`POST /v1/traces`: OTLP's answers, in the encoding of the request, whatever is sent."""

from __future__ import annotations

import gzip
import itertools
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from werkzeug.test import TestResponse

from logservice.errors import Unavailable
from logservice.sources import otlp_protobuf
from logservice.store.store import LogStore
from logservice.web import traces
from tests.answers import assert_ok
from tests.rows import ALICE, GATEWAY, NOW, ROOT, Headers, only_row

PATH = "/v1/traces"
KINDS = ("application/json", "application/x-protobuf")


def make_span(number: int = 1, *, tokens: int = 10, name: str = "gpt-4o") -> dict[str, Any]:
    attributes = {"gen_ai.request.model": {"stringValue": name}, "user.id": {"stringValue": "alice"}}
    attributes["gen_ai.usage.input_tokens"] = {"intValue": str(tokens)}
    return {
        "spanId": f"{number:016x}",
        "startTimeUnixNano": str((NOW - 2) * 10**9),
        "endTimeUnixNano": str(NOW * 10**9),
        "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
    }


def raw_span() -> dict[str, Any]:
    """Return what LiteLLM puts below each of its calls."""
    return {"name": "raw_gen_ai_request", "endTimeUnixNano": str(NOW * 10**9), "status": {"code": 1}}


def body_of(kind: str, *spans: dict[str, Any]) -> bytes:
    request = {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}
    if kind == "application/json":
        return json.dumps(request).encode()
    # Base64 reads these hexadecimal ids as other bytes, which is no matter here.
    return json_format.ParseDict(request, ExportTraceServiceRequest()).SerializeToString()


def send(
    client: FlaskClient, kind: str, body: bytes, *, headers: Headers = GATEWAY, **more: str
) -> TestResponse:
    """Post a body; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return client.post(PATH, data=body, content_type=kind, headers={**headers, **named})


def read(answer: TestResponse, message: Any) -> Any:
    """Return the message of an answer, in whichever encoding it is."""
    if answer.content_type == "application/x-protobuf":
        return message.FromString(answer.data)
    assert answer.content_type == "application/json"
    return json_format.Parse(answer.data, message())


def assert_accepted(answer: TestResponse, kind: str) -> Any:
    """Check that an answer is a success in the encoding of the request, and return its `partial_success`."""
    assert (answer.status_code, answer.content_type) == (200, kind), answer.text
    return read(answer, ExportTraceServiceResponse).partial_success


def assert_refused(answer: TestResponse, status: int, kind: str, fragment: str) -> None:
    """Check that an answer is a Status in an encoding."""
    assert (answer.status_code, answer.content_type) == (status, kind), answer.text
    assert fragment in read(answer, Status).message
    assert read(answer, Status).message


both = pytest.mark.parametrize("kind", KINDS)


@both
def test_a_span_is_a_row(client: FlaskClient, kind: str) -> None:
    answer = send(client, kind, body_of(kind, make_span(), raw_span()))
    assert_accepted(answer, kind)
    assert answer.data == (b"{}" if kind == "application/json" else b"")
    row = only_row(client)
    assert (row["username"], row["model_name"], row["prompt_tokens"]) == ("alice", "gpt-4o", 10)
    assert (row["created_at"], row["use_time_ms"]) == (NOW, 2000)


@both
@pytest.mark.parametrize("path", [PATH, f"{PATH}/"])
def test_gzip_is_unpacked_with_and_without_a_slash(client: FlaskClient, kind: str, path: str) -> None:
    body = gzip.compress(body_of(kind, make_span()))
    headers = {**GATEWAY, "Content-Encoding": "gzip"}
    assert_accepted(client.post(path, data=body, content_type=kind, headers=headers), kind)
    assert only_row(client)["username"] == "alice"


@both
def test_nothing_but_other_spans_is_a_success_and_no_row(
    client: FlaskClient, store: LogStore, kind: str
) -> None:
    for body in (body_of(kind), body_of(kind, raw_span())):
        assert not assert_accepted(send(client, kind, body), kind).rejected_spans
    assert store.count_raw() == 0


@both
def test_one_bad_span_alone_is_refused_by_its_index(client: FlaskClient, store: LogStore, kind: str) -> None:
    spans = (raw_span(), make_span(1), make_span(2, tokens=-1), make_span(3))
    partial = assert_accepted(send(client, kind, body_of(kind, *spans)), kind)
    assert partial.rejected_spans == 1
    assert partial.error_message.startswith("span 2 (")
    assert "gen_ai.usage.input_tokens" in partial.error_message
    assert store.count_raw() == 2


@both
def test_many_refusals_are_told_in_few_words(client: FlaskClient, store: LogStore, kind: str) -> None:
    body = body_of(kind, *(make_span(number, tokens=-1) for number in range(1000)))
    partial = assert_accepted(send(client, kind, body), kind)
    assert partial.rejected_spans == 1000
    assert partial.error_message.endswith("; and 980 more")
    assert len(partial.error_message) < 5000
    assert store.count_raw() == 0


@both
def test_what_an_exporter_sends_again_is_stored_once(client: FlaskClient, store: LogStore, kind: str) -> None:
    body = body_of(kind, make_span(1), make_span(2, tokens=-1))
    answers = [send(client, kind, body) for _ in range(3)]
    answers.append(send(client, kind, gzip.compress(body), Content_Encoding="gzip"))
    assert {answer.data for answer in answers} == {answers[0].data}
    assert assert_accepted(answers[-1], kind).rejected_spans == 1
    assert store.count_raw() == 1


@both
def test_an_idempotency_key_counts(client: FlaskClient, store: LogStore, kind: str) -> None:
    body = body_of(kind, make_span())
    for key in ("a", "a", "b"):
        assert_accepted(send(client, kind, body, Idempotency_Key=key), kind)
    assert store.count_raw() == 2
    other = send(client, kind, body_of(kind, make_span(2)), Idempotency_Key="a")
    assert_refused(other, 409, kind, "Idempotency-Key")


# Failures


@both
@pytest.mark.parametrize(("headers", "status"), [({}, 401), (ALICE, 403)])
def test_only_writers_and_administrators_may_post(
    client: FlaskClient, store: LogStore, kind: str, headers: Headers, status: int
) -> None:
    answer = send(client, kind, body_of(kind, make_span()), headers=headers)
    assert_refused(answer, status, kind, "")
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)
    assert store.count_raw() == 0
    assert_accepted(send(client, kind, body_of(kind, make_span()), headers=ROOT), kind)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-ndjson", "application/cloudevents+json", ""])
def test_another_content_type_is_415(client: FlaskClient, kind: str) -> None:
    answer = send(client, kind, b"{}")
    said = f"Content-Type: {kind} is neither" if kind else "Content-Type: missing"
    assert_refused(answer, 415, "application/json", said)
    assert_refused(answer, 415, "application/json", "; send the header `Content-Type: application/json`")


@both
def test_another_encoding_is_415(client: FlaskClient, kind: str) -> None:
    assert_refused(send(client, kind, b"x", Content_Encoding="zstd"), 415, kind, "Content-Encoding")


@both
def test_a_body_beyond_the_limit_is_413_packed_or_not(client_with: Any, store: LogStore, kind: str) -> None:
    client = client_with(MAX_BODY="1KB")
    body = body_of(kind, make_span(name="m" * 2000))
    assert_refused(send(client, kind, body), 413, kind, "body")
    packed = send(client, kind, gzip.compress(body), Content_Encoding="gzip")
    assert_refused(packed, 413, kind, "body")
    assert store.count_raw() == 0


@both
def test_more_spans_than_one_post_may_have_are_413(
    client: FlaskClient, store: LogStore, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces.bodies, "MOST_EVENTS", 2)
    spans = [make_span(), raw_span(), make_span()]
    assert_refused(send(client, kind, body_of(kind, *spans)), 413, kind, "more than 2 spans")
    assert_accepted(send(client, kind, body_of(kind, *spans[:2])), kind)
    assert store.count_raw() == 1


def nested(depth: int) -> bytes:
    """Return a request whose attribute holds lists within lists. No library would write it, so we do."""

    def field(tag: int, content: bytes) -> bytes:
        return bytes([tag]) + otlp_protobuf._varint(len(content)) + content

    value = field(0x0A, b"deep")
    for _ in range(depth):
        value = field(0x2A, field(0x0A, value))
    attribute = field(0x4A, field(0x0A, b"user.id") + field(0x12, value))
    return field(0x0A, field(0x12, field(0x12, attribute)))


BAD = {
    "application/json": {
        "nothing": b"",
        "a word": b"hello",
        "an array": b"[]",
        "null": b"null",
        "half": body_of("application/json", make_span())[:-2],
        "not UTF-8": b'{"resourceSpans": "\xff"}',
        "nested": b'{"resourceSpans":' * 100_000,
        "nested whole": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "protobuf": body_of("application/x-protobuf", make_span()),
        "wrong shape": b'{"resourceSpans": [{"scopeSpans": {"spans": []}}]}',
        "huge number": b'{"resourceSpans": ' + b"9" * 5000 + b"}",
    },
    "application/x-protobuf": {
        "a word": b"hello",
        "half": body_of("application/x-protobuf", make_span())[:-2],
        "json": body_of("application/json", make_span()),
        "groups within groups": b"\x0b" * 100_000,
        "nested": nested(1000),
        "no UTF-8": body_of("application/x-protobuf", make_span()).replace(b"alice", b"al\xffce"),
    },
}


@pytest.mark.parametrize(
    ("kind", "body"),
    [(kind, body) for kind, bodies in BAD.items() for body in bodies.values()],
    ids=[f"{kind.rpartition('-')[2]} {name}" for kind, bodies in BAD.items() for name in bodies],
)
def test_what_cannot_be_decoded_is_400(client: FlaskClient, store: LogStore, kind: str, body: bytes) -> None:
    assert_refused(send(client, kind, body), 400, kind, "body")
    assert store.count_raw() == 0


@both
@pytest.mark.parametrize(
    "packed", [b"", b"no gzip", gzip.compress(b"{}")[:-3]], ids=["nothing", "no gzip", "cut"]
)
def test_gzip_that_cannot_be_unpacked_is_400(client: FlaskClient, kind: str, packed: bytes) -> None:
    if kind == "application/x-protobuf" and not packed:
        return  # nothing at all is an empty request
    assert_refused(send(client, kind, packed, Content_Encoding="gzip"), 400, kind, "body")


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "1e400", "9" * 400, '"\\ud800"', "{}", "[[[[]]]]", "null", "true", '"\\u0000"'],
)
def test_no_value_costs_more_than_its_own_span(client: FlaskClient, store: LogStore, value: str) -> None:
    keys = ("user.id", "gen_ai.usage.output_tokens", "gen_ai.operation.name")
    names = ("stringValue", "intValue", "doubleValue", "arrayValue", "kvlistValue")
    for number, (key, name) in enumerate(itertools.product(keys, names)):
        before = store.count_raw()
        good, odd = (json.dumps(make_span(2 * number + place)) for place in (1, 2))
        odd = odd[:-2] + f', {{"key": "{key}", "value": {{"{name}": {value}}}}}]}}'
        body = f'{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{good}, {odd}]}}]}}]}}'
        partial = assert_accepted(send(client, "application/json", body.encode()), "application/json")
        assert store.count_raw() - before == 2 - partial.rejected_spans, (key, name)


@both
def test_an_unknown_method_is_told_in_the_words_of_otlp(client: FlaskClient, kind: str) -> None:
    answer = client.get(PATH, content_type=kind, headers=GATEWAY)
    assert_refused(answer, 405, kind, "method")
    assert "POST" in answer.headers["Allow"]


@both
def test_a_database_that_is_lost_is_503_with_a_time_to_come_back(
    client: FlaskClient, store: LogStore, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> str:
        raise Unavailable("the database is locked", retry_after=3)

    monkeypatch.setattr(store, "_write", lost)
    answer = send(client, kind, body_of(kind, make_span()))
    assert_refused(answer, 503, kind, "locked")
    assert answer.headers["Retry-After"] == "3"


@both
def test_a_mistake_of_ours_tells_nothing_about_itself(
    client: FlaskClient, store: LogStore, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.clock = lambda: 1 / 0
    assert_refused(send(client, kind, body_of(kind, make_span())), 500, kind, "internal")
    assert "ZeroDivisionError" in caplog.text


@both
def test_old_clients_settings_do_not_change_otlp(client_with: Any, kind: str) -> None:
    client = client_with(LEGACY_STATUS="1")
    assert_refused(send(client, kind, b"hello"), 400, kind, "body")


def test_without_the_package_protobuf_is_415_and_json_works(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_protobuf, "_SERVICE", "not_installed.trace_service_pb2")
    answer = send(client, "application/x-protobuf", body_of("application/x-protobuf", make_span()))
    assert_refused(answer, 415, "application/x-protobuf", "pip install 'opentelemetry-proto")
    assert_accepted(send(client, "application/json", body_of("application/json", make_span())), KINDS[0])
    assert assert_ok(client.get("/api/log/", headers=ROOT))["total"] == 1
