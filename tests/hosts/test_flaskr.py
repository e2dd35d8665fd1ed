"""The blog of Flask's tutorial behaves the same with the log in it and without."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from logservice import LogService, Principal, current_logs
from tests.answers import assert_error, assert_ok
from tests.hosts.flaskr import create_app

#: Who calls what, with which form: everything the blog can do, and much that it refuses.
SCRIPT: list[tuple[str, str, str, dict[str, str] | None]] = [
    ("alice", "GET", "/hello", None),
    ("alice", "GET", "/", None),
    ("alice", "GET", "/static/style.css", None),
    ("alice", "GET", "/auth/register", None),
    ("alice", "POST", "/auth/register", {"username": "", "password": "a"}),
    ("alice", "POST", "/auth/register", {"username": "alice", "password": ""}),
    ("alice", "POST", "/auth/register", {"username": "alice", "password": "a"}),
    ("bob", "POST", "/auth/register", {"username": "alice", "password": "b"}),
    ("bob", "POST", "/auth/register", {"username": "bob", "password": "b"}),
    ("bob", "POST", "/auth/register", {"username": "bob"}),
    ("alice", "GET", "/create", None),
    ("alice", "GET", "/auth/login", None),
    ("alice", "POST", "/auth/login", {"username": "nobody", "password": "a"}),
    ("alice", "POST", "/auth/login", {"username": "alice", "password": "b"}),
    ("alice", "POST", "/auth/login", {"username": "alice", "password": "a"}),
    ("bob", "POST", "/auth/login", {"username": "bob", "password": "b"}),
    ("alice", "GET", "/", None),
    ("alice", "GET", "/create", None),
    ("alice", "POST", "/create", {"title": "", "body": "no title"}),
    ("alice", "POST", "/create", {"title": "first <b>", "body": "of alice\nin two lines"}),
    ("alice", "POST", "/create", {"title": "second", "body": ""}),
    ("bob", "POST", "/create", {"title": "third", "body": "of bob"}),
    ("stranger", "GET", "/", None),
    ("alice", "GET", "/1/update", None),
    ("alice", "POST", "/1/update", {"title": "", "body": "no title"}),
    ("alice", "POST", "/1/update", {"title": "changed", "body": "of alice"}),
    ("bob", "GET", "/1/update", None),
    ("bob", "POST", "/1/update", {"title": "stolen", "body": ""}),
    ("bob", "POST", "/1/delete", {}),
    ("alice", "GET", "/9/update", None),
    ("stranger", "GET", "/1/update", None),
    ("stranger", "POST", "/1/delete", {}),
    ("alice", "POST", "/2/delete", {}),
    ("alice", "GET", "/2/update", None),
    ("alice", "GET", "/1/delete", None),
    ("alice", "OPTIONS", "/create", None),
    ("alice", "HEAD", "/", None),
    ("alice", "PUT", "/", None),
    ("alice", "DELETE", "/auth/login", None),
    ("alice", "GET", "/nowhere", None),
    ("alice", "GET", "/create/", None),
    ("alice", "GET", "//create", None),
    ("alice", "GET", "/auth", None),
    ("alice", "GET", "/admin", None),
    ("alice", "GET", "/token", None),
    ("alice", "GET", "/logsmith", None),
    ("alice", "GET", "/healthz", None),
    ("alice", "GET", "/readyz", None),
    ("alice", "GET", "/v1/traces", None),
    ("alice", "GET", "/static/nothing.css", None),
    ("bob", "GET", "/", None),
    ("bob", "GET", "/auth/logout", None),
    ("bob", "GET", "/", None),
]

SENT = {"Origin": "https://pages.example", "Accept": "text/html"}
Between = Callable[[FlaskClient, str], None]


@dataclass
class Heard:
    """What an application answered to the script, its tables afterwards, and its command."""

    answers: list[Any]
    sessions: dict[str, Any]
    tables: dict[str, list[Any]]
    printed: str


def play(app: Flask, between: Between | None = None) -> Heard:
    """Play the script; `between` runs after each line of it, as its caller."""
    printed = app.test_cli_runner().invoke(args=["init-db"]).output
    clients: dict[str, FlaskClient] = {}
    answers = []
    for name, method, path, form in SCRIPT:
        client = clients.setdefault(name, app.test_client())
        with client.open(path, method=method, data=form, headers=SENT) as answer:
            answers.append((name, method, path, *heard(app, answer)))
        if between:
            between(client, name)
    sessions = {name: session_of(app, client.get_cookie("session")) for name, client in clients.items()}
    return Heard(answers, sessions, tables(app.config["DATABASE"]), printed)


def heard(app: Flask, answer: TestResponse) -> tuple[int, list[tuple[str, Any]], str]:
    """Return status, headers and body without what differs from one moment to the next."""
    headers: list[tuple[str, Any]] = []
    for name, value in answer.headers:
        if name == "Set-Cookie":
            [cookie] = SimpleCookie(value).values()
            attributes = {key: text for key, text in cookie.items() if key != "expires"}
            headers.append((name, (cookie.key, unsigned(app, cookie.value), attributes)))
        elif name not in ("Date", "Last-Modified"):
            headers.append((name, value))
    return answer.status_code, headers, re.sub(r"\d{4}-\d\d-\d\d", "a day", answer.text)


def session_of(app: Flask, cookie: Any) -> Any:
    return None if cookie is None else unsigned(app, cookie.value)


def unsigned(app: Flask, value: str) -> Any:
    """Return what a session holds: its signature has the time in it."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return serializer.loads(value) if value else None


