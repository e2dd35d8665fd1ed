"""What is wrong with an event, in plain words: the decoder's own speak of its types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args

import msgspec
from msgspec import Meta

_LONGEST_MESSAGE = 200
_LONGEST_NAME = 80
_PLAIN: dict[Any, str] = {str: "a text", bool: "true or false", int: "a whole number"}
_GOT = re.compile(r", got `(\w+)`")
_KINDS = {
    "str": "a text",
    "int": "a number",
    "float": "a number with a fraction",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
# A key of a mapping from Python can be anything; one from JSON is text.
_OF_A_KEY = "key` in `$"


def expectations(event: type[msgspec.Struct]) -> dict[str, str]:
    """Return what each field of an event may be: as its annotation describes it, or by its plain type."""
    return {field.name: _expectation(field.type) for field in msgspec.structs.fields(event)}


def _expectation(hint: Any) -> str:
    [kind] = [kind for kind in get_args(hint) if kind is not NoneType] or [hint]
    described = [note.description for note in getattr(kind, "__metadata__", ()) if isinstance(note, Meta)]
    return next(filter(None, described), None) or _PLAIN.get(kind, "")


def in_words(error: Exception, expected: Mapping[str, str]) -> str:
    """Return what the decoder refused, the field in front: "quota: expected a whole number, got a text"."""
    found = _in_words(error, expected)
    # Names of fields come from strangers: they may be long, or no text at all.
    return found[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode()


def _in_words(error: Exception, expected: Mapping[str, str]) -> str:
    if isinstance(error, UnicodeError):
        return "holds what is no text in UTF-8"
    if not isinstance(error, msgspec.ValidationError):
        return f"not valid JSON ({str(error).removeprefix('JSON is malformed: ')})"
    sentence, _, path = str(error).partition(" - at `")
    unknown = _UNKNOWN.fullmatch(sentence)
    if unknown:
        return f"unknown field {unknown[1][:_LONGEST_NAME]!r}"
    got = _GOT.search(sentence)
    ending = f", got {_KINDS.get(got[1], got[1])}" if got else ""
    field = path.removesuffix("`").removeprefix("$").removeprefix(".")
    if path.startswith(_OF_A_KEY):
        return f"the name of a field: expected a text{ending}"
    if not field:
        return f"the event: expected an object{ending}"
    return f"{field}: expected {expected[field]}{ending}"
