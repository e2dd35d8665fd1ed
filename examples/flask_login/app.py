"""Flask-Login knows who is signed in, and tells the log.

    pip install . flask-login
    flask --app examples/flask_login/app.py run

Open /sign-in/alice (a real application would ask for a password), and look at /usage/page.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Request, abort
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user

from logservice import LogService, Principal, current_logs


@dataclass
class User(UserMixin):
    """A user as Flask-Login wants one; its id is the `user_id` of the log."""

    id: int
    name: str
    is_admin: bool = False


USERS = {user.id: user for user in (User(1, "root", is_admin=True), User(7, "alice"), User(8, "bob"))}

manager = LoginManager()


@manager.user_loader
def load_user(user_id: str) -> User | None:
    """Return the user whose id the session holds."""
    return USERS.get(int(user_id))


def who_is_asking(_request: Request) -> Principal | None:
    """Translate Flask-Login's user into the log's."""
    if not current_user.is_authenticated:
        return None
    return Principal(current_user.id, current_user.name, "admin" if current_user.is_admin else "user")


logs = LogService(authenticate=who_is_asking, url_prefix="/usage", page=True)


def sign_in(name: str) -> str:
    """Sign somebody in."""
    user = next((user for user in USERS.values() if user.name == name), None) or abort(404)
    login_user(user)
    return f"hello, {name}"


def sign_out() -> str:
    """Sign out."""
    logout_user()
    return "good-bye"


@login_required
def ask(question: str) -> str:
    """Answer whoever is signed in, and record it."""
    answer = f"that is what everybody asks: {question}"
    current_logs.record(
        user_id=current_user.id,
        username=current_user.name,
        model_name="oracle-1",
        prompt_tokens=len(question.split()),
        completion_tokens=len(answer.split()),
        content=f"answered {question!r}",
    )
    return answer


def create_app(config: Mapping[str, Any] | None = None, *, instance_path: str | None = None) -> Flask:
    """Return the application."""
    app = Flask(__name__, instance_path=instance_path)
    app.config.from_mapping({"SECRET_KEY": secrets.token_hex(), **(config or {})})
    manager.init_app(app)
    logs.init_app(app)
    app.add_url_rule("/sign-in/<name>", view_func=sign_in)
    app.add_url_rule("/sign-out", view_func=sign_out)
    app.add_url_rule("/ask/<question>", view_func=ask)
    return app
