"""What is fuzzed: each parser of what strangers send, run as the service runs it, on bytes alone.

A target takes any bytes and returns how many records came of them. Refusing is right, in the words of the
parser itself; whatever else is raised is a defect, and so is a record that a database could not take.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from logservice.errors import InvalidValue
from logservice.imports import formats
from logservice.imports.harvest import gathered
from logservice.imports.lines import HashedLines
from logservice.sources import (
    cliproxyapi,
    cloudevents,
    litellm,
    otlp,
    otlp_json,
    otlp_protobuf,
    protobuf_wire,
)
from logservice.sources.otlp import Span
from logservice.store import ids, records
from logservice.store.records import MAX_TEXT, Record
from logservice.store.sorting import Read, sorted_out
from logservice.web import bodies
from logservice.web.ingest import own_event
from logservice.web.responses import ApiError
from tests.rows import NOW

Target = Callable[[bytes], int]
#: What a database takes for a number.
_INT64 = range(-(2**63), 2**63)
_SMALL = 2**20
REQUEST = protobuf_wire.kind(ExportTraceServiceRequest.DESCRIPTOR)


def own_events(data: bytes) -> int:
    """Our own events, as JSON or, if the first byte is odd, one on each line."""
    return _body(data[1:], own_event, in_lines=bool(data[:1]) and data[0] % 2 == 1)


def litellm_payloads(data: bytes) -> int:
    """What LiteLLM's `generic_api` posts."""
    return _body(data, _reader(litellm.event))


def cliproxyapi_records(data: bytes) -> int:
    """What CLIProxyAPI's usage queue hands out."""
    return _body(data, _reader(cliproxyapi.event))


def cloudevents_json(data: bytes) -> int:
    """CloudEvents in JSON, one or many."""
    return _body(data, _reader(cloudevents.event))


def cloudevents_headers(data: bytes) -> int:
    """A CloudEvent in binary mode: a header on each line up to an empty one, then the data."""
    head, _, content = data.partition(b"\n\n")
    headers = [
        (name, value)
        for line in head.decode("latin-1").split("\n")
        for name, _, value in [line.partition(":")]
    ]

    def read(event: Any, now: float) -> Record:
        try:
            return _mapped(cloudevents.event, cloudevents.from_headers(headers, event), now)
        except ValueError as error:
            raise InvalidValue(str(error)) from None

    return _checked(*sorted_out([content], read, NOW), entries=1)


def otlp_as_json(data: bytes) -> int:
    """OTLP's JSON."""
    try:
        bodies.refuse_too_much(data)
    except ApiError:
        return 0
    return _spans(lambda: otlp_json.spans(bodies.decoded(data)))


def otlp_as_protobuf(data: bytes) -> int:
    """OTLP's Protocol Buffers, the spans counted beforehand as well: no fewer than there are."""
    counted = sum(name == "Span" for name in protobuf_wire.messages(data, REQUEST))
    with contextlib.suppress(ValueError):
        assert sum(1 for _ in otlp_protobuf.spans(data, most=bodies.MOST_EVENTS)) <= counted
    return _spans(lambda: otlp_protobuf.spans(data, most=bodies.MOST_EVENTS))


def files(data: bytes) -> int:
    """A file to import: NDJSON or CSV, of ours or of a gateway, known by its first line."""
    lines = HashedLines(io.BytesIO(data))
    formats.may_hold_events(data)
    try:
        entries = formats.recognise(lines.first()).entries(lines)
        readable = ((entry.line, partial(entry.read, NOW)) for entry in entries if entry.read is not None)
        harvest = gathered(readable)
    except InvalidValue:
        return 0
    assert lines.offset == len(data)
    assert lines.mark().offset == len(data)
    return _checked(harvest.records, harvest.refused, entries=len(harvest.records) + len(harvest.refused))


def gzip_bodies(data: bytes) -> int:
    """A body packed with gzip; what comes out agrees with what Python makes of it."""
    try:
        found = bodies.gunzip(data, _SMALL)
    except (ApiError, zlib.error):
        return 0
    assert len(found) <= _SMALL
    return 1


def _body(data: bytes, read: Read, *, in_lines: bool = False) -> int:
    try:
        events = bodies.events(bodies.Body(data, in_lines), lines_unlabelled=True)
    except ApiError:
        return 0
    return _checked(*sorted_out(events, read, NOW), entries=len(events))


def _reader(source: Callable[..., dict[str, Any]]) -> Read:
    """Return what `intake.reader` returns in the service, at the default price of a unit."""

    def read(event: Any, now: float) -> Record:
        try:
            payload = bodies.decoded(event)
        except ValueError as error:
            raise InvalidValue(f"not valid JSON ({error})") from None
        return _mapped(source, payload, now)

    return read


def _mapped(source: Callable[..., dict[str, Any]], payload: Any, now: float) -> Record:
    try:
        fields = source(payload, quota_per_unit=500_000.0)
    except ValueError as error:
        raise InvalidValue(str(error)) from None
    return records.from_mapping(fields, now=now)


def _spans(read: Callable[[], Iterator[Span]]) -> int:
    try:
        calls = [span for span in read() if otlp.is_call(span)]
    except (ValueError, RecursionError):
        return 0
    assert all(otlp.name(span).encode() for span in calls)
    return _checked(*sorted_out(calls, partial(_mapped, otlp.event), NOW), entries=len(calls))


def _checked(found: list[Record], refused: Any, *, entries: int) -> int:
    """Check that each entry became a record that any database takes, or was refused in words by its place."""
    assert len(found) + len(refused) == entries
    messages = refused.values() if isinstance(refused, Mapping) else (one.message for one in refused)
    for message in messages:
        assert message.strip()
        message.encode()
    for record in found:
        _check(record)
    return len(found)


def _check(record: Record) -> None:
    assert ids.MIN_SECOND <= record.second <= ids.MAX_SECOND
    for name, value in record.row.items():
        if isinstance(value, str):
            assert "\0" not in value, name
            assert len(value.encode()) <= MAX_TEXT, name
        else:
            assert isinstance(value, int), name
            assert value in _INT64, name
    assert record.key_hash is None or len(record.key_hash) == 64


TARGETS: dict[str, Target] = {
    "own_events": own_events,
    "litellm": litellm_payloads,
    "cliproxyapi": cliproxyapi_records,
    "cloudevents": cloudevents_json,
    "cloudevents_headers": cloudevents_headers,
    "otlp_json": otlp_as_json,
    "otlp_protobuf": otlp_as_protobuf,
    "files": files,
    "gzip": gzip_bodies,
}
