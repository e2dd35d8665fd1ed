"""LiteLLM's standard logging payload, as its `generic_api` callback posts it, turned into an event of ours.

A payload weighs about 11 KB, most of it messages, responses and the price table. `FIELDS` and `OTHER` name
what is kept; whatever LiteLLM adds tomorrow is left behind until somebody adds a line there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import orjson

from ..store.log_types import LogType
from ..store.records import MAX_TEXT

# A reader takes a path, to name it in errors, and the value found there; None means that it holds nothing.
Reader = Callable[[str, Any], Any]
Fields = Mapping[str, tuple[Reader, tuple[str, ...]]]

# The limits of our own events. LiteLLM does not look at answers, so what is longer is cut and not refused.
LONGEST_NAME = 128
LONGEST_REQUEST_ID = 256
LARGEST_COUNT = 10**10
LARGEST_QUOTA = 10**12

DEEPEST = 8
ROOM_FOR_DROPPED = 256
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
STATUSES = {"success": LogType.CONSUME, "failure": LogType.ERROR}


def event(payload: Mapping[str, Any], *, quota_per_unit: float) -> dict[str, Any]:
    """Return the fields of one event; what the payload does not know is left out.

    Raises ValueError, naming the field, for a payload that cannot be mapped.
    """
    if not isinstance(payload, Mapping):
        raise ValueError("the payload must be an object")
    kind = _kind(payload)
    fields = _read(payload, FIELDS) | _times(payload, failed=kind is LogType.ERROR)
    fields["type"] = int(kind)
    if (cost := _number("response_cost", payload.get("response_cost"))) is not None:
        fields["quota"] = _bounded(cost * quota_per_unit, -LARGEST_QUOTA, LARGEST_QUOTA)
    if other := _fitting(_read(payload, OTHER)):
        fields["other"] = other
    return fields


def _read(payload: Mapping[str, Any], table: Fields) -> dict[str, Any]:
    """Return what a table finds: for each name, the first of its paths that holds something."""
    found = {}
    for name, (read, paths) in table.items():
        values = (read(path, _at(payload, path)) for path in paths)
        found[name] = next((value for value in values if value is not None), None)
    return {name: value for name, value in found.items() if value is not None}


def _at(payload: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; None where any part of the way is null, missing or no object."""
    value: Any = payload
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


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
        _time(name, payload.get(name)) for name in ("endTime", "startTime", "completionStartTime")
    )
    if end is None:
        raise ValueError("endTime: missing")
    streamed = payload.get("stream") is True or _at(payload, "model_parameters.stream") is True
    fields: dict[str, Any] = {"created_at": end, "is_stream": streamed}
    if start is not None:
        fields["use_time_ms"] = _bounded((end - start) * 1000, 0, LARGEST_COUNT)
        if streamed and first is not None and not (failed and first >= end):
            fields["first_token_ms"] = _bounded((first - start) * 1000, 0, LARGEST_COUNT)
    return fields


