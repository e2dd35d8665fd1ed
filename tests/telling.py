"""The service, and what its server makes of requests: whether they take turns, where SQLite's pages are."""

from __future__ import annotations

from typing import Any

from flask import Flask

from logservice.app import create_app as create_service
from logservice.server_turns import current_turn
from tests.page_memory import most_taken


def create_app() -> Flask:
    """Return the service with a route more, for gunicorn."""
    app = create_service()
    app.add_url_rule("/told", view_func=_told)
    return app


def _told() -> dict[str, Any]:
    told = {"takes_turns": current_turn.get() is not None, "pages_apart": most_taken()}
    return {"success": True, "data": told}
