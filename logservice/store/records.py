"""Events at the door of the store: decoded, checked and made into clean rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta

from .. import moments
from ..errors import InvalidValue
from . import ids, log_types
from .log_types import LogType
from .refusals import expectations, in_words

#: The longest content and the longest `other`, in bytes of UTF-8.
MAX_TEXT = 64 * 1024
#: How far in the future `created_at` may lie, in seconds: clocks differ, milliseconds are a mistake.
FUTURE = 86400
MAX_DEPTH = 32
_LONGEST_SPELLING = 8 * MAX_TEXT  # not even decoded beyond: written anew, a text takes a sixth at least
_NO_OBJECT = "other: neither an object nor the JSON text of one"

# The descriptions are what a refused event is told.
Name = Annotated[str, Meta(max_length=128, description="a text of at most 128 characters")]
RequestId = Annotated[str, Meta(max_length=256, description="a text of at most 256 characters")]
Id = Annotated[int, Meta(ge=0, le=2**53 - 1, description="a whole number from 0 to 2^53 - 1")]
Count = Annotated[int, Meta(ge=0, le=10**10, description="a whole number from 0 to 10^10")]
Seconds = Annotated[float, Meta(ge=0, le=10**10, description="a number from 0 to 10^10")]
Quota = Annotated[int, Meta(ge=-(10**12), le=10**12, description="a whole number from -10^12 to 10^12")]
Hash = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$", description="64 hexadecimal digits")]
Moment = Annotated[int | float | str, Meta(description="epoch seconds, or a time in ISO 8601")]
Type = Annotated[int | str, Meta(description="the number or the name of a type")]


class Event(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One event as a producer sends it. Null means absent; `API.md` gives the meaning of each field."""

    created_at: Moment | None = None
    type: Type | None = None
    user_id: Id | None = None
    username: Name | None = None
    token_id: Id | None = None
    token_name: Name | None = None
    token_key: RequestId | None = None
    token_hash: Hash | None = None
    model_name: Name | None = None
    channel_id: Id | None = None
    channel_name: Name | None = None
    group: Name | None = None
    quota: Quota | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    cached_tokens: Count | None = None
    use_time: Seconds | None = None
    use_time_ms: Count | None = None
    first_token_ms: Count | None = None
    is_stream: bool | None = None
    ip: Name | None = None
    request_id: RequestId | None = None
    content: str | None = None
    other: msgspec.Raw = msgspec.Raw(b"null")
    # An exported row can be posted as it is: the id is assigned anew, and `channel` repeats `channel_id`.
    id: int | None = None
    channel: Id | None = None


@dataclass(slots=True)
class Record:
    """A clean event: its second, its columns, the hash of the API key it came with, and the id it keeps.

    `whose` are its columns as they are once its user and its token are known, where that comes first.
    """

    second: int
    row: dict[str, Any]
    key_hash: str | None = None
    row_id: int | None = None
    whose: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        """Return its time and its columns, for people to look at."""
        return {"created_at": self.second, **self.row}


_EXPECTED = expectations(Event)
#: The names of all fields of an event.
FIELDS = frozenset(Event.__struct_fields__)

_decode = msgspec.json.Decoder(Event)
#: The fields that are stored as texts.
TEXTS = (
    "username",
    "token_name",
    "model_name",
    "group",
    "ip",
    "request_id",
    "channel_name",
    "content",
    "other",
)
_texts = itemgetter(*TEXTS)


def from_json(raw: bytes | msgspec.Raw, *, now: float, keep_id: bool = False) -> Record:
    """Return the clean record of one JSON object. Raises InvalidValue naming the field and what is wrong.

    With `keep_id` an id that belongs to the second of the record is kept; otherwise ids are given anew.
    """
    try:
        event = _decode.decode(raw)
    except (msgspec.MsgspecError, UnicodeError) as error:
        if _is_about_a_float(error):
            return from_mapping(_load_event(raw), now=now, keep_id=keep_id)
        raise InvalidValue(in_words(error, _EXPECTED)) from None
    except RecursionError:
        raise InvalidValue("the event is nested too deeply") from None
    raw = bytes(event.other)
    other = other_text(_load(raw)) if raw.startswith(b'"') else _written_anew(raw)
    return _clean(event, other, now, keep_id=keep_id)


