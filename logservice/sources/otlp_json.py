"""OTLP's JSON encoding, read span by span, so that one that is malformed does not cost the others.

It differs from that of Protocol Buffers: ids are hexadecimal and enums numbers; 64-bit integers come as text
or as numbers. It needs no package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import orjson

from .otlp import WANTED, Span

ERROR = (2, "2", "STATUS_CODE_ERROR")
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def spans(document: Any) -> Iterator[Span]:
    """Yield the spans of a decoded ExportTraceServiceRequest.

    Raises ValueError, naming the place, where no spans can be found. A span that cannot be read says so.
    """
    if not isinstance(document, Mapping):
        raise ValueError("an ExportTraceServiceRequest must be an object")
    index = count()
    for resource_spans in _objects("resourceSpans", document):
        service = _service(resource_spans.get("resource"))
        for scope_spans in _objects("scopeSpans", resource_spans):
            for raw in _list("spans", scope_spans):
                yield _span(raw, next(index), service)


def response(rejected: int, message: str) -> bytes:
    """Return an ExportTraceServiceResponse."""
    if not rejected:
        return b"{}"
    return orjson.dumps({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}})


def status(message: str) -> bytes:
    """Return a google.rpc.Status."""
    return orjson.dumps({"message": message})


def _objects(name: str, parent: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for child in _list(name, parent):
        if not isinstance(child, Mapping):
            raise ValueError(f"{name}: must hold objects")
        yield child


def _list(name: str, parent: Mapping[str, Any]) -> list[Any]:
    listed = parent.get(name)
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise ValueError(f"{name}: must be a list")
    return listed


def _service(resource: Any) -> Any:
    try:
        return _attributes(resource, {"service.name"}).get("service.name")
    except ValueError as error:
        raise ValueError(f"resource.{error}") from None


def _span(raw: Any, index: int, service: Any) -> Span:
    if not isinstance(raw, Mapping):
        return Span(index=index, attributes={}, problem="must be an object")
    try:
        return _readable(raw, index, service)
    except ValueError as error:
        return Span(index=index, span_id=raw.get("spanId"), attributes={}, problem=str(error))


def _readable(raw: Mapping[str, Any], index: int, service: Any) -> Span:
    status = _object("status", raw)
    return Span(
        index=index,
        trace_id=raw.get("traceId"),
        span_id=raw.get("spanId"),
        start=raw.get("startTimeUnixNano"),
        end=raw.get("endTimeUnixNano"),
        failed=status.get("code") in ERROR,
        message=status.get("message"),
        exception=_exception(raw),
        service=service,
        attributes=_attributes(raw, WANTED),
    )


def _object(name: str, parent: Mapping[str, Any]) -> Mapping[str, Any]:
    child = parent.get(name)
    if child is None:
        return {}
    if not isinstance(child, Mapping):
        raise ValueError(f"{name}: must be an object")
    return child


def _exception(raw: Mapping[str, Any]) -> Any:
    """Return the message of the last exception that a span noted."""
    noted = [event for event in _objects("events", raw) if event.get("name") == "exception"]
    return _attributes(noted[-1], {"exception.message"}).get("exception.message") if noted else None


def _attributes(owner: Any, wanted: set[str] | frozenset[str]) -> dict[str, Any]:
    """Return the wanted ones of the attributes of something, without those that are empty."""
    if owner is None:
        return {}
    if not isinstance(owner, Mapping):
        raise ValueError("must be an object")
    read = {
        pair["key"]: _scalar(pair)
        for pair in _objects("attributes", owner)
        if isinstance(pair.get("key"), str) and pair["key"] in wanted
    }
    return {key: value for key, value in read.items() if value is not None and value != ""}


def _scalar(pair: Mapping[str, Any]) -> Any:
    """Return the value of an attribute; None for lists and maps. What it cannot be, its reader refuses."""
    value = _object("value", pair)
    whole = value.get("intValue")
    if isinstance(whole, str) and _WHOLE.fullmatch(whole):
        return int(whole)
    number = value.get("doubleValue")
    if isinstance(number, str):
        return _NUMBERS.get(number, number)
    found = (value.get("stringValue"), value.get("boolValue"), whole, number)
    scalar = next((scalar for scalar in found if scalar is not None), None)
    if isinstance(scalar, Mapping | list):
        raise ValueError(f"{pair['key']}: must be a text, a number, or true or false")
    return scalar
