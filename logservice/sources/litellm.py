"""LiteLLM's standard logging payload, as its `generic_api` callback posts it, turned into an event of ours.

A payload weighs about 11 KB, most of it messages, responses and the price table. `FIELDS` and `OTHER` name
what is kept; whatever LiteLLM adds tomorrow is left behind until somebody adds a line there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..store.log_types import LogType
from . import values
from .values import Fields

STATUSES = {"success": LogType.CONSUME, "failure": LogType.ERROR}


def event(payload: Mapping[str, Any], *, quota_per_unit: float) -> dict[str, Any]:
    """Return the fields of one event; what the payload does not know is left out.

    Raises ValueError, naming the field, for a payload that cannot be mapped.
    """
    if not isinstance(payload, Mapping):
        raise ValueError("the payload must be an object")
    kind = _kind(payload)
    fields = values.found(payload, FIELDS) | _times(payload, failed=kind is LogType.ERROR)
    fields["type"] = int(kind)
    if (cost := values.number("response_cost", payload.get("response_cost"))) is not None:
        fields["quota"] = values.quota(cost, quota_per_unit)
    if other := values.fitting(values.found(payload, OTHER)):
        fields["other"] = other
    return fields


def _kind(payload: Mapping[str, Any]) -> LogType:
    status = payload.get("status")
    if status is None:
        return LogType.ERROR if payload.get("error_str") else LogType.CONSUME
    if not isinstance(status, str) or status not in STATUSES:
        raise ValueError("status: must be success or failure")
    return STATUSES[status]


def _times(payload: Mapping[str, Any], *, failed: bool) -> dict[str, Any]:
    """Return when the call ended, how long it took, and how long its first token took.

    A stream that failed is known by its parameters only. If it failed before its first token, LiteLLM gives
    the end as the time of that token, and we leave it out.
    """
    end, start, first = (
        values.moment(name, payload.get(name)) for name in ("endTime", "startTime", "completionStartTime")
    )
    if end is None:
        raise ValueError("endTime: missing")
    streamed = payload.get("stream") is True or values.at(payload, "model_parameters.stream") is True
    fields: dict[str, Any] = {"created_at": end, "is_stream": streamed}
    if start is not None:
        fields["use_time_ms"] = values.milliseconds(start, end)
        if streamed and first is not None and not (failed and first >= end):
            fields["first_token_ms"] = values.milliseconds(start, first)
    return fields


def _costs(path: str, value: Any) -> dict[str, Any] | None:
    """Return the parts of a price that are not zero: LiteLLM lists every discount that it did not give."""
    return {name: part for name, part in values.parts(value).items() if part != 0} or None


def _tags(path: str, value: Any) -> list[str] | None:
    tags = value if isinstance(value, list | tuple) else ()
    return [cleaned for tag in tags if isinstance(tag, str) and (cleaned := values.clean(tag))] or None


def _address(path: str, value: Any) -> str | None:
    """Return a URL without user and query, where some providers want their key."""
    try:
        url = urlsplit(values.text(path, value) or "")
    except ValueError:
        return None
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl() or None


def _error(path: str, value: Any) -> dict[str, Any] | None:
    """Return what kind of error it was: its message is the content, and its traceback leads nowhere here."""
    parts = values.parts(value)
    return {name: parts[name] for name in ERROR_PARTS if name in parts} or None


FIELDS: Fields = {
    "username": (values.user_name, ("metadata.user_api_key_user_id", "end_user")),
    "token_name": (values.name, ("metadata.user_api_key_alias",)),
    "token_hash": (values.key_hash, ("metadata.user_api_key_hash",)),
    "group": (values.name, ("metadata.user_api_key_team_alias",)),
    "model_name": (values.name, ("model", "model_group")),
    "channel_name": (values.name, ("model_id", "custom_llm_provider")),
    "prompt_tokens": (values.count, ("prompt_tokens",)),
    "completion_tokens": (values.count, ("completion_tokens",)),
    "cached_tokens": (values.count, ("metadata.usage_object.prompt_tokens_details.cached_tokens",)),
    "ip": (values.ip, ("requester_ip_address", "metadata.requester_ip_address")),
    # Never `id`: that is the provider's, and providers repeat it.
    "request_id": (values.request_id, ("litellm_call_id",)),
    "content": (values.content, ("error_str", "error_information.error_message")),
}

OTHER: Fields = {
    "cost_breakdown": (_costs, ("cost_breakdown",)),
    "request_tags": (_tags, ("request_tags",)),
    "api_base": (_address, ("api_base",)),
    "error_information": (_error, ("error_information",)),
}

ERROR_PARTS = (
    "error_code",
    "error_class",
    "llm_provider",
    "normalized_error",
    "error_rate_limit_category",
    "error_rate_limit_type",
    "error_provider_request_id",
)
