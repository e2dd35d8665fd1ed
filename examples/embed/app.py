"""An application like many others: users in a table of its own, blueprints, templates, error pages.

The usage log is mounted at /usage, by the lines marked with "log". Try it:

    flask --app examples/embed/app.py add-user alice
    flask --app examples/embed/app.py add-user root --admin
    flask --app examples/embed/app.py run

Sign in at /sign-in, ask something at /, and look at /usage/page.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import click
from flask import Blueprint, Flask, Request, abort, g, redirect, render_template, request, session, url_for
from flask.cli import with_appcontext
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash, generate_password_hash

from logservice import LogService, Principal, current_logs  # log

db = SQLAlchemy()


class User(db.Model):
    """Somebody who may sign in."""

    __tablename__ = "users"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80), unique=True, nullable=False)
    password_hash = db.Column(db.String(200), nullable=False)
    is_admin = db.Column(db.Boolean, nullable=False, default=False)


class Question(db.Model):
    """What somebody asked, and the answer."""

    __tablename__ = "questions"
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("users.id"), nullable=False)
    text = db.Column(db.String(500), nullable=False)
    answer = db.Column(db.String(500), nullable=False)
    asked_at = db.Column(db.DateTime, nullable=False, default=lambda: datetime.now(UTC))


# -- who is signed in --------------------------------------------------------------------------------------

accounts = Blueprint("accounts", __name__)
View = Callable[..., Any]


@accounts.before_app_request
def load_user() -> None:
    """Know in each request who is signed in."""
    user_id = session.get("user_id")
    g.user = None if user_id is None else db.session.get(User, user_id)


def signed_in(view: View) -> View:
    """Send strangers to the door."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return redirect(url_for("accounts.sign_in")) if g.user is None else view(*args, **kwargs)

    return guarded


@accounts.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    """Ask for name and password."""
    if request.method == "GET":
        return render_template("sign_in.html", problem="")
    user = User.query.filter_by(name=request.form["name"]).first()
    if user is None or not check_password_hash(user.password_hash, request.form["password"]):
        return render_template("sign_in.html", problem="Nobody has that name and password."), 401
    session["user_id"] = user.id
    return redirect(url_for("questions.home"))


@accounts.post("/sign-out")
def sign_out() -> Any:
    """Forget who it was."""
    session.clear()
    return redirect(url_for("accounts.sign_in"))


# -- what it is for ----------------------------------------------------------------------------------------

questions = Blueprint("questions", __name__)


@questions.route("/", methods=["GET", "POST"])
@signed_in
def home() -> Any:
    """Take a question, and show all that this user asked."""
    if request.method == "POST":
        ask(request.form["text"])
        return redirect(url_for("questions.home"))
    asked = Question.query.filter_by(user_id=g.user.id).order_by(Question.id.desc()).all()
    return render_template("home.html", questions=asked)


def ask(text: str) -> None:
    """Answer a question; a real application would call a model here."""
    answer = f"that is what everybody asks: {text}"
    db.session.add(Question(user_id=g.user.id, text=text, answer=answer))
    db.session.commit()
    current_logs.record(  # log
        user_id=g.user.id,
        username=g.user.name,
        model_name="oracle-1",
        prompt_tokens=len(text.split()),
        completion_tokens=len(answer.split()),
        content=f"answered {text!r}",
    )


# A blueprint that is called like one of the log's.
admin = Blueprint("admin", __name__, url_prefix="/admin")


@admin.get("/")
def everybody() -> Any:
    """List the users, for administrators."""
    if g.user is None or not g.user.is_admin:
        abort(403)
    return render_template("everybody.html", users=User.query.order_by(User.name).all())


# -- the application ---------------------------------------------------------------------------------------


def who_is_asking(_request: Request) -> Principal | None:  # log
    """Tell the log who is signed in here."""
    if g.user is None:
        return None
    return Principal(g.user.id, g.user.name, "admin" if g.user.is_admin else "user")


logs = LogService(db=db, authenticate=who_is_asking, url_prefix="/usage", page=True)  # log


@click.command("add-user")
@click.argument("name")
@click.option("--admin", "is_admin", is_flag=True)
@click.password_option()
@with_appcontext
def add_user(name: str, *, is_admin: bool, password: str) -> None:
    """Let somebody sign in."""
    db.session.add(User(name=name, password_hash=generate_password_hash(password), is_admin=is_admin))
    db.session.commit()


def error_page(error: Any) -> Any:
    """Show the application's own page for what went wrong."""
    return render_template("error.html", error=error), error.code


def create_app(config: Mapping[str, Any] | None = None, *, instance_path: str | None = None) -> Flask:
    """Return the application."""
    app = Flask(__name__, instance_path=instance_path)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY") or secrets.token_hex()
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL") or "sqlite:///embed.db"
    app.config.from_mapping(config or {})
    db.init_app(app)
    logs.init_app(app)  # log
    for bp in (accounts, questions, admin):
        app.register_blueprint(bp)
    for status in (403, 404):
        app.register_error_handler(status, error_page)
    app.cli.add_command(add_user)
    with app.app_context():
        db.create_all()
    return app
