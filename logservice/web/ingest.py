"""Where events come in: our own, and those of producers that speak a format of their own.

Two blueprints, for two prefixes: the events of the specification's own API lie beside the logs, foreign
formats below a prefix the application chooses. Protocols that prescribe path and answer have modules of their
own.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response

from ..sources import cliproxyapi, litellm
from ..store import records
from ..store.records import Record
from ..store.sorting import Read
from . import bodies, intake
from .answers import RECORDED
from .auth import requires
from .described import accepts, answers
from .events import EVENTS, LINES
from .foreign import CLIPROXYAPI, LITELLM
from .responses import recorded

events_bp = Blueprint("logservice_events", __name__)
sources_bp = Blueprint("logservice_sources", __name__)


@events_bp.post("", strict_slashes=False, merge_slashes=False)
@answers(RECORDED)
@accepts(EVENTS, LINES)
@requires("writer", "admin")
def post_events() -> Response:
    """Store one event, an array of events, or one on each line.

    Good events are on disk before the answer comes, and bad ones are reported by their place; when none was
    good, the answer is a 400. The body may be packed with gzip (`Content-Encoding: gzip`).

    写入事件：单条、数组，或每行一条（NDJSON）。
    """
    body = bodies.read()
    key = intake.idempotency_key(body.content)
    return recorded(intake.store(bodies.events(body), own_event, key))


@sources_bp.post("/litellm", strict_slashes=False, merge_slashes=False)
@answers(RECORDED)
@accepts(*LITELLM)
@requires("writer", "admin")
def post_litellm() -> Response:
    """Store what LiteLLM's `generic_api` callback sends, in any of its three forms.

    接收 LiteLLM 的 generic_api 回调。
    """
    return _foreign(intake.reader(litellm.event))


@sources_bp.post("/cliproxyapi", strict_slashes=False, merge_slashes=False)
@answers(RECORDED)
@accepts(*CLIPROXYAPI)
@requires("writer", "admin")
def post_cliproxyapi() -> Response:
    """Store usage records of CLIProxyAPI: one, an array as its usage queue gives it, or one on each line.

    接收 CLIProxyAPI 的用量记录。
    """
    return _foreign(intake.reader(cliproxyapi.event))


def _foreign(read: Read) -> Response:
    body = bodies.read()
    events = bodies.events(body, lines_unlabelled=True)
    return recorded(intake.store(events, read, intake.idempotency_key(body.content)))


def own_event(event: Any, now: float) -> Record:
    """Return the clean record of an event of ours, as JSON or decoded. Raises InvalidValue."""
    if isinstance(event, bytes | msgspec.Raw):
        return records.from_json(event, now=now)
    return records.from_mapping(event, now=now)
