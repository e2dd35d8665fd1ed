"""Who sees what of a row: the fields that are read at all, and what is left out of `other`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from marshmallow import Schema

from .schemas import AdminRow, KeyRow, OwnRow

Rows = list[dict[str, Any]]

#: Keys of `other` that are for administrators only, at whatever depth they stand.
PRIVATE_KEYS = frozenset({"admin_info", "audit_info", "stream_status"})


@dataclass(frozen=True, slots=True)
class Audience:
    """The fields of a row an audience may see, and whether it sees all of `other`."""

    fields: tuple[str, ...]
    sees_all: bool = False

    def show(self, rows: Rows) -> Rows:
        """Return the rows as the audience may see them."""
        if not self.sees_all:
            for row in rows:
                row["other"] = public_other(row["other"])
        return rows


def _names(schema: type[Schema]) -> tuple[str, ...]:
    return tuple(schema().fields)


ADMIN = Audience(_names(AdminRow), sees_all=True)
OWN = Audience(_names(OwnRow))
KEY = Audience(_names(KeyRow))


def public_other(text: str) -> str:
    """Return `other` without its private keys, however deeply they are nested; JSON inside texts included.

    What is not the JSON of an object is left out altogether: nobody can say what it holds.
    """
    if not text or not _suspicious(text):
        return text if not text or text[0] == "{" else ""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(value, dict) or set(value) == {"raw"}:
        return ""
    value = _public(value)
    return orjson.dumps(value).decode() if value else ""


def _suspicious(text: str) -> bool:
    """Whether a private key may be in the text. `other` is stored in one spelling, so looking is enough; only
    JSON inside a text can still hide one behind an escape."""
    return any(key in text for key in PRIVATE_KEYS) or "\\\\u" in text or '{"raw":' in text


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public(inner) for key, inner in value.items() if key not in PRIVATE_KEYS}
    if isinstance(value, list):
        return [_public(inner) for inner in value]
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return _public_text(value)
    return value


def _public_text(text: str) -> str:
    try:
        return orjson.dumps(_public(orjson.loads(text))).decode()
    except orjson.JSONDecodeError:
        return "" if any(key in text for key in PRIVATE_KEYS) else text
