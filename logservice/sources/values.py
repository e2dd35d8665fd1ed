"""Values of foreign records, read one by one into what an event of ours may hold.

A reader takes a path, to name it in errors, and the value found there. It returns None for a value that
holds nothing, and raises ValueError for one that cannot be what it is said to be. Producers seldom look at
answers, so what is merely longer or larger than ours may be is cut, and not refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import orjson

from .. import moments
from ..store.records import MAX_TEXT

Reader = Callable[[str, Any], Any]
#: The readers of a format, by the field each fills, with the dotted paths it looks at in turn.
Fields = Mapping[str, tuple[Reader, tuple[str, ...]]]

# The limits of our own events.
LONGEST_NAME = 128
LONGEST_REQUEST_ID = 256
LARGEST_COUNT = 10**10
LARGEST_QUOTA = 10**12

DEEPEST = 8
ROOM_FOR_DROPPED = 256
SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def found(payload: Mapping[str, Any], table: Fields, *, flat: bool = False) -> dict[str, Any]:
    """Return what a table finds: for each name, the first of its paths that holds something.

    With `flat`, the paths are keys of the payload as they stand, dots included.
    """
    look = _under_key if flat else at
    values = {
        field: next((value for path in paths if (value := read(path, look(payload, path))) is not None), None)
        for field, (read, paths) in table.items()
    }
    return {field: value for field, value in values.items() if value is not None}


def _under_key(payload: Mapping[str, Any], key: str) -> Any:
    return payload.get(key)


def at(payload: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; None where any part of the way is null, missing or no object."""
    value: Any = payload
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def moment(path: str, value: Any) -> float | None:
    """Return epoch seconds from a number or from ISO 8601 with a zone."""
    if not isinstance(value, str):
        return number(path, value)
    try:
        read = moments.read(value)
    except ValueError:
        raise ValueError(f"{path}: must be epoch seconds or an ISO 8601 time") from None
    if read.tzinfo is None:
        raise ValueError(f"{path}: must name its time zone")
    return read.timestamp()


def number(path: str, value: Any) -> float | None:
    """Return a finite number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path}: must be a number")
    # Compared, not converted: an integer of hundreds of digits does not fit a float.
    if not -1e300 <= value <= 1e300:
        raise ValueError(f"{path}: must be a finite number")
    return float(value)


def bounded(value: float, least: int, most: int) -> int:
    """Return a number rounded and cut to limits."""
    return round(min(max(value, least), most))


def count(path: str, value: Any) -> int | None:
    """Return a number of tokens or of milliseconds, cut to the most that is kept."""
    read = number(path, value)
    if read is None:
        return None
    if read < 0 or not read.is_integer():
        raise ValueError(f"{path}: must be a whole number, 0 or more")
    return bounded(read, 0, LARGEST_COUNT)


def milliseconds(start: float, end: float) -> int:
    """Return how long something took, between two times in seconds."""
    return bounded((end - start) * 1000, 0, LARGEST_COUNT)


def quota(cost: float, quota_per_unit: float) -> int:
    """Return the quota of a cost in US dollars."""
    return bounded(cost * quota_per_unit, -LARGEST_QUOTA, LARGEST_QUOTA)


def text(path: str, value: Any) -> str | None:
    """Return a text that any database can hold, or None; "" stands for nothing as well."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{path}: must be text")
    return clean(value) or None


def clean(value: str) -> str:
    """Return a text without NUL, which PostgreSQL refuses, and lone surrogates, which are no UTF-8."""
    return value.replace("\0", "").encode("utf-8", "ignore").decode()


def name(path: str, value: Any) -> str | None:
    """Return a name, cut to the most that is kept."""
    read = text(path, value)
    return read and read[:LONGEST_NAME]


def user_name(path: str, value: Any) -> str | None:
    """Return a name unlike every other one: two users whose long names begin alike are two users."""
    read = text(path, value)
    if read is None or len(read) <= LONGEST_NAME:
        return read
    return f"{read[: LONGEST_NAME - 17]}~{sha256(read.encode()).hexdigest()[:16]}"


def request_id(path: str, value: Any) -> str | None:
    """Return a request id, cut to the most that is kept."""
    read = text(path, value)
    return read and read[:LONGEST_REQUEST_ID]


def key_hash(path: str, value: Any) -> str | None:
    """Return the hash of a key; None for whatever else stands there, which may be the key itself."""
    return value.lower() if isinstance(value, str) and SHA256.fullmatch(value) else None


def ip(path: str, value: Any) -> str | None:
    """Return the first address of what may be a whole X-Forwarded-For; None for names such as "unknown"."""
    first = (text(path, value) or "").partition(",")[0].strip()
    if first.startswith("["):
        first = first[1:].partition("]")[0]
    elif first.count(":") == 1:
        first = first.partition(":")[0]
    try:
        return str(ipaddress.ip_address(first.partition("%")[0]))
    except ValueError:
        return None


def content(path: str, value: Any) -> str | None:
    """Return a long text, shortened to the most that is kept, and then it says so."""
    read = text(path, value)
    encoded = (read or "").encode()
    if len(encoded) <= MAX_TEXT:
        return read
    note = f"... [shortened from {len(encoded)} bytes]"
    return encoded[: MAX_TEXT - len(note)].decode("utf-8", "ignore") + note


def parts(value: Any) -> dict[str, Any]:
    """Return what `lean` leaves of an object; nothing of anything else."""
    left = lean(value)
    return left if isinstance(left, dict) else {}


def lean(value: Any, depth: int = DEEPEST) -> Any:
    """Return a JSON value without the parts that say nothing; None when nothing is left.

    What JSON cannot carry everywhere (NaN, numbers beyond 64 bits) and what nobody reads (deep nesting) goes
    as well.
    """
    if isinstance(value, str):
        return clean(value) or None
    if isinstance(value, int | float):
        return value if -(2**63) <= value < 2**63 else None
    if depth and isinstance(value, Mapping):
        pairs = ((clean(str(key)), lean(part, depth - 1)) for key, part in value.items())
        return {key: part for key, part in pairs if part is not None} or None
    if depth and isinstance(value, list | tuple):
        items = (lean(item, depth - 1) for item in value)
        return [item for item in items if item is not None] or None
    return None


def fitting(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that fit the limit together, the largest dropped first and named under `dropped`."""
    sizes = {key: len(orjson.dumps({key: part})) for key, part in parts.items()}
    dropped: list[str] = []
    while sum(sizes.values()) > MAX_TEXT - ROOM_FOR_DROPPED:
        dropped.append(max(sizes, key=sizes.__getitem__))
        del sizes[dropped[-1]]
    kept = {key: parts[key] for key in sizes}
    return kept | {"dropped": dropped} if dropped else kept
