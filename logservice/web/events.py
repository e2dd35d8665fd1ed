"""What an event of ours may look like, for the OpenAPI document: the fields that the store reads."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec

from ..store import ids, log_types
from ..store.records import TEXTS, Event
from .described import JSON, Content
from .schemas import MIDNIGHT

#: Field: meaning and example.
MEANINGS: dict[str, tuple[str, Any]] = {
    "created_at": (
        "when: epoch seconds or ISO 8601 with its zone; now if missing, at most a day ahead",
        MIDNIGHT,
    ),
    "type": ("number or name; consume if missing", "consume"),
    "user_id": ("whose call it was; somebody new is registered, without a login", 7),
    "username": ("the same by name", "alice"),
    "token_id": ("which of their API keys, by the gateway's number", 70),
    "token_name": ("the same by name", "laptop"),
    "token_key": ("the API key itself, which then opens its rows; only its hash is kept", "sk-alices-laptop"),
    "token_hash": ("the SHA-256 of the key in hex, instead of the key", "5e" * 32),
    "model_name": ("which model", "gpt-4o-mini"),
    "channel_id": ("which upstream served it", 3),
    "channel_name": ("the name of the upstream", "east"),
    "group": ("the price group, or team, of the caller", "default"),
    "quota": ("what it cost, in the unit of the gateway; below zero too", 1500),
    "prompt_tokens": ("tokens in", 820),
    "completion_tokens": ("tokens out", 96),
    "cached_tokens": ("those of the input that came from a cache", 0),
    "use_time": ("how long it took, in seconds", 2.4),
    "use_time_ms": ("how long it took, in milliseconds; counts more than `use_time`", 2400),
    "first_token_ms": ("milliseconds until the first token", 310),
    "is_stream": ("true for a streamed answer", True),
    "ip": ("the caller's address", "203.0.113.9"),
    "request_id": ("how the gateway calls this request", "req-1"),
    "content": ("a text for people, up to 64 KiB of UTF-8; it can be searched", "answered"),
    "other": ("an object, or the JSON text of one, for whatever else is known; up to 64 KiB", {"frt": 310}),
    "id": ("ignored, so that a row that was read can be posted again: ids are given anew", 0),
    "channel": ("`channel_id`, as rows repeat it", 3),
}
_NO_NUL = r"^[^\x00]*$"
#: What the types of Python do not say.
_STATED: dict[str, list[dict[str, Any]]] = {
    "created_at": [
        {"type": "number", "minimum": ids.MIN_SECOND, "maximum": ids.MAX_SECOND},
        {"type": "string", "format": "date-time"},
        {"type": "null"},
    ],
    "type": [
        {"enum": [*log_types.NAMES, *log_types.spellings()]},
        {"type": "null"},
    ],
    "other": [
        {"type": "object"},
        {"type": "string", "contentMediaType": JSON, "contentSchema": {"type": "object"}},
        {"const": ""},
        {"type": "null"},
    ],
}


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event."""
    types = get_type_hints(Event, include_extras=True)
    return {
        "type": "object",
        "description": "What was used. Every field may be left out, and null means the same.",
        "properties": {name: _property(name, types[name]) for name in Event.__struct_fields__},
        "additionalProperties": False,
        "example": EVENT,
    }


def _property(name: str, kind: Any) -> dict[str, Any]:
    description, example = MEANINGS[name]
    forms = _STATED.get(name) or [_without_nul(form, name) for form in msgspec.json.schema(kind)["anyOf"]]
    return {"anyOf": forms, "description": description, "example": example}


def _without_nul(form: dict[str, Any], name: str) -> dict[str, Any]:
    """Say of texts that they are stored, and so may hold no NUL. A key is not: only its hash is."""
    return {**form, "pattern": _NO_NUL} if form.get("type") == "string" and name in TEXTS else form


EVENT: dict[str, Any] = {
    name: MEANINGS[name][1]
    for name in (
        "username",
        "token_name",
        "model_name",
        "quota",
        "prompt_tokens",
        "completion_tokens",
        "use_time_ms",
        "request_id",
    )
}
ERROR: dict[str, Any] = {"username": "alice", "type": "error", "content": "upstream: too many requests"}

_ONE = {"$ref": "#/components/schemas/Event"}
EVENTS = Content(JSON, {"anyOf": [_ONE, {"type": "array", "items": _ONE}]}, [EVENT, ERROR])
LINES = Content(
    "application/x-ndjson",
    {
        "type": "string",
        "contentMediaType": "application/x-ndjson",
        "description": "one event as JSON on each line",
    },
    '{"username": "bob", "quota": 20}\n{"username": "bob", "quota": 30}\n',
)
