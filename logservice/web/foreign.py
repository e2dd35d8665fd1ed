"""What producers with a format of their own send, for the OpenAPI document: the parts of it that are read."""

from __future__ import annotations

from typing import Any

from ..store import ids
from .described import JSON, Content, Success
from .schemas import MIDNIGHT

PROTOBUF = "application/x-protobuf"

_Schema = dict[str, Any]

_TEXT: _Schema = {"type": ["string", "null"]}
_ANYTHING: _Schema = {"type": ["object", "null"]}
_COUNT: _Schema = {"type": ["integer", "null"], "minimum": 0}
_COST: _Schema = {"type": ["number", "null"], "minimum": -1e300, "maximum": 1e300}
_MOMENT: _Schema = {
    "anyOf": [
        {"type": "number", "minimum": ids.MIN_SECOND, "maximum": ids.MAX_SECOND},
        {"type": "string", "format": "date-time"},
    ]
}


def _object(description: str, needed: dict[str, _Schema], **more: _Schema) -> _Schema:
    """Return the schema of an object of which some is read, and all else left behind."""
    return {
        "type": "object",
        "description": description,
        "properties": {**needed, **more},
        "required": list(needed),
    }


def _or_many(schema: _Schema) -> _Schema:
    return {"anyOf": [schema, {"type": "array", "items": schema}]}


def _lines(example: str) -> Content:
    schema = {
        "type": "string",
        "contentMediaType": "application/x-ndjson",
        "description": "one of them as JSON on each line",
    }
    return Content("application/x-ndjson", schema, example)


# -- LiteLLM -----------------------------------------------------------------------------------------------

_PAYLOAD = _object(
    "A standard logging payload of LiteLLM; the parts of it that are read.",
    {"endTime": _MOMENT},
    status={"enum": ["success", "failure", None]},
    startTime={"anyOf": [*_MOMENT["anyOf"], {"type": "null"}]},
    completionStartTime={"anyOf": [*_MOMENT["anyOf"], {"type": "null"}]},
    stream={"type": ["boolean", "null"]},
    model=_TEXT,
    model_id=_TEXT,
    custom_llm_provider=_TEXT,
    response_cost=_COST,
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
    requester_ip_address=_TEXT,
    end_user=_TEXT,
    litellm_call_id=_TEXT,
    error_str=_TEXT,
    metadata={
        "type": "object",
        "description": "who called: `user_api_key_user_id`, `user_api_key_alias`, `user_api_key_hash`",
        "properties": {
            "user_api_key_user_id": _TEXT,
            "user_api_key_alias": _TEXT,
            "user_api_key_hash": _TEXT,
            "user_api_key_team_alias": _TEXT,
        },
    },
)
LITELLM = (
    Content(
        JSON,
        _or_many(_PAYLOAD),
        [
            {
                "status": "success",
                "model": "gpt-4o-mini",
                "startTime": MIDNIGHT,
                "endTime": MIDNIGHT + 2.4,
                "response_cost": 0.003,
                "prompt_tokens": 820,
                "completion_tokens": 96,
                "metadata": {"user_api_key_user_id": "alice"},
            }
        ],
    ),
    _lines('{"status": "success", "model": "gpt-4o-mini", "endTime": 1735689602.4}\n'),
)

# -- CLIProxyAPI -------------------------------------------------------------------------------------------

_USAGE_RECORD = _object(
    "A usage record of CLIProxyAPI; the parts of it that are read.",
    {"timestamp": _MOMENT},
    latency_ms=_COUNT,
    model=_TEXT,
    provider=_TEXT,
    api_key={"type": ["string", "null"], "description": "hashed on arrival, and kept nowhere"},
    failed={"type": ["boolean", "null"]},
    tokens={"type": "object", "properties": {"input_tokens": _COUNT, "output_tokens": _COUNT}},
    fail={"type": "object", "properties": {"status_code": _COUNT, "body": {}}},
)
CLIPROXYAPI = (
    Content(
        JSON,
        _or_many(_USAGE_RECORD),
        [
            {
                "timestamp": "2025-01-01T00:00:00Z",
                "latency_ms": 2400,
                "model": "claude-opus-4-6",
                "provider": "claude",
                "api_key": "sk-carols-key",
                "tokens": {"input_tokens": 820, "output_tokens": 96},
                "failed": False,
            }
        ],
    ),
    _lines('{"timestamp": "2025-01-01T00:00:00Z", "model": "claude-opus-4-6"}\n'),
)