def tables(path: str) -> dict[str, list[Any]]:
    """Return definitions and rows, and how the file is kept; salted passwords and times left out."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            "definitions": connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall(),
            "user": connection.execute("SELECT id, username FROM user").fetchall(),
            "post": connection.execute("SELECT id, author_id, title, body FROM post").fetchall(),
            "sequences": connection.execute("SELECT * FROM sqlite_sequence").fetchall(),
            "pragmas": [
                connection.execute(f"PRAGMA {name}").fetchone()
                for name in ("journal_mode", "auto_vacuum", "page_size", "user_version", "application_id")
            ],
        }


def with_log(folder: Path, **options: Any) -> Flask:
    """Return the blog with everything of the log in it, which knows its people by the blog's own login."""

    def who_is_asking(_request: Any) -> Principal | None:
        user = g.user
        return user and Principal(user["id"], user["username"], "admin" if user["id"] == 1 else "user")

    everything = {
        "url_prefix": "/logs",
        "ingest": True,
        "data": True,
        "page": True,
        "docs": True,
        "metrics": True,
    }
    app = create_app({"LOGSERVICE_CORS_ORIGINS": "https://pages.example"}, instance_path=str(folder))
    LogService(app, authenticate=who_is_asking, **{**everything, **options})
    return app


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """What the blog says without the log."""
    return play(create_app(instance_path=str(tmp_path_factory.mktemp("alone"))))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Flask]:
    """The blog with the log."""
    app = with_log(tmp_path)
    yield app
    app.extensions["logservice"].store.close()


def test_the_script_tries_what_the_blog_can_do(alone: Heard) -> None:
    statuses = {status for _name, _method, _path, status, *_ in alone.answers}
    assert statuses == {200, 302, 308, 400, 403, 404, 405}
    assert alone.tables["user"] == [(1, "alice"), (2, "bob")]
    assert [row[2] for row in alone.tables["post"]] == ["changed", "third"]
    assert alone.sessions["alice"] == {"user_id": 1}
    assert not alone.sessions["bob"]


def test_the_blog_behaves_the_same_with_the_log(alone: Heard, mounted: Flask) -> None:
    assert play(mounted) == alone


def test_the_blog_behaves_the_same_while_the_log_is_used(alone: Heard, mounted: Flask) -> None:
    """Its people look at the log between all they do, and what they do is recorded."""
    counts: dict[str, int] = {}

    def between(client: FlaskClient, name: str) -> None:
        counts[name] = counts.get(name, 0) + 1
        with mounted.app_context():
            current_logs.record(content=f"by {name}", username=name)
        answer = client.get("/logs/self")
        assert answer.status_code in (200, 401)
        assert not answer.headers.getlist("Set-Cookie")
        assert client.get("/logs/page").status_code == 200

    assert play(mounted, between) == alone
    with mounted.app_context():
        assert current_logs().store.count_raw() == sum(counts.values()) == len(SCRIPT)


def test_the_log_knows_the_people_of_the_blog(mounted: Flask) -> None:
    play(mounted)
    stranger, alice, bob = (mounted.test_client() for _ in range(3))
    alice.post("/auth/login", data={"username": "alice", "password": "a"})
    bob.post("/auth/login", data={"username": "bob", "password": "b"})
    with mounted.app_context():
        current_logs.record(user_id=2, content="of bob")
    assert_error(stranger.get("/logs/self"), 401, "")
    assert_error(bob.get("/logs/"), 403, "admin")
    assert assert_ok(bob.get("/logs/self"))["total"] == 1
    assert assert_ok(alice.get("/logs/"))["total"] == 1
    assert assert_ok(alice.get("/logs/self"))["total"] == 0


def test_the_log_lies_beside_the_blogs_database_and_not_in_it(mounted: Flask, tmp_path: Path) -> None:
    play(mounted)
    with mounted.app_context():
        current_logs.record(content="one")
    names = {path.name for path in tmp_path.iterdir()}
    assert {"flaskr.sqlite", "logservice.db"} <= names
    assert {name for name in names if not name.startswith("logservice")} == {"flaskr.sqlite"}


def test_a_log_whose_database_is_away_takes_no_page_of_the_blog(alone: Heard, tmp_path: Path) -> None:
    app = with_log(tmp_path)
    Path(app.instance_path, "logservice.db").mkdir()
    assert play(app, lambda client, _: _unavailable(client)) == alone
    app.extensions["logservice"].store.close()


def _unavailable(client: FlaskClient) -> None:
    assert client.get("/logs/self").status_code in (401, 503)
