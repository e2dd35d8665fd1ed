"""The service, and what its server makes of requests: whether they take turns, where SQLite keeps pages."""

from __future__ import annotations

from typing import Any

from flask import Flask

from logservice.app import create_app as create_service
from logservice.server_turns import current_turn
from tests.page_memory import most_elsewhere, most_in_room


def create_app() -> Flask:
    """Return the service with two routes more, for gunicorn."""
    app = create_service()
    app.add_url_rule("/turn", view_func=_turn)
    app.add_url_rule("/pages", view_func=_pages)
    return app


def _turn() -> dict[str, Any]:
    return {"success": True, "data": {"takes_turns": current_turn.get() is not None}}


def _pages() -> dict[str, Any]:
    return {"success": True, "data": {"in_room": most_in_room(), "elsewhere": most_elsewhere()}}
