"""A small Flask application with its own login, pages and error page, and the usage log mounted at /usage.

Run it with `flask --app examples/embed/app.py run`, sign in at /login/alice, ask something at /ask/why, and
look at /usage/self.
"""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Flask, Request, abort, session

from logservice import LogService, Principal, current_logs

USERS = {"alice": Principal(7, "alice"), "root": Principal(1, "root", "admin")}

# A blueprint that is called like one of ours, as blueprints of applications are.
admin = Blueprint("admin", __name__)


@admin.get("/admin/")
def front_page() -> str:
    """The application's own page for administrators."""
    return "the application's own admin page"


def who_is_asking(_request: Request) -> Principal | None:
    """Tell the log who is signed in here."""
    return USERS.get(session.get("user", ""))


def create_app(config: dict[str, Any] | None = None, *, instance_path: str | None = None) -> Flask:
    """Return the application."""
    app = Flask(__name__, instance_path=instance_path)
    app.config.from_mapping(SECRET_KEY=secrets.token_hex(), **(config or {}))
    app.register_blueprint(admin)
    app.add_url_rule("/login/<name>", view_func=sign_in)
    app.add_url_rule("/ask/<question>", view_func=ask)
    app.register_error_handler(404, lambda _error: ("the application's own page for lost visitors", 404))
    LogService(app, authenticate=who_is_asking, url_prefix="/usage")
    return app


def sign_in(name: str) -> str:
    """Sign somebody in; a real application would ask for a password."""
    session["user"] = name
    return f"hello, {name}"


def ask(question: str) -> str:
    """Answer whoever is signed in, and record the call; a real application would ask a model."""
    caller = USERS.get(session.get("user", "")) or abort(401)
    answer = f"that is what everybody asks: {question}"
    current_logs().record(
        user_id=caller.user_id,
        username=caller.username,
        model_name="oracle-1",
        prompt_tokens=len(question.split()),
        completion_tokens=len(answer.split()),
        content=f"answered {question!r}",
    )
    return answer
