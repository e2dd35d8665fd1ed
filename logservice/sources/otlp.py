"""Spans of OpenTelemetry's semantic conventions for generative AI, turned into events of ours.

A span is a call if it names a model or a provider, and tells tokens or an error. Everything else is left
alone, so that no call counts twice: LiteLLM puts a `raw_gen_ai_request` below each of its successful calls,
and its proxy an erring server span and a `Failed Proxy Server Request` around each failed one, all without
`gen_ai` attributes; agents and workflows sum up the calls below them.

LiteLLM 1.106 marks in a call's `metadata` that its span was sent. Whoever calls it from a program of their
own with one `metadata` object for several calls gets a span for the first success and failure only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..store.log_types import LogType
from . import values
from .values import Fields

#: Operations that consist of calls with spans of their own.
NO_CALLS = frozenset({"create_agent", "invoke_agent", "invoke_workflow", "execute_tool"})
MOST_NANOSECONDS = 2**64 - 1


class TooMany(ValueError):
    """A request holds more of something than may come at once; the text says of what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What is read of a span, whichever encoding it came in.

    `index` is its place among all spans of the request, `attributes` those of WANTED that are neither empty
    nor lists. `problem` says why it cannot be read, if so.
    """

    index: int
    trace_id: Any = None
    span_id: Any = None
    start: Any = None
    end: Any = None
    failed: bool = False
    message: Any = None
    exception: Any = None
    service: Any = None
    attributes: Mapping[str, Any]
    problem: str = ""


def is_call(span: Span) -> bool:
    """Whether a span is one call of a model; one that cannot be read may be."""
    if span.problem:
        return True
    present = span.attributes.keys()
    if span.attributes.get("gen_ai.operation.name") in NO_CALLS or present.isdisjoint(SIGNS):
        return False
    return _has_failed(span) or not present.isdisjoint(USAGE)


def event(span: Span, *, quota_per_unit: float) -> dict[str, Any]:
    """Return the fields of one event; what the span does not know is left out.

    Raises ValueError, naming the attribute, for a span that cannot be mapped.
    """
    if span.problem:
        raise ValueError(span.problem)
    fields = values.found(span.attributes, FIELDS, flat=True) | _times(span)
    fields["type"] = int(LogType.ERROR if _has_failed(span) else LogType.CONSUME)
    if (cost := values.found(span.attributes, COST, flat=True).get("total")) is not None:
        fields["quota"] = values.quota(cost, quota_per_unit)
    if _has_failed(span) and (content := _content(span)):
        fields["content"] = content
    return fields | {"other": values.fitting(_other(span, fields.get("model_name")))}


def name(span: Span) -> str:
    """Return what tells a span apart in messages: its place, and its id if it has one."""
    known = span.span_id if isinstance(span.span_id, str) else ""
    return f"span {span.index}" + (f" ({values.clean(known[:32])})" if known else "")


def _has_failed(span: Span) -> bool:
    return span.failed or "error.type" in span.attributes


def _times(span: Span) -> dict[str, Any]:
    end = nanoseconds("endTimeUnixNano", span.end)
    start = nanoseconds("startTimeUnixNano", span.start)
    if not end:
        raise ValueError("endTimeUnixNano: missing")
    times: dict[str, Any] = {"created_at": end / 10**9}
    if start:
        times["use_time_ms"] = values.bounded((end - start) / 10**6, 0, values.LARGEST_COUNT)
    return times


def nanoseconds(path: str, value: Any) -> int | None:
    """Return nanoseconds since 1970 from a number or from its decimal digits, as OTLP's JSON has them."""
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_NANOSECONDS:
        raise ValueError(f"{path}: must be nanoseconds since 1970")
    return value


def _content(span: Span) -> str | None:
    """Return what went wrong, from whichever place says most."""
    attributes = span.attributes
    said = (
        ("error.message", attributes.get("error.message")),
        ("status.message", span.message),
        ("exception.message", span.exception),
        ("error.type", attributes.get("error.type")),
    )
    return next((text for path, value in said if (text := values.content(path, value))), None)


