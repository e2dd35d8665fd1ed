"""`logservice serve`: what it does before it becomes the server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.cli import ScriptInfo

from logservice import LogService
from logservice.cli import logservice, serving
from logservice.setting_values import DEFAULT_BIND
from logservice.store.store import LogStore
from tests.commands import RUNNER, Run, assert_done, assert_error, event


def test_only_the_first_preparation_makes_an_admin(peek: LogStore) -> None:
    secret = serving.prepare(peek)
    assert secret is not None
    admin = peek.user_of(secret)
    assert admin is not None
    assert (admin.username, admin.role) == ("admin", "admin")
    assert serving.prepare(peek) is None


def test_serve_shows_the_first_admin_s_token_once(run: Run, execution: list[Any]) -> None:
    first = assert_done(run("serve", "--bind", "0.0.0.0:9000"))
    assert "curl -H 'Authorization: Bearer " in first
    assert "http://127.0.0.1:9000/api/log/\n" in first
    assert assert_done(run("serve")) == ""
    assert len(execution) == 2


def test_serve_makes_no_admin_where_somebody_has_a_login(run: Run, execution: list[Any]) -> None:
    run("user", "add", "alice")
    assert assert_done(run("serve")) == ""


def test_serve_makes_an_admin_where_users_are_known_from_events_only(run: Run, execution: list[Any]) -> None:
    run("import", "-", input=event())
    assert 'called "admin"' in assert_done(run("serve"))


def test_workers_of_serve_begin_no_log(run: Run, execution: list[Any]) -> None:
    """There is one by then; and one that has gone is to come back."""
    run("serve")
    assert execution[-1][2]["LOGSERVICE_AUTO_CREATE"] == "0"


def test_serve_hands_its_options_to_gunicorn(run: Run, tmp_path: Path, execution: list[Any]) -> None:
    run("serve", "--bind", "127.0.0.1:9000", "--workers", "3", "--threads", "5")
    [(program, command, environment)] = execution
    assert program == command[0] == sys.executable
    assert command[1:5] == ["-m", "gunicorn", "--config", "python:logservice.gunicorn_conf"]
    assert command[5:] == [
        *("--bind", "127.0.0.1:9000", "--workers", "3", "--threads", "5"),
        "logservice.app:create_app()",
    ]
    assert environment["LOGSERVICE_INSTANCE_PATH"] == str(tmp_path)


def test_serve_binds_where_gunicorn_s_packaged_settings_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGSERVICE_BIND", raising=False)
    from logservice import gunicorn_conf

    assert gunicorn_conf.bind == DEFAULT_BIND


def test_serve_refuses_to_stand_in_for_a_host(tmp_path: Path) -> None:
    host = Flask("host", instance_path=str(tmp_path))
    LogService(host)
    result = RUNNER.invoke(logservice, ["serve"], obj=ScriptInfo(create_app=lambda: host))
    assert_error(result, "serve your own application")