# -- CloudEvents -------------------------------------------------------------------------------------------

_NOT_EMPTY: _Schema = {"type": "string", "minLength": 1}
_DATA = _object(
    "What was used.",
    {"model": {"type": "string", "pattern": r"[^\x00]"}},
    cost=_COST,
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
)
_CLOUDEVENT = _object(
    "A CloudEvent 1.0 about the use of a model.",
    {
        "specversion": {"const": "1.0"},
        "id": _NOT_EMPTY,
        "source": _NOT_EMPTY,
        "type": _NOT_EMPTY,
        "data": _DATA,
    },
    time={"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
    subject=_TEXT,
)
_ONE_CLOUDEVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "chatcmpl-1",
    "source": "my-gateway",
    "type": "tokens",
    "time": "2025-01-01T00:00:00Z",
    "subject": "carol",
    "data": {"model": "gpt-4o-mini", "cost": 0.003, "prompt_tokens": 820, "completion_tokens": 96},
}
CLOUDEVENTS = (
    Content("application/cloudevents+json", _CLOUDEVENT, _ONE_CLOUDEVENT),
    Content("application/cloudevents-batch+json", {"type": "array", "items": _CLOUDEVENT}, [_ONE_CLOUDEVENT]),
    Content(JSON, _or_many(_CLOUDEVENT), [_ONE_CLOUDEVENT]),
)

# -- OTLP --------------------------------------------------------------------------------------------------


def _list_of(name: str, schema: _Schema) -> _Schema:
    return {"type": "object", "properties": {name: {"type": ["array", "null"], "items": schema}}}


_BYTES: _Schema = {"type": "string", "format": "binary"}
_SPANS = _list_of(
    "resourceSpans",
    _list_of(
        "scopeSpans", _list_of("spans", {"description": "a span; others than objects are refused one by one"})
    ),
)
TRACES = (
    Content(
        JSON,
        {"description": "An ExportTraceServiceRequest.", **_SPANS},
        {
            "resourceSpans": [
                {
                    "scopeSpans": [
                        {
                            "spans": [
                                {
                                    "spanId": "eee19b7ec3c1b174",
                                    "startTimeUnixNano": "1735689600000000000",
                                    "endTimeUnixNano": "1735689602400000000",
                                    "attributes": [
                                        {
                                            "key": "gen_ai.request.model",
                                            "value": {"stringValue": "gpt-4o-mini"},
                                        },
                                        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "820"}},
                                    ],
                                }
                            ]
                        }
                    ]
                }
            ]
        },
    ),
    # The empty request: a body of no bytes.
    Content(PROTOBUF, {"description": "An ExportTraceServiceRequest.", **_BYTES}, ""),
)
TRACES_TAKEN = Success(
    "An ExportTraceServiceResponse in the encoding of the request; empty when nothing was refused.",
    (
        Content(
            JSON,
            {
                "type": "object",
                "properties": {
                    "partialSuccess": {
                        "type": "object",
                        "properties": {
                            "rejectedSpans": {"type": "string", "pattern": "^[0-9]+$"},
                            "errorMessage": {"type": "string"},
                        },
                        "required": ["rejectedSpans", "errorMessage"],
                        "additionalProperties": False,
                    }
                },
                "additionalProperties": False,
            },
            {
                "partialSuccess": {
                    "rejectedSpans": "1",
                    "errorMessage": "span 0 (eee19b7ec3c1b174): gen_ai.usage.input_tokens: "
                    "must be a whole number, 0 or more",
                }
            },
        ),
        Content(PROTOBUF, _BYTES, ""),
    ),
)


def rpc_status(message: str) -> tuple[Content, ...]:
    """Return how OTLP tells a failure: a google.rpc.Status in the encoding of the request."""
    schema = {
        "type": "object",
        "properties": {"message": {"type": "string", "minLength": 1}},
        "required": ["message"],
        "additionalProperties": False,
    }
    return Content(JSON, schema, {"message": message}), Content(PROTOBUF, _BYTES, "")
