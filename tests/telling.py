"""The service, and what its server makes of a request: whether it takes turns with others."""

from __future__ import annotations

from typing import Any

from flask import Flask

from logservice.app import create_app as create_service
from logservice.server_turns import current_turn


def create_app() -> Flask:
    """Return the service with a route more, for gunicorn."""
    app = create_service()
    app.add_url_rule("/turn", view_func=_turn)
    return app


def _turn() -> dict[str, Any]:
    return {"success": True, "data": {"takes_turns": current_turn.get() is not None}}
