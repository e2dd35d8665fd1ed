"""What every door for events does: tell valid events from others, store them together, know repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import orjson
from flask import request

from ..errors import InvalidValue
from ..server_turns import end_turn
from ..store import records
from ..store.idempotency import IdempotencyKey
from ..store.records import Record
from ..store.sorting import Read, Rejected, sorted_out
from . import bodies
from .auth import current_principal
from .responses import ApiError
from .state import current_state

#: Makes the fields of an event of a foreign record, given `quota_per_unit`, or raises ValueError.
Source = Callable[..., dict[str, Any]]

_MAX_KEY = 255


def store(raw_events: Sequence[Any], read: Read, key: IdempotencyKey | None) -> str:
    """Store the valid ones of some events in one transaction, and report the others one by one.

    Returns the JSON text of `{"accepted": ..., "rejected": [{"index": ..., "message": ...}]}`, or what was
    answered to the first post with this key. Raises ApiError 400 when there are events and none is valid.
    """
    accepted, rejected = sorted_out(raw_events, read, current_state().store.clock())
    if rejected and not accepted:
        current_state().store.observer.refused(len(rejected))
        first = f"the first, index {rejected[0].index}: {rejected[0].message}"
        raise ApiError(400, f"none of {len(rejected)} events was valid; {first}")
    return record(accepted, rejected, key)


def record(accepted: Sequence[Record], rejected: Sequence[Rejected], key: IdempotencyKey | None) -> str:
    """Store what was accepted and return the answer, as `store` does."""
    store = current_state().store
    if rejected:
        store.observer.refused(len(rejected))
    answer = orjson.dumps({"accepted": len(accepted), "rejected": rejected}).decode()
    # It waits for a commit, made by another thread.
    end_turn()
    return store.record(accepted, key=key, answer=answer)


def reader(source: Source) -> Read:
    """Return what reads a foreign record that came as JSON."""

    def read(event: Any, now: float) -> Record:
        try:
            payload = bodies.decoded(event)
        except ValueError as error:
            raise InvalidValue(f"not valid JSON ({error})") from None
        return mapped(source, payload, now)

    return read


def mapped(source: Source, payload: Any, now: float) -> Record:
    """Return the clean record of a foreign one. Raises InvalidValue naming the field and what is wrong."""
    try:
        fields = source(payload, quota_per_unit=current_state().settings.quota_per_unit)
    except ValueError as error:
        raise InvalidValue(str(error)) from None
    return records.from_mapping(fields, now=now)


def idempotency_key(content: bytes, *, repeats_itself: bool = False) -> IdempotencyKey | None:
    """Return the Idempotency-Key of this request; it counts per principal and route.

    `content` is what must be the same when the key is. With `repeats_itself` a request without a key has
    one all the same: its content, for what is sent twice in the same words is a repeat.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None and repeats_itself:
        key = f"content {sha256(content).hexdigest()}"
    if key is None:
        return None
    if not key.strip() or len(key) > _MAX_KEY:
        raise ApiError(400, f"Idempotency-Key: needs 1 to {_MAX_KEY} characters")
    principal = current_principal()
    caller = f"{principal.user_id}:{principal.username}"
    return IdempotencyKey.of(caller, request.endpoint or "", key, content)
