"""Rows of the log table of new-api and one-api, turned into records of ours.

The two are told apart by their columns: one-api notes how long a call took as `elapsed_time` in milliseconds,
new-api as `use_time` in seconds. They number the kinds of rows differently too: new-api has 4 for system and
5 for error, one-api 4 for system and 5 for a test of a channel; both write 0 where the kind is unknown.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from ..errors import InvalidValue
from ..store import log_types, records
from ..store.log_types import LogType
from ..store.records import MAX_DEPTH, MAX_TEXT, Record
from . import values


class Flavour(enum.Enum):
    """Whose log table it is."""

    NEW_API = "new-api"
    ONE_API = "one-api"


class GatewayRow(NamedTuple):
    """The columns of a log row that are read; None where the table has no such column."""

    id: int
    created_at: Any
    type: Any
    user_id: Any = None
    username: Any = None
    token_id: Any = None
    token_name: Any = None
    model_name: Any = None
    channel_id: Any = None
    group: Any = None
    quota: Any = None
    prompt_tokens: Any = None
    completion_tokens: Any = None
    use_time: Any = None
    elapsed_time: Any = None
    is_stream: Any = None
    ip: Any = None
    request_id: Any = None
    content: Any = None
    other: Any = None
    system_prompt_reset: Any = None


#: What every version of either gateway has; the columns a table must have to be its log.
REQUIRED = frozenset(
    {
        *("id", "created_at", "type", "user_id", "username", "token_name", "model_name", "content"),
        *("quota", "prompt_tokens", "completion_tokens"),
    }
)
#: The kinds that a gateway numbers otherwise than we do.
_KINDS = {
    Flavour.NEW_API: {0: LogType.MANAGE, 4: LogType.SYSTEM, 5: LogType.ERROR},
    Flavour.ONE_API: {0: LogType.MANAGE, 4: LogType.SYSTEM, 5: LogType.MANAGE},
}
_ONE_API_TEST = 5
_LARGEST_KIND = 2**31 - 1
_LARGEST_ID = 2**53 - 1
_LARGEST_SECONDS = values.LARGEST_COUNT // 1000
_TRUE = (True, 1, "1", "t", "true", b"\x01")
_NAMES = ("username", "token_name", "model_name", "group", "ip", "channel_name")
_names = itemgetter(*_NAMES)


def recognise(columns: Collection[str]) -> Flavour:
    """Return whose log table has these columns. Raises InvalidValue naming a column that is missing."""
    if missing := sorted(REQUIRED - set(columns)):
        raise InvalidValue(
            f"the table logs has no column {missing[0]}: it is neither new-api's nor one-api's"
        )
    if "elapsed_time" in columns:
        return Flavour.ONE_API
    # The first versions of one-api noted no time at all.
    return Flavour.NEW_API if {"use_time", "group"} & set(columns) else Flavour.ONE_API


def recognise_fields(names: Collection[str]) -> Flavour | None:
    """Return whose log rows have fields of these names; None where they are ours, or nobody's."""
    if "use_time_ms" in names or not set(names) >= REQUIRED:
        return None
    return recognise(names) if {"use_time", "elapsed_time"} & set(names) else None


def is_known(kind: int) -> bool:
    """Whether the kind of a record is one that this service has a name for."""
    return kind in log_types.NAMES


def record(row: GatewayRow, flavour: Flavour, *, channels: Mapping[int, str], now: float) -> Record:
    """Return the record of a row; `channels` are the names of channels by id.

    What is longer or larger than ours may be is cut. Raises InvalidValue, naming the column, for a row that
    cannot be stored: a time outside 1970 .. tomorrow, or something else than a number where one must be.
    """
    number = _whole("type", row.type)
    said = _other(row.other)
    if flavour is Flavour.ONE_API and number == _ONE_API_TEST:
        said["test"] = True
    if _flag(row.system_prompt_reset):
        said["system_prompt_reset"] = True
    channel_id = _id("channel_id", row.channel_id)
    columns = {
        "type": _kind(number, flavour),
        "user_id": _id("user_id", row.user_id),
        "token_id": _id("token_id", row.token_id),
        "channel_id": channel_id,
        "quota": _quota(row.quota),
        "prompt_tokens": _count("prompt_tokens", row.prompt_tokens),
        "completion_tokens": _count("completion_tokens", row.completion_tokens),
        "cached_tokens": _of_other(said, "cache_tokens"),
        "use_time_ms": _use_time(row),
        "first_token_ms": _of_other(said, "frt"),
        "is_stream": _flag(row.is_stream),
        "username": _text("username", row.username),
        "token_name": _text("token_name", row.token_name),
        "model_name": _text("model_name", row.model_name),
        "group": _text("group", row.group),
        "ip": _text("ip", row.ip),
        "request_id": _text("request_id", row.request_id),
        "channel_name": channels.get(channel_id, ""),
        "content": _text("content", row.content),
        "other": _text_of(said),
    }
    _cut(columns)
    return _stored(row, columns, now)


