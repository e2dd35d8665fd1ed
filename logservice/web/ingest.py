"""Where events come in: our own, and those of producers that speak a format of their own.

Two blueprints, for two prefixes: the events of the specification's own API lie beside the logs, foreign
formats below a prefix the application chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
from flask import Blueprint, Response, request

from ..errors import InvalidValue
from ..sources import litellm
from ..store import records
from ..store.idempotency import IdempotencyKey
from ..store.records import Record
from ..store.sorting import Read, sorted_out
from . import bodies
from .auth import current_principal, requires
from .bodies import Body
from .responses import ApiError, recorded
from .state import current_state

events_bp = Blueprint("logservice_events", __name__)
sources_bp = Blueprint("logservice_sources", __name__)

_MAX_KEY = 255


@events_bp.post("", strict_slashes=False, merge_slashes=False)
@requires("writer", "admin")
def post_events() -> Response:
    """Store one event, an array of events, or one on each line."""
    body = bodies.read()
    return _store(body, bodies.events(body), _own_event)


@sources_bp.post("/litellm", strict_slashes=False, merge_slashes=False)
@requires("writer", "admin")
def post_litellm() -> Response:
    """Store what LiteLLM's `generic_api` callback sends, in any of its three forms."""
    body = bodies.read()
    return _store(body, bodies.events(body, lines_unlabelled=True), _litellm_event)


def _own_event(event: Any, now: float) -> Record:
    if isinstance(event, bytes | msgspec.Raw):
        return records.from_json(event, now=now)
    return records.from_mapping(event, now=now)


def _litellm_event(event: Any, now: float) -> Record:
    try:
        payload = bodies.decoded(event)
    except ValueError as error:
        raise InvalidValue(f"not valid JSON ({error})") from None
    quota_per_unit = current_state().settings.quota_per_unit
    try:
        fields = litellm.event(payload, quota_per_unit=quota_per_unit)
    except ValueError as error:
        raise InvalidValue(str(error)) from None
    return records.from_mapping(fields, now=now)


def _store(body: Body, raw_events: Sequence[Any], read: Read) -> Response:
    """Store the valid ones of some events in one transaction and report the others one by one."""
    store = current_state().store
    key = _idempotency_key(body)
    accepted, rejected = sorted_out(raw_events, read, store.clock())
    if rejected and not accepted:
        first = f"the first, index {rejected[0].index}: {rejected[0].message}"
        raise ApiError(400, f"none of {len(rejected)} events was valid; {first}")
    answer = orjson.dumps({"accepted": len(accepted), "rejected": rejected}).decode()
    return recorded(store.record(accepted, key=key, answer=answer))


def _idempotency_key(body: Body) -> IdempotencyKey | None:
    """Return the Idempotency-Key of this request; it counts per principal and route."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not key.strip() or len(key) > _MAX_KEY:
        raise ApiError(400, f"Idempotency-Key: needs 1 to {_MAX_KEY} characters")
    principal = current_principal()
    caller = f"{principal.user_id}:{principal.username}"
    return IdempotencyKey.of(caller, request.endpoint or "", key, body.content)
