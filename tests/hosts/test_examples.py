"""The examples do what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.answers import assert_error, assert_ok
from tests.hosts.examples import load

PASSWORD = "a long enough password"


@pytest.fixture
def embed(tmp_path: Path) -> Iterator[Flask]:
    """The application with users, blueprints and error pages of its own."""
    module = load("embed")
    app: Flask = module.create_app(instance_path=str(tmp_path))
    for name in (["alice"], ["root", "--admin"]):
        added = app.test_cli_runner().invoke(args=["add-user", *name, "--password", PASSWORD])
        assert added.exit_code == 0, added.output
    yield app
    app.extensions["logservice"].store.close()
    with app.app_context():
        module.db.engine.dispose()


def signed_in(app: Flask, name: str) -> FlaskClient:
    client = app.test_client()
    answer = client.post("/sign-in", data={"name": name, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def test_the_embedding_example_shows_its_users_what_they_asked(embed: Flask) -> None:
    stranger, alice, root = embed.test_client(), signed_in(embed, "alice"), signed_in(embed, "root")
    assert_error(stranger.get("/usage/self"), 401, "")
    assert alice.post("/", data={"text": "why me"}).status_code == 302
    assert "that is what everybody asks: why me" in alice.get("/").text
    [row] = assert_ok(alice.get("/usage/self"))["items"]
    assert (row["user_id"], row["username"], row["model_name"]) == (1, "alice", "oracle-1")
    assert (row["prompt_tokens"], row["content"]) == (2, "answered 'why me'")
    assert_error(alice.get("/usage/"), 403, "admin")
    assert assert_ok(root.get("/usage/"))["total"] == 1
    assert assert_ok(root.get("/usage/self"))["total"] == 0
    assert 'data-login="host"' in alice.get("/usage/page").text


def test_the_embedding_example_keeps_its_own_pages_and_tables(embed: Flask, tmp_path: Path) -> None:
    stranger, alice, root = embed.test_client(), signed_in(embed, "alice"), signed_in(embed, "root")
    assert stranger.get("/").location == "/sign-in"
    assert stranger.post("/sign-in", data={"name": "alice", "password": "wrong"}).status_code == 401
    assert "The application's own page: Forbidden" in alice.get("/admin/").text
    assert "The application's own admin page" in root.get("/admin/").text
    assert assert_ok(root.get("/usage/"))["total"] == 0
    for path in ("/nowhere", "/usage/nowhere"):
        assert "The application's own page: Not Found" in alice.get(path).text
    assert alice.post("/usage/", json={}).status_code == 405
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["embed.db", "logservice.db"]


def test_the_flask_login_example_tells_the_log_who_is_signed_in(tmp_path: Path) -> None:
    app: Flask = load("flask_login").create_app(instance_path=str(tmp_path))
    alice, root = app.test_client(), app.test_client()
    assert_error(alice.get("/usage/self"), 401, "")
    assert alice.get("/ask/why").status_code == 401
    alice.get("/sign-in/alice")
    root.get("/sign-in/root")
    assert alice.get("/ask/why").text == "that is what everybody asks: why"
    [row] = assert_ok(alice.get("/usage/self"))["items"]
    assert (row["user_id"], row["username"], row["content"]) == (7, "alice", "answered 'why'")
    assert_error(alice.get("/usage/"), 403, "admin")
    assert assert_ok(root.get("/usage/"))["total"] == 1
    alice.get("/sign-out")
    assert_error(alice.get("/usage/self"), 401, "")
    app.extensions["logservice"].store.close()


@pytest.mark.parametrize("name", ["embed", "flask_login", "gateway"])
def test_nothing_happens_when_an_example_is_imported(name: str) -> None:
    made: Any = load(name)
    assert not hasattr(made, "app")
