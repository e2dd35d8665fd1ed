"""What only the standalone application has: answers for unknown URLs and for its own mistakes, health."""

from __future__ import annotations

import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from ..errors import LogServiceError
from . import observing, queueing, traces
from .answers import OK
from .described import UNREACHABLE, answers, fails, keeps_status
from .responses import ApiError, as_it_says, domain_error, failure, http_error, success
from .routes import never_stored
from .state import current_state

log = logging.getLogger("logservice")


def init_app(app: Flask) -> None:
    """Add them to an application that is ours alone."""
    # `//` in a path would be answered by a redirect.
    app.url_map.merge_slashes = False
    app.register_error_handler(ApiError, _failure)
    app.register_error_handler(LogServiceError, lambda error: _failure(domain_error(error)))
    app.register_error_handler(HTTPException, lambda error: _failure(http_error(error)))
    app.register_error_handler(Exception, _mistake)
    app.after_request(_api_never_stored)
    # Besides the routes of blueprints, which are observed anyhow, all that leads nowhere.
    observing.observe(app)
    queueing.init_app(app)
    log.addFilter(observing.naming_requests)
    app.add_url_rule("/healthz", "healthz", _healthz, strict_slashes=False)
    app.add_url_rule("/readyz", "readyz", _readyz, strict_slashes=False)


def _mistake(error: Exception) -> Response:
    log.exception("%s %r failed", request.method, request.path, exc_info=error)
    return _failure(ApiError(500, "internal error; the service's own log says more"))


def _failure(error: ApiError) -> Response:
    """Return a failure as the protocol of its path words it: no blueprint answers for an unknown method."""
    return traces.failure(error) if traces.is_asked() else failure(error)


def _api_never_stored(response: Response) -> Response:
    return never_stored(response) if request.path.startswith("/api") else as_it_says(response)


@answers(OK)
def _healthz() -> Response:
    """The process answers.

    进程正常。
    """
    return success("ok")


@answers(OK)
@fails(503, UNREACHABLE)
@keeps_status
def _readyz() -> Response:
    """The database answers too, and is of this version; if not, the status says so even to old clients.

    数据库也正常，且版本相符。
    """
    try:
        current_state().store.be_ready()
    except LogServiceError as error:
        return failure(domain_error(error), for_machines=True)
    return success("ok")
