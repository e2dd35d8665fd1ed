"""Which web origins may call which routes: any for the key's own, listed ones for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, Response, request
from flask_cors import CORS

_HEADERS = ["Content-Type", "Authorization"]


def open_routes(app: Flask, *, to_all: str, to_listed: Sequence[str], origins: Sequence[str]) -> None:
    """Let any origin read what is answered at `to_all`, and listed ones what is answered below some prefixes.

    By path and not by blueprint, so that failures to find a route are readable as well; nothing else of the
    application is touched. No credentials of the browser's own are asked for.
    """
    below = "|".join(re.escape(prefix) for prefix in to_listed)
    for_all = {
        "origins": "*",
        "supports_credentials": False,
        "send_wildcard": True,
        "methods": ["GET"],
        "allow_headers": _HEADERS,
    }
    for_listed = {
        "origins": list(origins),
        "supports_credentials": False,
        "methods": ["GET", "POST", "DELETE"],
        "allow_headers": [*_HEADERS, "Idempotency-Key", "Content-Encoding", "X-Request-ID"],
        "always_send": False,
    }
    # Functions called after a request run in reverse order: this one sees what the library wrote.
    app.after_request(_naming_everything(to_all))
    resources: dict[str | re.Pattern[str], dict[str, Any]] = {rf"{re.escape(to_all)}/?$": for_all}
    if origins:
        resources[rf"(?!{re.escape(to_all)}/?$)({below})(/.*)?$"] = for_listed
    CORS(app, resources=resources, expose_headers=["Retry-After", "X-Request-ID"], intercept_exceptions=False)


def _naming_everything(path: str) -> Callable[[Response], Response]:
    """Answer OPTIONS in full even to clients that ask for less than they will send."""

    def name_everything(response: Response) -> Response:
        if request.method == "OPTIONS" and request.path.rstrip("/") == path:
            response.headers["Access-Control-Allow-Methods"] = "GET"
            response.headers["Access-Control-Allow-Headers"] = ", ".join(_HEADERS)
        return response

    return name_everything
