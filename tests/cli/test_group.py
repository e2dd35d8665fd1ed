"""The commands as a group: help, wrong usage, what keeps all of them from running, and a new log."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest

from logservice.cli import logservice
from logservice.store import accounts, schema
from logservice.store.store import LogStore
from tests.commands import Run, app_in, assert_done, assert_error, invoke
from tests.store_rows import change


@pytest.mark.parametrize("args", [[], ["user"], ["token"], ["--help"], ["-h"], ["purge", "--help"]])
def test_help_is_shown_without_a_command_and_on_request(run: Run, args: list[str], tmp_path: Path) -> None:
    assert assert_done(run(*args)).startswith("Usage: ")
    assert not (tmp_path / "log.db").exists()


def test_every_command_has_the_short_option_for_help(run: Run) -> None:
    for name, command in logservice.commands.items():
        for path in ([name], *([name, below] for below in getattr(command, "commands", {}))):
            assert assert_done(run(*path, "-h")) == assert_done(run(*path, "--help"))


def test_the_version_is_that_of_the_package_and_needs_no_log(run: Run, tmp_path: Path) -> None:
    assert assert_done(run("--version")) == f"logservice {version('logservice')}\n"
    assert list(tmp_path.iterdir()) == []


def test_every_command_says_what_it_does(run: Run) -> None:
    for name, command in logservice.commands.items():
        assert command.help, name
        for below in getattr(command, "commands", {}).values():
            assert below.help, f"{name} {below.name}"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["--bogus"], "No such option"),
        (["user", "add"], "Missing argument 'NAME'. See `logservice user add --help`."),
        (["user", "add", "x", "--role", "boss"], "'boss' is not one of"),
        (["user", "add", "x", "--id", "first"], "'first' is not a valid integer"),
        (["import", "no-such-file"], "No such file or directory"),
        (["serve", "--workers", "0"], "0 is not in the range"),
        (["purge"], "Missing option '--before'"),
    ],
)
def test_wrong_usage_is_one_line_with_a_hint(run: Run, args: list[str], text: str) -> None:
    result = run(*args)
    assert_error(result, text)
    assert "--help`." in result.stderr


def test_a_folder_that_is_no_archive_is_one_line(run: Run) -> None:
    assert_error(run("import", "/"), "/: no archive; ")


def test_a_setting_that_cannot_be_read_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSERVICE_MAX_BODY", "much")
    assert_error(run("user", "list"), "LOGSERVICE_MAX_BODY: 'much'")


def test_a_file_that_is_no_database_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("this is a shopping list, of some length")
    assert_error(run("user", "list"), "the database file log.db failed: file is not a database")


@pytest.mark.parametrize("command", ["init-db", "user list", "purge --before 1d", "check", "serve"])
def test_a_newer_database_is_one_line_with_both_versions(
    run: Run, peek: LogStore, command: str, execution: list[Any]
) -> None:
    assert_done(run("init-db"))
    change(peek, "UPDATE log_alembic_version SET version_num = '9999'")

    result = run(*command.split())

    assert_error(result, "9999")
    assert_error(result, schema.newest_version())
    assert_error(result, "newer")
    assert execution == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.Abort])
def test_an_interrupted_command_says_aborted(
    run: Run, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise interruption

    monkeypatch.setattr(LogStore, "create", interrupt)
    result = run("init-db")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Aborted.\n")


def test_names_with_bytes_that_are_no_text_are_refused(run: Run) -> None:
    assert_error(run("user", "add", "\udcff"), "cannot be written as utf-8")


def test_commands_also_run_under_flask(tmp_path: Path) -> None:
    assert_done(invoke(tmp_path, "init-db"))
    result = app_in(tmp_path).test_cli_runner().invoke(args=["logservice", "user", "list", "--json"])
    assert json.loads(result.stdout) == []


# -- a log that is not there ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "maintain",
        "purge --before 90d",
        "archive old --older-than 90d",
        "export",
        "rebuild",
        "check",
        "statement --user alice --month 2026-10",
        "user list",
        "user rotate alice",
        "token list",
        "token add laptop --user alice",
    ],
)
@pytest.mark.parametrize("there", [False, True], ids=["no file", "an empty file"])
def test_what_needs_a_log_makes_none(run: Run, tmp_path: Path, command: str, there: bool) -> None:
    path = tmp_path / "log.db"
    if there:
        path.touch()

    result = run(*command.split())

    assert_error(result, f"there is no log in {path}: LOGSERVICE_DATABASE_URL or LOGSERVICE_INSTANCE_PATH")
    assert "`logservice init-db`" in result.stderr
    assert [(found, found.stat().st_size) for found in tmp_path.glob("log.db*")] == [(path, 0)] * there


# -- init-db -------------------------------------------------------------------------------------------------


def test_init_db_creates_the_tables_and_no_login(run: Run, peek: LogStore) -> None:
    assert assert_done(run("init-db")) == "The database is ready.\n"
    assert_done(run("init-db"))
    with peek.reading() as connection:
        assert not accounts.list_users(connection)


def test_init_db_refuses_partitions_where_there_are_none_and_makes_nothing(run: Run, tmp_path: Path) -> None:
    assert_error(run("init-db", "--partitioned"), "SQLite has no partitions; they need PostgreSQL")
    assert not (tmp_path / "log.db").exists()
