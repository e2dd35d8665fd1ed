"""What commands say besides what they were asked for, and in which words."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import pytest
from flask import Flask
from flask.cli import ScriptInfo

from logservice import LogService, __main__
from logservice.cli import logservice
from logservice.counts import counted
from logservice.errors import InvalidValue
from tests.commands import RUNNER, Run, assert_done, assert_error, invoke

WARNING = "Warning: no admin can log in any more; `logservice user add NAME --role admin` makes one"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command on a service with one admin."""
    assert_done(invoke(tmp_path, "user", "add", "root", "--role", "admin", "--id", "1"))
    return partial(invoke, tmp_path)


# -- admins and names --------------------------------------------------------------------------------------


def test_who_disables_the_last_admin_is_warned(run: Run) -> None:
    assert_done(run("user", "add", "alice"))
    assert_done(run("user", "disable", "alice"))
    assert_done(run("user", "add", "second", "--role", "admin"))
    assert_done(run("user", "disable", "second"))

    last = run("user", "disable", "root")

    assert (last.exit_code, last.stdout) == (0, "User root (id 1) is disabled.\n")
    assert last.stderr.startswith(WARNING)
    assert run("user", "disable", "root").stderr == ""


def test_a_host_knows_its_admins_by_itself(tmp_path: Path) -> None:
    host = Flask("host", instance_path=str(tmp_path))
    LogService(host, authenticate=lambda _: None)
    script = ScriptInfo(create_app=lambda: host)
    for command in ("user add root --role admin", "user disable root"):
        assert_done(RUNNER.invoke(logservice, command.split(), obj=script, catch_exceptions=False))


def test_a_second_token_of_a_name_is_told(run: Run) -> None:
    assert_done(run("user", "add", "alice", "--id", "7"))
    assert_done(run("token", "add", "laptop", "--user", "alice", "--id", "3"))
    assert_done(run("token", "add", "laptop", "--user", "root"))

    second = run("token", "add", "laptop", "--user", "alice", "--id", "4", "--json")

    assert json.loads(second.stdout)["id"] == 4
    assert second.stderr == (
        "Note: another token of user 7 is called 'laptop' too (id 3), and stays as it is; commands take the"
        " id, here 4.\n"
    )


def test_a_second_user_of_a_name_is_told(run: Run) -> None:
    second = run("user", "add", "root", "--id", "2")
    assert second.exit_code == 0
    assert second.stderr.startswith("Note: another user is called 'root' too (id 1), and stays as it is;")


# -- numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1234, "1,234 rows")]
)
def test_one_is_no_plural(number: int, said: str) -> None:
    assert counted(number, "row") == said


def test_commands_count_one_thing_in_the_singular(run: Run, tmp_path: Path) -> None:
    event = json.dumps({"username": "alice", "created_at": int(time.time()) - 3 * 86400})
    assert assert_done(run("import", "-", "--dry-run", input=event)).endswith(
        "1 event would be accepted, and 0 refused; nothing was stored.\n"
    )
    assert assert_done(run("import", "-", input=event)) == "Accepted 1 event, refused 0.\n"
    assert assert_done(run("rebuild")) == "Rebuilt the usage of 1 day.\n"
    assert assert_done(run("export", "-o", str(tmp_path / "rows.csv"))) == "Exported 1 row.\n"
    archived = assert_done(run("archive", str(tmp_path / "old"), "--older-than", "2d"))
    assert archived.startswith("Archived 1 row of 1 day in ")
    assert assert_done(run("import", str(tmp_path / "old"))).startswith("Accepted 1 row, refused 0.")
    assert assert_done(run("purge", "--before", "1d", "--dry-run")).startswith(
        "Would delete 1 row older than "
    )
    assert assert_done(run("purge", "--before", "1d")).startswith("Deleted 1 row older than ")


# -- help --------------------------------------------------------------------------------------------------


def groups_in(command: click.Group, name: str = "logservice") -> Iterator[tuple[str, click.Group]]:
    yield name, command
    for below, found in command.commands.items():
        if isinstance(found, click.Group):
            yield from groups_in(found, f"{name} {below}")


GROUPS = list(groups_in(logservice))


@pytest.mark.parametrize(("name", "group"), GROUPS, ids=[name for name, _ in GROUPS])
def test_help_tells_every_command_in_a_whole_sentence(name: str, group: click.Group) -> None:
    shown = RUNNER.invoke(group, ["--help"], prog_name=name, terminal_width=80).stdout
    listed = shown.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(group.list_commands(click.Context(group)))
    assert [line for line in listed if line.endswith("...")] == []


@pytest.mark.parametrize(("name", "group"), GROUPS, ids=[name for name, _ in GROUPS])
def test_every_option_says_what_it_is_for(name: str, group: click.Group) -> None:
    options = [(below, param) for below, found in group.commands.items() for param in found.params]
    silent = [
        (below, param.name) for below, param in options if isinstance(param, click.Option) and not param.help
    ]
    assert silent == []


# -- slips -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["# A file\n\nof prose.\n", "a,b\n1,2\n", "[1, 2]\n", "\x00\x01"])
def test_a_file_that_is_no_log_is_refused_as_a_whole(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    assert_error(run("import", str(path)), "README.md' is no log: its first lines are neither objects")
    as_told = run("import", str(path), "--format", "ndjson")
    assert (as_told.exit_code, as_told.stderr[:7]) == (1, "line 1:")


@pytest.mark.parametrize("text", ["", "\n\n", "oops\n{}\n", "\ufeffcreated_at,quota\n1750000000,1\n"])
def test_a_file_that_may_be_a_log_is_read_line_by_line(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "events"
    path.write_text(text)
    assert "is no log" not in run("import", str(path)).output


def test_the_statement_of_a_month_that_lies_ahead_says_so(run: Run) -> None:
    ahead = run("statement", "--user", "root", "--month", "2099-01", "--format", "csv")
    assert (ahead.exit_code, ahead.stdout.count("\n")) == (0, 1)
    assert ahead.stderr == "2099-01 lies ahead: nothing was used in it yet.\n"
    assert_done(run("statement", "--user", "root", "--month", time.strftime("%Y-%m", time.gmtime())))


def test_an_age_of_nothing_is_refused(run: Run, tmp_path: Path) -> None:
    refused = run("archive", str(tmp_path / "old"), "--older-than", "0d")
    assert_error(refused, "--older-than: '0d' is no time at all; the shortest is 1s")


def test_ctrl_c_while_the_program_is_loaded_gives_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(__main__, "import_module", interrupt)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert (ended.value.code, capsys.readouterr()) == (1, ("", "Aborted.\n"))


def test_errors_show_no_key_and_leave_words_whole() -> None:
    assert str(InvalidValue("Flask-SQLAlchemy, sk-a-key-of-somebody")) == "Flask-SQLAlchemy, sk-..."
