"""Who sees what of a row: the fields that are read at all, and what is left out of `other`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from marshmallow import Schema

from .schemas import AdminRow, KeyRow, OwnRow

Rows = list[dict[str, Any]]

#: Keys of `other` that are for administrators only, at whatever depth they stand.
PRIVATE_KEYS = frozenset({"admin_info", "audit_info", "stream_status"})
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")


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

    def show_exported(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Return rows with an attribute for each field as the audience may see them."""
        if not self.sees_all:
            for row in rows:
                row.other = public_other(row.other)
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
    if not text.startswith("{"):
        return ""
    if not _mentions(text) and not text.startswith('{"raw":'):
        return text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    if len(value) == 1 and "raw" in value:
        return ""
    # Gateways write private keys at the outermost level; to look for more takes longer.
    for key in PRIVATE_KEYS:
        value.pop(key, None)
    rest = _written(value)
    return _written(_public(value)) if _mentions(rest) else rest


def _written(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode() if value else ""


def _mentions(text: str) -> bool:
    """Whether a private key stands in a text, in whatever spelling JSON inside JSON may give it."""
    plain = _unescaped(text)
    for key in PRIVATE_KEYS:  # noqa: SIM110 - a generator would take longer than the search itself
        if key in plain:
            return True
    return False


def _unescaped(text: str) -> str:
    if "\\u" not in text:
        return text
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public(inner) for key, inner in value.items() if key not in PRIVATE_KEYS}
    if isinstance(value, list):
        return [_public(inner) for inner in value]
    if isinstance(value, str) and _mentions(value):
        return _public_text(value)
    return value


def _public_text(text: str) -> str:
    """Return a text that mentions a private key without it; what looks like JSON and is not readable goes."""
    if "{" not in _unescaped(text):
        return text
    try:
        public = orjson.dumps(_public(orjson.loads(text))).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return ""
    return "" if _mentions(public) else public
