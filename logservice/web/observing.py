"""What is seen of every request of ours: its id, its route, its client, and how long it took."""

from __future__ import annotations

import logging
import re
import secrets
from functools import partial
from time import perf_counter

from flask import Blueprint, Flask, Response, has_request_context, request

from ..environ import CLIENT, REQUEST_ID, ROUTE
from ..masking import mask
from ..server_threads import waited_to_begin
from .auth import client_address
from .state import current_state

HEADER = "X-Request-ID"
_BEGAN, _SEEN = "logservice.began", "logservice.seen"
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def observe(part: Flask | Blueprint) -> None:
    """Observe the requests of an application or of a blueprint; one that belongs to both is counted once."""
    part.before_request(_begin)
    part.after_request(_finish)


def request_id() -> str:
    """Return the id of this request: the one it came with if that is plain and short, or a new one."""
    environ = request.environ
    if REQUEST_ID not in environ:
        sent = request.headers.get(HEADER, "")
        # A key in the wrong place is not to be repeated.
        is_plain = _PLAIN.fullmatch(sent) is not None and mask(sent) == sent
        environ[REQUEST_ID] = sent if is_plain else secrets.token_hex(8)
    found: str = environ[REQUEST_ID]
    return found


def naming_requests(record: logging.LogRecord) -> bool:
    """Have what is logged during a request begin with its id."""
    if has_request_context() and REQUEST_ID in request.environ:
        record.msg, record.args = f"[{request_id()}] {record.getMessage()}", ()
    return True


def _begin() -> None:
    request_id()
    # For its client it began before: when a worker saw that it was there.
    request.environ.setdefault(_BEGAN, perf_counter() - waited_to_begin.get())


def _finish(response: Response) -> Response:
    environ = request.environ
    if _SEEN in environ:
        return response
    environ[_SEEN] = True
    response.headers[HEADER] = request_id()
    route = None if request.url_rule is None else request.url_rule.rule
    environ[ROUTE] = route
    if "HTTP_X_FORWARDED_FOR" in environ:
        environ[CLIENT] = client_address()
    metrics = current_state().metrics
    if metrics is not None:
        answered = partial(
            metrics.answered, route, request.method, response.status_code, environ.get(_BEGAN, perf_counter())
        )
        # A file that is sent while it is read takes as long as that.
        response.call_on_close(answered) if response.is_streamed else answered()
    return response