def _other(span: Span, model: str | None) -> dict[str, Any]:
    other = values.found(span.attributes, OTHER, flat=True)
    if other.get("response_model") == model:
        other.pop("response_model", None)
    for key, table in (("cost_breakdown", COST_PARTS), ("error_information", ERROR)):
        if parts := values.found(span.attributes, table, flat=True):
            other[key] = parts
    ids = {"traceId": span.trace_id, "spanId": span.span_id, "service.name": span.service}
    read = {NAMES[path]: values.name(path, value) for path, value in ids.items()}
    return other | {key: value for key, value in read.items() if value}


def _milliseconds(path: str, value: Any) -> int | None:
    seconds = values.number(path, value)
    return None if seconds is None else values.milliseconds(0, seconds)


def _flag(path: str, value: Any) -> bool | None:
    """Return true or false; LiteLLM writes them as text."""
    return {"true": True, "false": False}.get(str(value).lower())


#: What generative AI is known by.
SIGNS = frozenset({"gen_ai.request.model", "gen_ai.response.model", "gen_ai.provider.name", "gen_ai.system"})

INPUT = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
)
OUTPUT = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
)
USAGE = frozenset({*INPUT, *OUTPUT})

# Where there are several names, that of the newest conventions comes first. `metadata.*` and `gen_ai.cost.*`
# are LiteLLM's, `litellm.*` those of its new exporter (LITELLM_OTEL_V2).
FIELDS: Fields = {
    "username": (
        values.user_name,
        (
            "metadata.user_api_key_user_id",
            "litellm.metadata.user_api_key_user_id",
            "enduser.id",
            "user.id",
            "litellm.end_user.id",
            "llm.user",
        ),
    ),
    "token_name": (
        values.name,
        ("metadata.user_api_key_alias", "litellm.metadata.user_api_key_alias"),
    ),
    "token_hash": (values.key_hash, ("metadata.user_api_key_hash", "litellm.api_key.hash")),
    "group": (values.name, ("metadata.user_api_key_team_alias", "litellm.team.alias")),
    "model_name": (values.name, ("gen_ai.request.model", "gen_ai.response.model")),
    "channel_name": (values.name, ("gen_ai.provider.name", "gen_ai.system")),
    "prompt_tokens": (values.count, INPUT),
    "completion_tokens": (values.count, OUTPUT),
    "cached_tokens": (
        values.count,
        ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    ),
    "first_token_ms": (
        _milliseconds,
        ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
    ),
    "is_stream": (_flag, ("gen_ai.request.stream", "litellm.request.streaming", "llm.is_streaming")),
    "ip": (
        values.ip,
        (
            "metadata.requester_ip_address",
            "litellm.metadata.requester_ip_address",
            "client.address",
        ),
    ),
    # The provider's own id comes last: providers repeat it.
    "request_id": (values.request_id, ("litellm.call_id", "gen_ai.response.id")),
}

COST: Fields = {
    "total": (values.number, ("gen_ai.cost.total_cost", "litellm.cost.total", "gen_ai.usage.cost")),
}
COST_PARTS: Fields = {
    "input_cost": (values.number, ("gen_ai.cost.input_cost", "litellm.cost.input")),
    "output_cost": (values.number, ("gen_ai.cost.output_cost", "litellm.cost.output")),
}

ERROR: Fields = {
    "error_class": (values.name, ("error.type",)),
    "error_code": (
        values.name,
        ("error.code", "litellm.provider.error.code", "http.response.status_code"),
    ),
}

OTHER: Fields = {
    "operation": (values.name, ("gen_ai.operation.name",)),
    "response_model": (values.name, ("gen_ai.response.model",)),
    "conversation_id": (values.name, ("gen_ai.conversation.id",)),
    "reasoning_tokens": (
        values.count,
        ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"),
    ),
    "cache_creation_tokens": (
        values.count,
        ("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens"),
    ),
}

#: What parts of a span that are no attributes are called in `other`.
NAMES = {"traceId": "trace_id", "spanId": "span_id", "service.name": "service"}

#: The attributes that are looked at; messages and answers, which may be long, are not among them.
WANTED = SIGNS | {"error.message", "error.type"}
WANTED |= {
    path
    for table in (FIELDS, COST, COST_PARTS, ERROR, OTHER)
    for _, paths in table.values()
    for path in paths
}
