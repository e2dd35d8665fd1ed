"""Events as lines of JSON.

They are written while the caller waits, which takes microseconds: so the size is known, and what the caller
does with the event afterwards changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The most characters an event may hold. The service takes 64 KiB of `content` and as much of `other`;
#: writing something many times as long would make the caller wait, only to be refused afterwards.
LONGEST = 160 * 1024

_WITH_LENGTH = (str, dict, list, tuple)
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Unwritable:
    """An event that is refused before it is sent, and why."""

    event: Any
    message: str


def line(event: Any, fields: Mapping[str, Any], now: float) -> bytes | Unwritable:
    """Return the line of an event, given as a mapping or None and as keywords, where keywords count.

    `created_at` is `now` where it is absent, so that the event keeps its time however late it arrives.
    """
    if event is not None and not isinstance(event, Mapping):
        return Unwritable(event, f"the event is no mapping but {type(event).__name__}")
    whole = {**event, **fields} if event else dict(fields)
    if whole.get("created_at") is None:
        whole["created_at"] = now
    if _is_too_long(whole):
        return Unwritable(whole, f"the event: longer than {LONGEST} characters")
    try:
        return _write(whole).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return Unwritable(whole, f"the event: cannot be written as JSON ({error})")


def _is_too_long(event: dict[str, Any]) -> bool:
    """Whether texts and members alone exceed the limit; stops as soon as it is known."""
    left, parts = LONGEST, [event]
    while parts:
        part: Any = parts.pop()
        if isinstance(part, _WITH_LENGTH):
            left -= len(part)
            if left < 0:
                return True
            if isinstance(part, dict):
                parts.extend(part.values())
                parts.extend(part)
            elif not isinstance(part, str):
                parts.extend(part)
    return False
