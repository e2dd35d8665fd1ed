"""Commands run in this process, on an application of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from inspect import signature
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo

from logservice import create_app
from logservice.cli import logservice
from logservice.store.store import LogStore

URL = "sqlite:///log.db"
#: The second of events that do not matter when.
NOW = 1_750_000_000
Run = Callable[..., Result]

# Before click 8.2 a runner mixes the two outputs unless it is told not to.
APART = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
RUNNER = CliRunner(**APART)
_BEGUN = re.compile(r"^Warning: there was no log, and a new one was begun in .*\n", re.MULTILINE)


def app_in(folder: Path) -> Flask:
    """Return the service with its database in a folder."""
    return create_app({"LOGSERVICE_DATABASE_URL": URL}, instance_path=str(folder))


def invoke(folder: Path, *args: str, input: str | bytes | None = None) -> Result:
    """Run a command on the service in a folder."""
    script = ScriptInfo(create_app=lambda: app_in(folder))
    return RUNNER.invoke(logservice, args, input=input, obj=script, catch_exceptions=False)


def run(app: Flask, *args: str) -> str:
    """Run a command of an application that succeeds, and return what it printed."""
    result = app.test_cli_runner().invoke(args=["logservice", *args])
    assert result.exit_code == 0, result.output
    return result.output


def with_store(folder: Path, work: Callable[[LogStore], Any]) -> Any:
    """Do something with the store of the service in a folder, and return what comes of it."""
    with closing(app_in(folder).extensions["logservice"].store) as store:
        return work(store)


def event(**fields: Any) -> str:
    """Return a line of JSON that `logservice import` takes."""
    return json.dumps({"username": "alice", "model_name": "m", "quota": 1, "created_at": NOW} | fields)


def complaints(result: Result) -> str:
    """Return what a command printed on standard error, but for what the first one in a folder says."""
    return _BEGUN.sub("", result.stderr, count=1)


def assert_done(result: Result) -> str:
    """Return what a command printed that had nothing to complain of."""
    assert (result.exit_code, complaints(result)) == (0, ""), result.output
    return result.stdout


def assert_error(result: Result, text: str) -> None:
    """A failure is one line on standard error and status 1."""
    assert result.exit_code == 1, result.output
    said = complaints(result)
    assert said.count("\n") == 1
    assert said.startswith("Error: ")
    assert text in said
