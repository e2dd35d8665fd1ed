"""`POST /v1/traces`: OTLP over HTTP. Everything here, failures included, is answered as OTLP demands.

An exporter that got no answer sends the same request again; what is sent again in the same words is stored
once for 24 hours. `LOGSERVICE_LEGACY_STATUS` means other clients than these.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from ..errors import InvalidValue, LogServiceError
from ..extras import how_to_install
from ..sources import otlp, otlp_json, otlp_protobuf
from ..sources.otlp import Span
from ..store.records import Record
from ..store.sorting import sorted_out
from . import bodies, intake
from .auth import requires
from .described import JSON, accepts, answers_with, fails, fails_with
from .foreign import PROTOBUF, TRACES, TRACES_TAKEN, rpc_status
from .responses import ApiError, answer_http_errors, domain_error, http_error, of_protocol
from .state import current_state

PATH = "/v1/traces"
#: Refusals that are told one by one; of the others there is the number.
MOST_NAMED = 20

bp = Blueprint("logservice_traces", __name__)


@bp.post(PATH, strict_slashes=False, merge_slashes=False)
@answers_with(TRACES_TAKEN)
@fails_with(rpc_status)
@fails(415, "Content-Type: text/csv is neither application/x-protobuf nor application/json")
@accepts(*TRACES)
@requires("writer", "admin")
def post_traces() -> Response:
    """Store the calls of models among some spans, by OTLP over HTTP.

    Protocol Buffers need `logservice[otlp]`. The answers, failures included, are those of OTLP. What is sent
    again in the same words is stored once for 24 hours.

    接收 OpenTelemetry（OTLP/HTTP）的 GenAI 跨度。
    """
    kind = _kind()
    content = bodies.unpacked()
    calls = _calls(kind, content)
    key = intake.idempotency_key(content, repeats_itself=True)
    accepted, rejected = sorted_out(calls, _read, current_state().store.clock())
    answer = intake.record(accepted, rejected, key if accepted else None)
    return _answer(orjson.loads(answer)["rejected"])


def _kind() -> str:
    kind = request.mimetype
    if not kind:
        raise ApiError(415, f"Content-Type: missing; it is {PROTOBUF} or {JSON}; {bodies.HOW_TO_SAY}")
    if kind not in (JSON, PROTOBUF):
        raise ApiError(
            415, f"Content-Type: {kind[:80]} is neither {PROTOBUF} nor {JSON}; {bodies.HOW_TO_SAY}"
        )
    if kind == PROTOBUF and not otlp_protobuf.is_installed():
        raise ApiError(415, f"Content-Type: {PROTOBUF} needs {how_to_install('otlp')}; {JSON} does not")
    return kind


def _calls(kind: str, content: bytes) -> list[Span]:
    """Return the spans that are calls. Raises ApiError for what holds no spans, or too many of any sort."""
    calls = []
    try:
        for span in _spans(kind, content):
            if span.index >= bodies.MOST_EVENTS:
                raise ApiError(413, f"body: more than {bodies.MOST_EVENTS} spans in one post")
            if otlp.is_call(span):
                calls.append(span)
    except otlp.TooMany as error:
        raise ApiError(413, f"body: {error}") from None
    except ValueError as error:
        raise ApiError(400, f"body: {error}") from None
    except RecursionError:
        raise ApiError(400, "body: nested too deeply") from None
    return calls


def _spans(kind: str, content: bytes) -> Iterator[Span]:
    if kind == PROTOBUF:
        return otlp_protobuf.spans(content, most=bodies.MOST_EVENTS)
    bodies.refuse_too_much(content)
    return otlp_json.spans(bodies.decoded(content))


def _read(span: Span, now: float) -> Record:
    try:
        return intake.mapped(otlp.event, span, now)
    except InvalidValue as error:
        raise InvalidValue(f"{otlp.name(span)}: {error}") from None


def _answer(rejected: list[dict[str, Any]]) -> Response:
    complaints = [entry["message"] for entry in rejected[:MOST_NAMED]]
    if len(rejected) > MOST_NAMED:
        complaints.append(f"and {len(rejected) - MOST_NAMED} more")
    body = _encoding().response(len(rejected), "; ".join(complaints))
    return of_protocol(body, mimetype=request.mimetype)


def failure(error: ApiError) -> Response:
    """Return a google.rpc.Status, in the encoding of the request if that is one of OTLP's."""
    kind = PROTOBUF if request.mimetype == PROTOBUF else JSON
    body = _encoding().status(error.message)
    return of_protocol(body, mimetype=kind, status=error.status, headers=error.headers)


def is_asked() -> bool:
    """Whether the request is for this path, whatever its method."""
    return request.path.rstrip("/").endswith(PATH)


def _encoding() -> ModuleType:
    return otlp_protobuf if request.mimetype == PROTOBUF else otlp_json


@bp.errorhandler(LogServiceError)
def _from_domain(error: LogServiceError) -> Response:
    return failure(domain_error(error))


def _from_http(error: HTTPException) -> Response:
    return failure(http_error(error))


bp.register_error_handler(ApiError, failure)
answer_http_errors(bp, _from_http)
