"""Which web origins may call which routes: any for the key's own, listed ones for the rest."""

from __future__ import annotations

import re

from flask import Blueprint, Flask, Response, request
from flask_cors import CORS

from .state import current_state

_HEADERS = ["Content-Type", "Authorization"]


def open_to_all(bp: Blueprint) -> None:
    """Let any origin read what a blueprint answers, failures included; no credentials of the browser's
    own.
    """
    # Functions called after a request run in reverse order: this one sees what the library wrote.
    bp.after_request(_name_everything)
    CORS(bp, origins="*", send_wildcard=True, methods=["GET"], allow_headers=_HEADERS)


def open_to_listed(app: Flask, prefixes: list[str], besides: str) -> None:
    """Let the origins of LOGSERVICE_CORS_ORIGINS read what is answered below some prefixes, one path
    excepted.
    """
    origins = current_state().settings.cors_origins
    if not origins:
        return
    below = "|".join(re.escape(prefix) for prefix in prefixes)
    CORS(
        app,
        resources={rf"(?!{re.escape(besides)}/?$)({below})(/.*)?$": {"origins": list(origins)}},
        methods=["GET", "POST", "DELETE"],
        allow_headers=[*_HEADERS, "Idempotency-Key", "Content-Encoding"],
        expose_headers=["Retry-After"],
        always_send=False,
        intercept_exceptions=False,
    )


def _name_everything(response: Response) -> Response:
    """Answer OPTIONS in full even to clients that ask for less than they will send."""
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET"
        response.headers["Access-Control-Allow-Headers"] = ", ".join(_HEADERS)
    return response
