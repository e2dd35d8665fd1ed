"""OTLP's binary encoding, read through the official opentelemetry-proto package (the extra `otlp`).

The package is looked for when it is needed: without it the service runs, and takes OTLP as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from typing import Any

from . import protobuf_wire
from .otlp import WANTED, Span, TooMany

_SERVICE = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
_ERROR = 2
#: A request of up to so many bytes takes 100 MB at most, whatever is in it: it need not be walked beforehand.
_HARMLESS = 2**20
#: With the 100 MB or so that their texts take, so many take 300. Spans that are meant have 18 bytes for each.
_MOST_MESSAGES = 2_000_000
_SCALARS = frozenset({"string_value", "bool_value", "int_value", "double_value"})
#: The tag of a Status' second field, `message`, which is text.
_MESSAGE = b"\x12"


def is_installed() -> bool:
    """Whether the package is there."""
    try:
        return find_spec(_SERVICE) is not None
    except ModuleNotFoundError:
        return False


def spans(content: bytes, *, most: int) -> Iterator[Span]:
    """Yield the spans of an encoded ExportTraceServiceRequest.

    Raises ValueError if it is none, and TooMany for more spans than `most`, or more of anything than memory
    should have to hold, before any of it is built.
    """
    request = import_module(_SERVICE).ExportTraceServiceRequest()
    if len(content) > _HARMLESS:
        _refuse_too_many(content, request.DESCRIPTOR, most)
    try:
        request.ParseFromString(content)
    except import_module("google.protobuf.message").DecodeError as error:
        raise ValueError(f"no ExportTraceServiceRequest ({error})") from None
    index = count()
    for resource_spans in request.resource_spans:
        service = _attributes(resource_spans.resource.attributes, {"service.name"}).get("service.name")
        for scope_spans in resource_spans.scope_spans:
            for raw in scope_spans.spans:
                yield _span(raw, next(index), service)


def _refuse_too_many(content: bytes, descriptor: Any, most: int) -> None:
    found = 0
    types = protobuf_wire.messages(content, protobuf_wire.kind(descriptor))
    for number, name in enumerate(types, start=1):
        found += name == "Span"
        if found > most:
            raise TooMany(f"more than {most} spans in one post")
        if number > _MOST_MESSAGES:
            raise TooMany(f"more than {_MOST_MESSAGES} messages in one post")


def response(rejected: int, message: str) -> bytes:
    """Return an ExportTraceServiceResponse."""
    answer = import_module(_SERVICE).ExportTraceServiceResponse()
    if rejected:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = message
    encoded: bytes = answer.SerializeToString()
    return encoded


def status(message: str) -> bytes:
    """Return a google.rpc.Status with a message alone, which needs no package."""
    text = message.encode("utf-8", "replace")
    return _MESSAGE + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _span(raw: Any, index: int, service: Any) -> Span:
    return Span(
        index=index,
        trace_id=raw.trace_id.hex(),
        span_id=raw.span_id.hex(),
        start=raw.start_time_unix_nano,
        end=raw.end_time_unix_nano,
        failed=raw.status.code == _ERROR,
        message=raw.status.message,
        exception=_exception(raw.events),
        service=service,
        attributes=_attributes(raw.attributes, WANTED),
    )


def _exception(events: Iterable[Any]) -> Any:
    """Return the message of the last exception that a span noted."""
    noted = [event for event in events if event.name == "exception"]
    return (
        _attributes(noted[-1].attributes, {"exception.message"}).get("exception.message") if noted else None
    )


def _attributes(pairs: Iterable[Any], wanted: set[str] | frozenset[str]) -> dict[str, Any]:
    """Return the wanted ones of some attributes, without lists, maps and what is empty."""
    read = {
        pair.key: getattr(pair.value, kind)
        for pair in pairs
        if pair.key in wanted and (kind := pair.value.WhichOneof("value")) in _SCALARS
    }
    return {key: value for key, value in read.items() if value != ""}
