"""Signing up, in and out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from werkzeug.security import check_password_hash, generate_password_hash

from .database import connection

bp = Blueprint("auth", __name__, url_prefix="/auth")


@bp.before_app_request
def load_user() -> None:
    """Know who it is before any view runs."""
    user_id = session.get("user_id")
    found = connection().execute("SELECT * FROM user WHERE id = ?", (user_id,)) if user_id else None
    g.user = found.fetchone() if found else None


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Send whoever is not signed in to the form for it."""

    @wraps(view)
    def guarded(**given: Any) -> Any:
        return redirect(url_for("auth.login")) if g.user is None else view(**given)

    return guarded


@bp.route("/register", methods=["GET", "POST"])
def register() -> Any:
    """Sign up."""
    if request.method == "POST":
        problem = _sign_up(request.form["username"], request.form["password"])
        if problem is None:
            return redirect(url_for("auth.login"))
        flash(problem)
    return render_template("auth/register.html")


def _sign_up(username: str, password: str) -> str | None:
    if not username:
        return "A username is needed."
    if not password:
        return "A password is needed."
    try:
        with connection() as opened:
            values = (username, generate_password_hash(password, method="pbkdf2:sha256:1"))
            opened.execute("INSERT INTO user (username, password) VALUES (?, ?)", values)
    except sqlite3.IntegrityError:
        return f"Somebody is called {username} already."
    return None


@bp.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """Sign in."""
    if request.method == "POST":
        found = connection().execute("SELECT * FROM user WHERE username = ?", (request.form["username"],))
        user = found.fetchone()
        if user is not None and check_password_hash(user["password"], request.form["password"]):
            session.clear()
            session["user_id"] = user["id"]
            return redirect(url_for("index"))
        flash("That username is unknown." if user is None else "That password is wrong.")
    return render_template("auth/login.html")


@bp.get("/logout")
def logout() -> Any:
    """Sign out."""
    session.clear()
    return redirect(url_for("index"))