def from_mapping(fields: Mapping[str, Any], *, now: float, keep_id: bool = False) -> Record:
    """Return the clean record of one event given as a mapping. Raises InvalidValue like `from_json`."""
    if not isinstance(fields, Mapping):
        raise InvalidValue("the event is no object")
    others = {name: value for name, value in fields.items() if name != "other"}
    try:
        event = _converted(others)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidValue(in_words(error, _EXPECTED)) from None
    return _clean(event, other_text(fields.get("other")), now, keep_id=keep_id)


def _converted(fields: Mapping[str, Any]) -> Event:
    """Return an event of its fields. 1500.0 is whole as well: Python writes a computed number like that."""
    try:
        return msgspec.convert(fields, Event)
    except msgspec.ValidationError as error:
        if not _is_about_a_float(error):
            raise
    whole = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in fields.items()
    }
    return msgspec.convert(whole, Event)


def _is_about_a_float(error: Exception) -> bool:
    return "got `float`" in str(error)


def _load_event(raw: bytes | msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidValue(in_words(error, _EXPECTED)) from None
    except RecursionError:
        raise InvalidValue("the event is nested too deeply") from None


def from_columns(created_at: float, row: dict[str, Any], *, now: float) -> Record:
    """Return the record of a row that has all its columns, within the limits of `Event`.

    Only `type` may be any number. Raises InvalidValue for a time, or a text, that cannot be stored.
    """
    if not _plainly_storable("".join(_texts(row))):
        _refuse_unstorable(row)
    return Record(_second(created_at, now), row)


def _clean(event: Event, other: str, now: float, *, keep_id: bool) -> Record:
    second = _second(event.created_at, now)
    kept_id = event.id if keep_id and event.id is not None and ids.second_of(event.id) == second else None
    row = {
        "type": _type(event.type, is_ours=kept_id is not None),
        "user_id": event.user_id or 0,
        "token_id": event.token_id or 0,
        "channel_id": event.channel_id or event.channel or 0,
        "quota": event.quota or 0,
        "prompt_tokens": event.prompt_tokens or 0,
        "completion_tokens": event.completion_tokens or 0,
        "cached_tokens": event.cached_tokens or 0,
        "use_time_ms": _milliseconds(event),
        "first_token_ms": event.first_token_ms or 0,
        "is_stream": bool(event.is_stream),
        "username": event.username or "",
        "token_name": event.token_name or "",
        "model_name": event.model_name or "",
        "group": event.group or "",
        "ip": event.ip or "",
        "request_id": event.request_id or "",
        "channel_name": event.channel_name or "",
        "content": event.content or "",
        "other": other,
    }
    if not _plainly_storable("".join(_texts(row))):
        _refuse_unstorable(row)
    return Record(second, row, _key_hash(event), kept_id)


def hash_key(key: str) -> str:
    """Return the SHA-256 of an API key in hex, as LiteLLM hashes it: of `sk-` and the bare key."""
    return sha256(f"sk-{key.removeprefix('sk-')}".encode("utf-8", "surrogatepass")).hexdigest()


def key_hashes(key: str) -> list[str]:
    """Return the hashes a key may be stored under: as `sk-` + bare, as given, and bare."""
    bare = key.removeprefix("sk-")
    return [
        sha256(form.encode("utf-8", "surrogatepass")).hexdigest()
        for form in dict.fromkeys((f"sk-{bare}", key, bare))
    ]


def other_text(value: Any) -> str:
    """Return `other` written anew, so that no spelling of a key escapes what is left out for others later.

    Takes an object, the JSON text of one, an empty text or None. Raises InvalidValue for anything else.
    """
    if isinstance(value, str):
        return _written_anew(value.encode("utf-8", "surrogatepass")) if value.strip() else ""
    if value is None:
        return ""
    if not isinstance(value, dict):
        raise InvalidValue(_NO_OBJECT)
    _refuse_unfit(value)
    return _dump(value).decode() if value else ""


def _written_anew(text: bytes) -> str:
    """Return the JSON text of an object, or of null, as this service writes it."""
    if len(text) > _LONGEST_SPELLING:
        raise InvalidValue(f"other: longer than {MAX_TEXT} bytes, however it is written")
    value = _load(text)
    if value is None:
        return ""
    if not isinstance(value, dict):
        raise InvalidValue(_NO_OBJECT)
    # Each level begins with a bracket: few of them cannot be nested deeply. Numbers were checked in parsing.
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        _refuse_unfit(value)
    return _dump(value).decode() if value else ""


def _load(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidValue("other: not valid JSON") from None


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise InvalidValue(f"other: cannot be written as JSON ({error})") from None


def _refuse_unfit(value: Any) -> None:
    """Refuse what is nested too deeply or holds a number that JSON does not know; without recursion."""
    depth, level = 0, [value]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidValue(f"other: nested deeper than {MAX_DEPTH} levels")
        inner = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
        if any(isinstance(part, float) and not math.isfinite(part) for part in inner):
            raise InvalidValue("other: holds a number that is not finite")
        level = [part for part in inner if isinstance(part, dict | list)]


def _second(created_at: int | float | str | None, now: float) -> int:
    if created_at is None:
        return int(now)
    moment = _epoch(created_at) if isinstance(created_at, str) else created_at
    if isinstance(moment, float) and not math.isfinite(moment):
        raise InvalidValue("created_at: not a finite number")
    second = math.floor(moment)
    if second > now + FUTURE:
        hint = "; is it in milliseconds?" if second > 10**11 else ""
        raise InvalidValue(f"created_at: {second} is more than a day in the future{hint}")
    if not ids.MIN_SECOND <= second <= ids.MAX_SECOND:
        raise InvalidValue(f"created_at: {second} is not after the start of 1970")
    return second


def _epoch(text: str) -> float:
    try:
        moment = moments.read(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidValue(
            f"created_at: {text[:40]!r} is neither epoch seconds nor ISO 8601 with a time zone"
        )
    return moment.timestamp()


def _type(value: int | str | None, *, is_ours: bool) -> int:
    """Return the number of a type. A row of ours may have one without a name, that of a gateway once."""
    if value is None or value == "":
        return int(LogType.CONSUME)
    number = log_types.nameless(value) if is_ours else None
    return int(log_types.parse(value)) if number is None else number


def _milliseconds(event: Event) -> int:
    if event.use_time_ms is not None:
        return event.use_time_ms
    return round((event.use_time or 0) * 1000)


def _plainly_storable(text: str) -> bool:
    """Whether all texts of a row, joined, show at a glance that none of them is to be refused."""
    return len(text) <= MAX_TEXT // 4 and "\0" not in text and (text.isascii() or _can_be_encoded(text))


def _can_be_encoded(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_unstorable(row: Mapping[str, Any]) -> None:
    for name in TEXTS:
        if not _can_be_encoded(row[name]):
            raise InvalidValue(f"{name}: holds half of a surrogate pair, which is no character")
        if len(row[name].encode()) > MAX_TEXT:
            raise InvalidValue(f"{name}: longer than {MAX_TEXT} bytes")
        if "\0" in row[name]:
            raise InvalidValue(f"{name}: holds a NUL character")


def _key_hash(event: Event) -> str | None:
    if event.token_hash:
        return event.token_hash.lower()
    return hash_key(event.token_key) if event.token_key else None
