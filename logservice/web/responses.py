"""The one envelope: every success leaves by one door, every failure by another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec

import orjson
from flask import Blueprint, Response
from werkzeug.exceptions import HTTPException, default_exceptions

from ..errors import AlreadyExists, Conflict, InvalidValue, LogServiceError, NotFound, Unavailable
from .described import noted
from .state import current_state

P = ParamSpec("P")

# The first class that fits decides.
_STATUS: tuple[tuple[type[LogServiceError], int], ...] = (
    (InvalidValue, 400),
    (NotFound, 404),
    (AlreadyExists, 409),
    (Conflict, 409),
    (Unavailable, 503),
)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTTP_MESSAGES = {
    404: "there is nothing at this path",
    405: "this path does not know that method",
    413: "body: larger than this service takes",
}


class ApiError(Exception):
    """A failure with the status and the message that the client is to see."""

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


def success(data: Any, *, status: int = 200) -> Response:
    """Return `{"success": true, "message": "", "data": ...}`."""
    body = orjson.dumps({"success": True, "message": "", "data": data})
    return Response(body, status=status, mimetype="application/json")


def recorded(answer: str) -> Response:
    """Return the success whose `data` was written as JSON text before, when the rows were stored."""
    return Response(f'{{"success":true,"message":"","data":{answer}}}'.encode(), mimetype="application/json")


def failure(error: ApiError, *, for_machines: bool = False) -> Response:
    """Return `{"success": false, "message": ...}` with the status of the error, or 200 for old clients.

    What is asked `for_machines`, such as probes, keeps its status: they look at nothing else.
    """
    body = orjson.dumps({"success": False, "message": error.message})
    legacy = current_state().settings.legacy_status and error.status != 401 and not for_machines
    response = Response(body, status=200 if legacy else error.status, mimetype="application/json")
    response.headers.update(error.headers)
    return response


def plain_json(value: Any) -> Response:
    """Return JSON that has no envelope, to be asked for anew each time."""
    response = Response(orjson.dumps(value), mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return as_it_says(response)


def attachment(pieces: Iterator[bytes], *, mimetype: str, filename: str) -> Response:
    """Return a file that is sent piece by piece, without the envelope.

    An error among the pieces breaks the connection, for its status was sent long before.
    """
    response = Response(pieces, mimetype=mimetype)
    response.headers.set("Content-Disposition", "attachment", filename=filename)
    # A proxy would gather the pieces otherwise: nginx goes by this.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def document(html: str, *, styles: str = "'self'") -> Response:
    """Return the HTML of a page, to be asked for anew each time.

    Its Content-Security-Policy allows nothing but files of this service, no script in the document, and
    `styles` from where that says.
    """
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY.format(styles=styles)
    response.headers["Cache-Control"] = "no-store"
    return _guarded(response)


def static_file(content: bytes, *, mimetype: str, etag: str) -> Response:
    """Return a file that never changes under its URL."""
    response = Response(content, mimetype=mimetype)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.set_etag(etag)
    return _guarded(response)


def as_it_says(response: Response) -> Response:
    """Have browsers take an answer for what it says it is: rows may hold what looks like a page."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _guarded(response: Response) -> Response:
    """Have browsers take a file for what it says it is, and tell no other site where they come from."""
    response.headers["Referrer-Policy"] = "no-referrer"
    return as_it_says(response)


def of_protocol(
    body: bytes, *, mimetype: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer in the words of a protocol that does not know the envelope."""
    response = Response(body, status=status, mimetype=mimetype)
    response.headers.update(headers or {})
    return response


def silence() -> Response:
    """Return the success that says nothing more, for protocols that expect it."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def from_domain(error: LogServiceError) -> Response:
    """Return the failure that a domain error stands for."""
    return failure(domain_error(error))


def from_http(error: HTTPException) -> Response:
    """Return the failure of an error that Flask or Werkzeug raised."""
    return failure(http_error(error))


def answer_http_errors(bp: Blueprint, answer: Callable[[HTTPException], Response]) -> None:
    """Have a blueprint answer all HTTP errors inside it, whatever pages a host has for some of them.

    Flask looks for a handler by its status, in the application too, before it looks for one of all.
    """
    bp.register_error_handler(HTTPException, answer)
    for status in default_exceptions:
        bp.register_error_handler(status, answer)


def domain_error(error: LogServiceError) -> ApiError:
    """Return a domain error with the status that stands for it."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return ApiError(status, str(error), headers=_retry(error))


def http_error(error: HTTPException) -> ApiError:
    """Return an error that Flask or Werkzeug raised in our words, its headers kept (Allow, for instance)."""
    status = error.code or 500
    kept = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    message = _HTTP_MESSAGES.get(status) or error.description or error.name
    return ApiError(status, message, headers=kept)


def saying(message: str) -> Callable[[Callable[P, Response]], Callable[P, Response]]:
    """Give a view the message that the specification wants when the database fails."""

    def decorate(view: Callable[P, Response]) -> Callable[P, Response]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
            try:
                return view(*args, **kwargs)
            except Unavailable as error:
                raise ApiError(503, message, headers=_retry(error)) from error

        return noted(guarded, failures={503: message})

    return decorate


def _retry(error: LogServiceError) -> dict[str, str]:
    return {"Retry-After": str(error.retry_after)} if isinstance(error, Unavailable) else {}
