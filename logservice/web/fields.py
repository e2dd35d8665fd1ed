"""Fields of query strings: texts from strangers, read strictly or refused by name.

`json_schema` says in the words of the OpenAPI document what a field reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from marshmallow import ValidationError, fields

from ..errors import InvalidValue
from ..store import ids, intervals, log_types

_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"([+-]?[0-9]+)(\.[0-9]*)?", re.ASCII)
_MOST_DIGITS = 40
_INT64 = range(-(2**63), 2**63)
_YES_OR_NO = {str(word) for word in fields.Boolean.truthy | fields.Boolean.falsy}
_MILLISECONDS = 10**11

JsonSchema = Mapping[str, Any]


def whole(value: str) -> int:
    """Read a whole number of at most 64 bits, or raise ValidationError."""
    text = value.strip()
    if len(text) > _MOST_DIGITS or not _WHOLE.fullmatch(text):
        raise ValidationError("not a whole number")
    number = int(text)
    if number not in _INT64:
        raise ValidationError("does not fit 64 bits")
    return number


class Whole(fields.Integer):
    """A whole number of at most 64 bits."""

    json_schema: ClassVar[JsonSchema] = {
        "type": "integer",
        "minimum": _INT64.start,
        "maximum": _INT64.stop - 1,
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return whole(value)


class PageNumber(Whole):
    """A page from 1; 0 and less mean 1."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return max(1, whole(value))


class PageSize(Whole):
    """The size of a page: 0 and less mean the default, more than 100 means 100."""

    def __init__(self, default: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.default = default

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        size = whole(value)
        return min(size, 100) if size > 0 else self.default


class EpochSeconds(fields.Integer):
    """Epoch seconds, a fraction floored; what 32 bits cannot hold is clamped, milliseconds are refused."""

    json_schema: ClassVar[JsonSchema] = {
        "type": "number",
        "minimum": 1 - _MILLISECONDS,
        "maximum": _MILLISECONDS - 1,
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        text = value.strip()
        found = _DECIMAL.fullmatch(text) if len(text) <= _MOST_DIGITS else None
        if found is None:
            raise ValidationError("not a number of epoch seconds, such as 1735689600")
        seconds = int(found[1])
        if text.startswith("-") and (found[2] or "").strip(".0"):
            seconds -= 1
        if abs(seconds) >= _MILLISECONDS:
            raise ValidationError("looks like milliseconds; epoch times are in seconds here")
        return min(seconds, ids.MAX_SECOND)


class PurgeTarget(EpochSeconds):
    """Epoch seconds of which only a past moment will do: what is no number is as good as missing."""

    json_schema: ClassVar[JsonSchema] = {"type": "number", "minimum": 1, "maximum": ids.MAX_SECOND}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return super()._deserialize(value, attr, data, **kwargs) if _DECIMAL.fullmatch(value.strip()) else 0


class TypeOrName(fields.Field[int | None]):
    """A log type by number or name; 0 stands for all and becomes None."""

    json_schema: ClassVar[JsonSchema] = {"type": "string", "enum": ["0", *log_types.spellings()]}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | None:
        text = value.strip()
        if _WHOLE.fullmatch(text) and len(text) <= _MOST_DIGITS and int(text) == 0:
            return None
        try:
            return int(log_types.parse(text))
        except InvalidValue as error:
            raise ValidationError(str(error).removeprefix("type: ")) from None


class PlainText(fields.String):
    """A text without NUL characters, which no database would find."""

    json_schema: ClassVar[JsonSchema] = {"type": "string", "pattern": r"^[^\x00]*$"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if "\0" in value:
            raise ValidationError("holds a NUL character")
        text: str = value
        return text


class Keyword(PlainText):
    """The same, and not blank."""

    json_schema: ClassVar[JsonSchema] = {"type": "string", "pattern": r"^[^\x00]*[^\x00\s][^\x00]*$"}


class Flag(fields.Boolean):
    """Yes or no, in any of the usual spellings."""

    json_schema: ClassVar[JsonSchema] = {"type": "string", "enum": sorted(_YES_OR_NO)}


class Names(fields.Field[tuple[str, ...]]):
    """Some of a few known names, separated by commas, each once."""

    def __init__(self, known: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = known

    @property
    def json_schema(self) -> JsonSchema:
        """An array, whose items stand behind one another with commas between."""
        return {"type": "array", "items": {"type": "string", "enum": list(self.known)}}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        for name in names:
            known(name, self.known)
        return names


class Name(fields.Field[str]):
    """One of a few known names."""

    def __init__(self, known: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = known

    @property
    def json_schema(self) -> JsonSchema:
        """One of the names."""
        return {"type": "string", "enum": list(self.known)}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return known(value.strip(), self.known)


def known(name: str, names: Sequence[str]) -> str:
    """Return a name that is one of some, or raise ValidationError."""
    if name not in names:
        raise ValidationError(f"unknown name {name[:40]!r}; known are {', '.join(names)}")
    return name


class TimeZone(fields.Field[ZoneInfo]):
    """A time zone by its IANA name."""

    json_schema: ClassVar[JsonSchema] = {"type": "string", "format": "iana-time-zone"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> ZoneInfo:
        try:
            return intervals.zone(value.strip())
        except InvalidValue as error:
            raise ValidationError(str(error)) from None
