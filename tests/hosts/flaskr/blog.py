"""Posts: everybody reads them, whoever is signed in writes them, and their authors change them."""

from __future__ import annotations

import sqlite3
from typing import Any

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for

from .auth import login_required
from .database import connection

bp = Blueprint("blog", __name__)

_POSTS = (
    "SELECT post.id, title, body, date(created) AS day, author_id, username"
    " FROM post JOIN user ON user.id = post.author_id"
)


@bp.get("/")
def index() -> Any:
    """All posts, newest first."""
    posts = connection().execute(f"{_POSTS} ORDER BY created DESC, post.id DESC").fetchall()
    return render_template("blog/index.html", posts=posts)


@bp.route("/create", methods=["GET", "POST"])
@login_required
def create() -> Any:
    """Write a post."""
    if request.method == "POST" and _has_title():
        with connection() as opened:
            values = (request.form["title"], request.form["body"], g.user["id"])
            opened.execute("INSERT INTO post (title, body, author_id) VALUES (?, ?, ?)", values)
        return redirect(url_for("blog.index"))
    return render_template("blog/create.html")


@bp.route("/<int:post_id>/update", methods=["GET", "POST"])
@login_required
def update(post_id: int) -> Any:
    """Change a post of one's own."""
    post = _own_post(post_id)
    if request.method == "POST" and _has_title():
        with connection() as opened:
            values = (request.form["title"], request.form["body"], post_id)
            opened.execute("UPDATE post SET title = ?, body = ? WHERE id = ?", values)
        return redirect(url_for("blog.index"))
    return render_template("blog/update.html", post=post)


@bp.post("/<int:post_id>/delete")
@login_required
def delete(post_id: int) -> Any:
    """Delete a post of one's own."""
    _own_post(post_id)
    with connection() as opened:
        opened.execute("DELETE FROM post WHERE id = ?", (post_id,))
    return redirect(url_for("blog.index"))


def _has_title() -> bool:
    if not request.form["title"]:
        flash("A title is needed.")
    return bool(request.form["title"])


def _own_post(post_id: int) -> sqlite3.Row:
    """Return a post of whoever is signed in; 404 when there is none, 403 when it is another's."""
    post: sqlite3.Row | None = connection().execute(f"{_POSTS} WHERE post.id = ?", (post_id,)).fetchone()
    if post is None:
        abort(404, f"There is no post {post_id}.")
    if post["author_id"] != g.user["id"]:
        abort(403)
    return post
