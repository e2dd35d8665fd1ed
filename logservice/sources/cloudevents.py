"""CloudEvents about the use of a model, as LiteLLM's `openmeter` callback sends them, as events of ours.

The envelope is that of CloudEvents 1.0; `data` says what was used: `model`, `cost` in US dollars,
`prompt_tokens`, `completion_tokens`. LiteLLM 1.106 sends one for each success and none for a failure, so the
log of such a gateway knows no errors. Its `id` is the provider's id of the response: providers repeat it, and
answers from a cache bear that of the first. Therefore `source` and `id` alone do not tell a repeated event
from another one. Below Python 3.11 LiteLLM sends `time` in UTC without saying so.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from .. import json_bounds, moments
from ..store.log_types import LogType
from . import values
from .values import Fields

REQUIRED = ("specversion", "id", "source", "type")
VERSION = "1.0"

_PREFIX = "ce-"
#: What is escaped, or stands in double quotes. Pairs outside quotes are taken whole, or a header full of them
#: and without an end would be tried from each of them on.
_QUOTED = re.compile(r'\\.|"((?:[^"\\]|\\.)*)"', re.DOTALL)


def event(payload: Mapping[str, Any], *, quota_per_unit: float) -> dict[str, Any]:
    """Return the fields of one event; what the CloudEvent does not know is left out.

    Raises ValueError, naming the attribute, for what is no CloudEvent or cannot be mapped.
    """
    if not isinstance(payload, Mapping):
        raise ValueError("a CloudEvent must be an object")
    _check_attributes(payload)
    data = _data(payload)
    fields = values.found({**payload, "data": data}, FIELDS)
    if "model_name" not in fields:
        raise ValueError("data.model: missing")
    fields["type"] = int(LogType.CONSUME)
    if (cost := values.number("data.cost", data.get("cost"))) is not None:
        fields["quota"] = values.quota(cost, quota_per_unit)
    return fields | {"other": values.found(payload, OTHER)}


def from_headers(headers: Iterable[tuple[str, str]], content: bytes) -> dict[str, Any]:
    """Return the CloudEvent of a request in binary mode: attributes in headers, data in the body.

    Header values are taken as WSGI gives them, each byte a character. Raises ValueError, naming the header,
    for a value that is no UTF-8.
    """
    attributes: dict[str, Any] = {
        name.lower().removeprefix(_PREFIX): _unescaped(name, value)
        for name, value in headers
        if name.lower().startswith(_PREFIX)
    }
    attributes.pop("data_base64", None)
    return attributes | {"data": _json("data", content) if content else None}


def is_binary(header_names: Iterable[str]) -> bool:
    """Whether a request that is not labelled as a CloudEvent carries one in binary mode."""
    return any(name.lower() == f"{_PREFIX}specversion" for name in header_names)


def _unescaped(name: str, value: str) -> str:
    """Undo double quotes, then percent-encoding, as the HTTP binding of CloudEvents (3.1.3.2) wants it."""
    plain = _QUOTED.sub(_unquoted, value)
    try:
        return unquote_to_bytes(plain.encode("latin-1")).decode()
    except UnicodeError:
        raise ValueError(f"{name.lower()}: not UTF-8 once unescaped") from None


def _unquoted(found: re.Match[str]) -> str:
    return found[0] if found[1] is None else re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL)


def _check_attributes(payload: Mapping[str, Any]) -> None:
    for name in REQUIRED:
        value = payload.get(name)
        if value is None or value == "":
            raise ValueError(f"{name}: missing")
        if not isinstance(value, str):
            raise ValueError(f"{name}: must be text")
    if payload["specversion"] != VERSION:
        raise ValueError(f"specversion: must be {VERSION}")


def _data(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the event says, be it an object, the JSON text of one, or that in Base64."""
    data = payload.get("data")
    if data is None and payload.get("data_base64") is not None:
        data = _json("data_base64", _bytes(payload["data_base64"]))
    elif isinstance(data, str):
        data = _json("data", data.encode("utf-8", "surrogatepass"))
    if data is None:
        raise ValueError("data: missing")
    if not isinstance(data, dict):
        raise ValueError("data: must be an object, or the JSON text of one")
    return data


def _bytes(encoded: Any) -> bytes:
    try:
        return b64decode(encoded, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ValueError("data_base64: must be Base64") from None


def _json(path: str, content: bytes) -> Any:
    # Base64 hides how much is in it from whoever looked at the body.
    if json_bounds.holds_too_much(content):
        raise ValueError(f"{path}: holds more than {json_bounds.MOST_VALUES} values")
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeError):
        raise ValueError(f"{path}: not valid JSON") from None


def _time(path: str, value: Any) -> float | None:
    """Return epoch seconds from RFC 3339; without a zone, UTC is meant."""
    if value is None:
        return None
    try:
        read = moments.read(value)
    except (AttributeError, ValueError):
        raise ValueError(f"{path}: must be an RFC 3339 time") from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


FIELDS: Fields = {
    "created_at": (_time, ("time",)),
    "username": (values.user_name, ("subject",)),
    "request_id": (values.request_id, ("id",)),
    "model_name": (values.name, ("data.model",)),
    "prompt_tokens": (values.count, ("data.prompt_tokens",)),
    "completion_tokens": (values.count, ("data.completion_tokens",)),
}

OTHER: Fields = {
    "source": (values.name, ("source",)),
    "event_type": (values.name, ("type",)),
}
