"""`POST /api/v1/events`, the path and the answers of OpenMeter: CloudEvents, in any of HTTP's three modes.

What is sent again in the same words is stored once for 24 hours. `source` and `id` alone would not do: see
`sources/cloudevents.py`.
"""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, request

from ..errors import InvalidValue
from ..sources import cloudevents
from ..store.records import Record
from . import bodies, intake
from .answers import RECORDED
from .auth import requires
from .described import Success, accepts, answers, answers_with
from .foreign import CLOUDEVENTS
from .responses import recorded, silence

PATH = "/api/v1/events"
_LABEL = "application/cloudevents"

bp = Blueprint("logservice_cloudevents", __name__)


@bp.post(PATH, strict_slashes=False, merge_slashes=False)
@answers(RECORDED)
@answers_with(Success("Everything was stored.", status=204))
@accepts(*CLOUDEVENTS)
@requires("writer", "admin")
def post_cloudevents() -> Response:
    """Store one CloudEvent or a batch; 204 says that nothing was refused.

    The attributes may stand in `ce-*` headers as well, with the data alone in the body. What is sent again in
    the same words is stored once for 24 hours.

    接收 CloudEvents（兼容 OpenMeter）。
    """
    body = bodies.read()
    if _is_binary():
        key = intake.idempotency_key(_headers() + body.content, repeats_itself=True)
        answer = intake.store([body.content], _binary_event, key)
    else:
        events = bodies.events(body)
        key = intake.idempotency_key(body.content, repeats_itself=bool(events))
        answer = intake.store(events, intake.reader(cloudevents.event), key)
    return recorded(answer) if orjson.loads(answer)["rejected"] else silence()


def _is_binary() -> bool:
    return not request.mimetype.startswith(_LABEL) and cloudevents.is_binary(request.headers.keys())


def _headers() -> bytes:
    """Return the attributes as they were sent: in binary mode they belong to what a repeat repeats."""
    sent = sorted((name.lower(), value) for name, value in request.headers if name.lower().startswith("ce-"))
    return repr(sent).encode()


def _binary_event(content: Any, now: float) -> Record:
    try:
        payload = cloudevents.from_headers(request.headers, content)
    except ValueError as error:
        raise InvalidValue(str(error)) from None
    return intake.mapped(cloudevents.event, payload, now)