def _time(path: str, value: Any) -> float | None:
    """Return epoch seconds from a number or from ISO 8601 with a zone."""
    if not isinstance(value, str):
        return _number(path, value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{path}: must be epoch seconds or an ISO 8601 time") from None
    if moment.tzinfo is None:
        raise ValueError(f"{path}: must name its time zone")
    return moment.timestamp()


def _number(path: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path}: must be a number")
    # Compared, not converted: an integer of hundreds of digits does not fit a float.
    if not -1e300 <= value <= 1e300:
        raise ValueError(f"{path}: must be a finite number")
    return float(value)


def _bounded(value: float, least: int, most: int) -> int:
    return round(min(max(value, least), most))


def _count(path: str, value: Any) -> int | None:
    number = _number(path, value)
    if number is None:
        return None
    if number < 0 or not number.is_integer():
        raise ValueError(f"{path}: must be a whole number, 0 or more")
    return _bounded(number, 0, LARGEST_COUNT)


def _text(path: str, value: Any) -> str | None:
    """Return a text that any database can hold, or None; LiteLLM writes "" where it knows nothing."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{path}: must be text")
    return _clean(value) or None


def _clean(text: str) -> str:
    """Return a text without NUL, which PostgreSQL refuses, and lone surrogates, which are no UTF-8."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def _name(path: str, value: Any) -> str | None:
    text = _text(path, value)
    return text and text[:LONGEST_NAME]


def _user_name(path: str, value: Any) -> str | None:
    """Return a name unlike every other one: two users whose long names begin alike are two users."""
    text = _text(path, value)
    if text is None or len(text) <= LONGEST_NAME:
        return text
    return f"{text[: LONGEST_NAME - 17]}~{sha256(text.encode()).hexdigest()[:16]}"


def _request_id(path: str, value: Any) -> str | None:
    text = _text(path, value)
    return text and text[:LONGEST_REQUEST_ID]


def _key_hash(path: str, value: Any) -> str | None:
    """Return the hash of a key; None for whatever else stands there, which may be the key itself."""
    return value.lower() if isinstance(value, str) and SHA256.fullmatch(value) else None


def _ip(path: str, value: Any) -> str | None:
    """Return the first address of what may be a whole X-Forwarded-For; None for names such as "unknown"."""
    first = (_text(path, value) or "").partition(",")[0].strip()
    if first.startswith("["):
        first = first[1:].partition("]")[0]
    elif first.count(":") == 1:
        first = first.partition(":")[0]
    try:
        return str(ipaddress.ip_address(first.partition("%")[0]))
    except ValueError:
        return None


def _content(path: str, value: Any) -> str | None:
    text = _text(path, value)
    encoded = (text or "").encode()
    if len(encoded) <= MAX_TEXT:
        return text
    note = f"... [shortened from {len(encoded)} bytes]"
    return encoded[: MAX_TEXT - len(note)].decode("utf-8", "ignore") + note


def _costs(path: str, value: Any) -> dict[str, Any] | None:
    """Return the parts of a price that are not zero: LiteLLM lists every discount that it did not give."""
    return {name: part for name, part in _parts(value).items() if part != 0} or None


def _tags(path: str, value: Any) -> list[str] | None:
    tags = value if isinstance(value, list | tuple) else ()
    return [cleaned for tag in tags if isinstance(tag, str) and (cleaned := _clean(tag))] or None


def _address(path: str, value: Any) -> str | None:
    """Return a URL without user and query, where some providers want their key."""
    try:
        url = urlsplit(_text(path, value) or "")
    except ValueError:
        return None
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl() or None


def _error(path: str, value: Any) -> dict[str, Any] | None:
    """Return what kind of error it was: its message is the content, and its traceback leads nowhere here."""
    parts = _parts(value)
    return {name: parts[name] for name in ERROR_PARTS if name in parts} or None


def _parts(value: Any) -> dict[str, Any]:
    lean = _lean(value)
    return lean if isinstance(lean, dict) else {}


def _lean(value: Any, depth: int = DEEPEST) -> Any:
    """Return a JSON value without the parts that say nothing; None when nothing is left.

    What JSON cannot carry everywhere (NaN, numbers beyond 64 bits) and what nobody reads (deep nesting) goes
    as well.
    """
    if isinstance(value, str):
        return _clean(value) or None
    if isinstance(value, int | float):
        return value if -(2**63) <= value < 2**63 else None
    if depth and isinstance(value, Mapping):
        parts = ((_clean(str(name)), _lean(part, depth - 1)) for name, part in value.items())
        return {name: part for name, part in parts if part is not None} or None
    if depth and isinstance(value, list | tuple):
        items = (_lean(item, depth - 1) for item in value)
        return [item for item in items if item is not None] or None
    return None


def _fitting(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that fit the limit together, the largest dropped first and named under `dropped`."""
    sizes = {name: len(orjson.dumps({name: part})) for name, part in parts.items()}
    dropped: list[str] = []
    while sum(sizes.values()) > MAX_TEXT - ROOM_FOR_DROPPED:
        dropped.append(max(sizes, key=sizes.__getitem__))
        del sizes[dropped[-1]]
    kept = {name: parts[name] for name in sizes}
    return kept | {"dropped": dropped} if dropped else kept


FIELDS: Fields = {
    "username": (_user_name, ("metadata.user_api_key_user_id", "end_user")),
    "token_name": (_name, ("metadata.user_api_key_alias",)),
    "token_hash": (_key_hash, ("metadata.user_api_key_hash",)),
    "group": (_name, ("metadata.user_api_key_team_alias",)),
    "model_name": (_name, ("model", "model_group")),
    "channel_name": (_name, ("model_id", "custom_llm_provider")),
    "prompt_tokens": (_count, ("prompt_tokens",)),
    "completion_tokens": (_count, ("completion_tokens",)),
    "cached_tokens": (_count, ("metadata.usage_object.prompt_tokens_details.cached_tokens",)),
    "ip": (_ip, ("requester_ip_address", "metadata.requester_ip_address")),
    # Never `id`: that is the provider's, and providers repeat it.
    "request_id": (_request_id, ("litellm_call_id",)),
    "content": (_content, ("error_str", "error_information.error_message")),
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
