"""Which web origins may call which routes: any for the key's own, listed ones for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, Response, request
from flask_cors import CORS

_HEADERS = ["Content-Type", "Authorization"]
_PREFIX = "access-control-"


def open_routes(app: Flask, *, to_all: str, to_listed: Sequence[str], origins: Sequence[str]) -> None:
    """Let any origin read what is answered at `to_all`, and listed ones what is answered below some prefixes.

    By path and not by blueprint, so that failures to find a route are readable as well; nothing else of the
    application is touched. No credentials of the browser's own are asked for.
    """
    public = rf"{re.escape(to_all)}/?$"
    below = "|".join(re.escape(prefix) for prefix in to_listed)
    listed = rf"(?!{public})({below})(/.*)?$"
    for_all = {
        "origins": "*",
        "supports_credentials": False,
        "send_wildcard": True,
        "methods": ["GET"],
        "allow_headers": _HEADERS,
    }
    for_listed = {
        "origins": [_literal(origin) for origin in origins],
        "supports_credentials": False,
        "methods": ["GET", "POST", "DELETE"],
        "allow_headers": [*_HEADERS, "Idempotency-Key", "Content-Encoding", "X-Request-ID"],
        "always_send": False,
    }
    functions = app.after_request_funcs[None]
    before = len(functions)
    # Functions called after a request run in reverse order: this one sees what the library wrote.
    app.after_request(_naming_everything(to_all))
    resources: dict[str | re.Pattern[str], dict[str, Any]] = {public: for_all}
    if origins:
        resources[listed] = for_listed
    CORS(app, resources=resources, expose_headers=["Retry-After", "X-Request-ID"], intercept_exceptions=False)
    app.after_request(_alone("|".join(f"({pattern})" for pattern in resources)))
    # To the front: ours run last, whatever a host has registered already.
    functions[:] = functions[before:] + functions[:before]


def _literal(origin: str) -> str | re.Pattern[str]:
    """Return an origin as the library is to take it: brackets of IPv6 would make a pattern of it."""
    return re.compile(rf"{re.escape(origin)}\Z") if "[" in origin else origin


def _alone(paths: str) -> Callable[[Response], Response]:
    """Have what a host says of all its routes said of none of ours: the library leaves what it finds."""
    ours = re.compile(paths)

    def stand_alone(response: Response) -> Response:
        if ours.match(request.path):
            for name in {name for name, _ in response.headers if name.lower().startswith(_PREFIX)}:
                del response.headers[name]
        return response

    return stand_alone


def _naming_everything(path: str) -> Callable[[Response], Response]:
    """Answer OPTIONS in full even to clients that ask for less than they will send."""

    def name_everything(response: Response) -> Response:
        if request.method == "OPTIONS" and request.path.rstrip("/") == path:
            response.headers["Access-Control-Allow-Methods"] = "GET"
            response.headers["Access-Control-Allow-Headers"] = ", ".join(_HEADERS)
        return response

    return name_everything