def from_fields(fields: Mapping[str, Any], flavour: Flavour, *, now: float) -> Record:
    """Return the record of a row given as its fields by name, as a gateway exports or answers them."""
    row = GatewayRow._make(map(fields.get, GatewayRow._fields))
    if row.channel_id is None:
        row = row._replace(channel_id=fields.get("channel"))
    name = str(fields.get("channel_name") or "")
    return record(row, flavour, channels={_id("channel_id", row.channel_id): name}, now=now)


def _stored(row: GatewayRow, columns: dict[str, Any], now: float) -> Record:
    created_at = _whole("created_at", row.created_at)
    try:
        return records.from_columns(created_at, columns, now=now)
    except InvalidValue:
        # It may be a character that cannot be stored; if it was the time, that fails again.
        texts = {name: values.clean(value) for name, value in columns.items() if isinstance(value, str)}
        return records.from_columns(created_at, columns | texts, now=now)


def _cut(columns: dict[str, Any]) -> None:
    """Cut texts that are longer than ours may be."""
    if sum(map(len, _names(columns))) > values.LONGEST_NAME:
        for name in _NAMES:
            read = values.user_name if name == "username" else values.name
            columns[name] = read(name, columns[name]) or ""
    if len(columns["request_id"]) > values.LONGEST_REQUEST_ID:
        columns["request_id"] = columns["request_id"][: values.LONGEST_REQUEST_ID]
    if len(columns["content"]) > MAX_TEXT // 4:
        columns["content"] = values.content("content", columns["content"]) or ""


def _kind(number: int, flavour: Flavour) -> int:
    """Return our number of a kind; one that no gateway is known to use is kept."""
    if not -_LARGEST_KIND <= number <= _LARGEST_KIND:
        raise InvalidValue(f"type: {number} is no number of a kind")
    return int(_KINDS[flavour].get(number, number))


def _flag(value: Any) -> bool:
    return (value.strip().lower() if isinstance(value, str) else value) in _TRUE


def _text(column: str, value: Any) -> str:
    """Return a text; SQLite keeps whatever somebody wrote into a column, whatever its type."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, int | float):
        return str(value)
    raise InvalidValue(f"{column}: {type(value).__name__} is no text")


def _use_time(row: GatewayRow) -> int:
    if row.elapsed_time is not None:
        return _count("elapsed_time", row.elapsed_time)
    if type(row.use_time) is int and 0 <= row.use_time <= _LARGEST_SECONDS:
        return row.use_time * 1000
    return values.bounded(_number("use_time", row.use_time) * 1000, 0, values.LARGEST_COUNT)


def _quota(value: Any) -> int:
    if type(value) is int and -values.LARGEST_QUOTA <= value <= values.LARGEST_QUOTA:
        return value
    return values.bounded(_whole("quota", value), -values.LARGEST_QUOTA, values.LARGEST_QUOTA)


def _count(column: str, value: Any) -> int:
    if type(value) is int and 0 <= value <= values.LARGEST_COUNT:
        return value
    return values.bounded(_whole(column, value), 0, values.LARGEST_COUNT)


def _id(column: str, value: Any) -> int:
    """Return an id; 0, which stands for none, in place of one that cannot be."""
    if type(value) is int and 0 <= value <= _LARGEST_ID:
        return value
    number = _whole(column, value)
    return number if 0 <= number <= _LARGEST_ID else 0


def _whole(column: str, value: Any) -> int:
    return value if type(value) is int else int(_number(column, value))


def _number(column: str, value: Any) -> float:
    """Return a number, be it written as text; 0 for nothing."""
    if value is None or value == "":
        return 0
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidValue(f"{column}: {str(value)[:40]!r} is no number") from None
    if not -1e300 <= number <= 1e300:
        raise InvalidValue(f"{column}: not a finite number")
    return number


def _of_other(said: Mapping[str, Any], name: str) -> int:
    """Return a count that new-api keeps in `other`; -1000 stands there for a first token that never came."""
    value = said.get(name)
    if not isinstance(value, int | float) or value <= 0:
        return 0
    return value if type(value) is int and value <= values.LARGEST_COUNT else _count(name, value)


def _other(value: Any) -> dict[str, Any]:
    """Return what stands in `other`; what is no JSON object as `{"raw": ...}`."""
    if isinstance(value, Mapping):
        value = records.other_text(dict(value))
    text = _text("other", value)
    if text == "":
        return {}
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"raw": values.clean(text)}
    if said is None:
        return {}
    return said if isinstance(said, dict) and not _is_deep(text) else {"raw": text}


def _is_deep(text: str) -> bool:
    """Whether an object is nested deeper than we keep them; few brackets cannot be."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    try:
        records.other_text(text)
    except InvalidValue:
        return True
    return False


def _text_of(said: dict[str, Any]) -> str:
    """Return the JSON text of an object, without its largest parts where it is too long."""
    if not said:
        return ""
    text = orjson.dumps(said)
    if len(text) <= MAX_TEXT // 4:
        return text.decode()
    if isinstance(said.get("raw"), str):
        # A character may take six bytes when it is written as JSON.
        said = said | {"raw": said["raw"][: MAX_TEXT // 8] + "... [shortened]"}
    return orjson.dumps(values.fitting(said)).decode()
