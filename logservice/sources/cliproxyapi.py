"""Usage records of CLIProxyAPI, as its usage queue hands them out, turned into events of ours.

A record carries the caller's API key in the clear. It is hashed here; the key itself goes nowhere, and where
an upstream's error text repeats it, it is blotted out. `source` is left behind as well: for some accounts
that is the upstream's own key. `timestamp` is when the request came in; our events bear their end.

What `input_tokens` and `output_tokens` hold depends on the upstream: Claude's input is without what came from
a cache, Gemini's output without its reasoning. Records since version 2 of their accounting say it in
`token_breakdown`, which therefore comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..store.log_types import LogType
from ..store.records import hash_key
from . import values
from .values import Fields

#: A shorter key cannot be told from an ordinary word of an error text.
SHORTEST_BLOTTED = 6
BLOT = "[key]"


def event(payload: Mapping[str, Any], *, quota_per_unit: float) -> dict[str, Any]:
    """Return the fields of one event; what the record does not know is left out.

    There is no `quota`: CLIProxyAPI knows no prices. Raises ValueError, naming the field, for a record that
    cannot be mapped; the message never holds the API key.
    """
    if not isinstance(payload, Mapping):
        raise ValueError("the record must be an object")
    key = (values.text("api_key", payload.get("api_key")) or "").strip()
    # Before anything is shortened: half a key at the end of a text would not be recognised.
    payload = _without_key(payload, key)
    failed = _failed(payload)
    fields = values.found(payload, FIELDS) | _times(payload) | _tokens(payload)
    fields["type"] = int(LogType.ERROR if failed else LogType.CONSUME)
    if failed:
        fields |= values.found(payload, FAILURE)
    if key:
        fields["token_hash"] = hash_key(key)
    if other := _other(payload, failed=failed):
        fields["other"] = other
    return fields


def _without_key(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the record without its key, and with every other mention of it blotted out."""
    bare = key.removeprefix("sk-")
    kept = {name: value for name, value in payload.items() if name != "api_key"}
    if len(bare) < SHORTEST_BLOTTED:
        return kept
    # Texts that are kept stand at the outermost level or in `fail`.
    if isinstance(kept.get("fail"), Mapping):
        kept["fail"] = _blotted(kept["fail"], bare)
    return _blotted(kept, bare)


def _blotted(record: Mapping[str, Any], bare: str) -> dict[str, Any]:
    # Replaced as text: a pattern takes its time where both key and text are long and nearly alike.
    return {
        name: value.replace(f"sk-{bare}", BLOT).replace(bare, BLOT) if isinstance(value, str) else value
        for name, value in record.items()
    }


def _failed(payload: Mapping[str, Any]) -> bool:
    failed = _flag("failed", payload.get("failed"))
    if failed is None:
        return (values.count("fail.status_code", values.at(payload, "fail.status_code")) or 0) >= 400
    return failed


def _flag(path: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{path}: must be true or false")
    return value


def _times(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return when the call ended, how long it took, and how long its first token took; 0 is not known."""
    came = values.moment("timestamp", payload.get("timestamp"))
    if came is None:
        raise ValueError("timestamp: missing")
    times = values.found(payload, TIMES)
    if not times.get("first_token_ms"):
        times.pop("first_token_ms", None)
    return times | {"created_at": came + times.get("use_time_ms", 0) / 1000}


def _tokens(payload: Mapping[str, Any]) -> dict[str, Any]:
    if values.at(payload, "token_breakdown.quality") == "complete":
        return values.found(payload, BREAKDOWN)
    tokens = values.found(payload, TOKENS)
    reasoning = tokens.pop("reasoning", 0)
    total = tokens.pop("total", 0)
    if reasoning and total == tokens.get("prompt_tokens", 0) + tokens.get("completion_tokens", 0) + reasoning:
        tokens["completion_tokens"] = tokens.get("completion_tokens", 0) + reasoning
    return tokens


def _other(payload: Mapping[str, Any], *, failed: bool) -> dict[str, Any]:
    other = values.found(payload, OTHER)
    if other.get("alias") == payload.get("model"):
        other.pop("alias", None)
    if behind := values.found(payload, ADMIN_INFO):
        other["admin_info"] = behind
    if failed and (status := values.count("fail.status_code", values.at(payload, "fail.status_code"))):
        other["fail"] = {"status_code": status}
    return values.fitting(other)


def _short(path: str, value: Any) -> str | None:
    """Return a text that says something: "unknown" stands for nothing here."""
    read = values.name(path, value)
    return None if read == "unknown" else read


FIELDS: Fields = {
    "model_name": (_short, ("model", "alias")),
    "channel_name": (_short, ("provider",)),
    "ip": (values.ip, ("client_ip", "x_forwarded_for")),
    "request_id": (values.request_id, ("request_id",)),
    "is_stream": (_flag, ("stream",)),
}

FAILURE: Fields = {"content": (values.content, ("fail.body",))}

TIMES: Fields = {
    "use_time_ms": (values.count, ("latency_ms",)),
    "first_token_ms": (values.count, ("ttft_ms",)),
}

BREAKDOWN: Fields = {
    "prompt_tokens": (values.count, ("token_breakdown.input.total_tokens",)),
    "completion_tokens": (values.count, ("token_breakdown.output.total_tokens",)),
    "cached_tokens": (values.count, ("token_breakdown.input.cache_read_tokens",)),
}

TOKENS: Fields = {
    "prompt_tokens": (values.count, ("tokens.input_tokens", "tokens.input")),
    "completion_tokens": (values.count, ("tokens.output_tokens", "tokens.output")),
    "cached_tokens": (
        values.count,
        ("tokens.cache_read_tokens", "tokens.cached_tokens", "tokens.cache_read", "tokens.cached"),
    ),
    "reasoning": (values.count, ("tokens.reasoning_tokens", "tokens.reasoning")),
    "total": (values.count, ("tokens.total_tokens", "tokens.total")),
}

OTHER: Fields = {
    "alias": (_short, ("alias",)),
    "endpoint": (values.name, ("endpoint",)),
    "user_agent": (values.name, ("user_agent",)),
    "reasoning_effort": (values.name, ("reasoning_effort",)),
    "service_tier": (values.name, ("response_service_tier", "service_tier")),
    "reasoning_tokens": (values.count, ("tokens.reasoning_tokens", "tokens.reasoning")),
    "cache_creation_tokens": (values.count, ("tokens.cache_creation_tokens",)),
}

#: How the proxy reached the upstream is nobody's business but the administrators'.
ADMIN_INFO: Fields = {
    "executor_type": (_short, ("executor_type",)),
    "auth_type": (_short, ("auth_type",)),
    "auth_index": (values.name, ("auth_index",)),
}
