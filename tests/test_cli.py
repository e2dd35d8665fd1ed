"""The commands: what they do, what they print, and how they fail."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pytest
from click.testing import Result
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy import select

from logservice import LogService, create_app
from logservice.cli import addresses, demonstration, logservice, output, serving, times
from logservice.counts import counted
from logservice.errors import InvalidValue, Unavailable
from logservice.imports.lines import LONGEST_LINE
from logservice.setting_values import DEFAULT_BIND
from logservice.store import accounts, ids, schema
from logservice.store.filters import Filters
from logservice.store.imports import Imports
from logservice.store.records import hash_key
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from logservice.store.tables import records, tokens
from tests.commands import RUNNER, URL, app_in, assert_done, assert_error, complaints, invoke
from tests.store_rows import change

NOW = 1_750_000_000
SECRET = "a-secret-of-more-than-16"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on an application of its own, away from the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("LOGSERVICE_")]:
        monkeypatch.delenv(name)

    return partial(invoke, tmp_path)


@pytest.fixture
def peek(tmp_path: Path) -> Iterator[LogStore]:
    """The store, to see what a command did."""
    with closing(app_in(tmp_path).extensions["logservice"].store) as store:
        yield store


def event(**fields: Any) -> str:
    return json.dumps({"username": "alice", "model_name": "m", "quota": 1, "created_at": NOW} | fields)


# -- the group -----------------------------------------------------------------------------------------------


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
    assert_error(run("user", "list"), "file is not a database")


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


# -- a log that is not there --------------------------------------------------------------------------------


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


# -- users ---------------------------------------------------------------------------------------------------


def test_user_add_prints_the_secret_once_and_it_opens_the_door(run: Run, peek: LogStore) -> None:
    added = json.loads(assert_done(run("user", "add", "alice", "--role", "admin", "--json")))
    found = peek.user_of(added["access_token"])
    assert found is not None
    assert (found.username, found.role, found.id) == ("alice", "admin", added["id"])
    assert added["access_token"] not in run("user", "list").stdout


def test_user_add_takes_an_id_and_a_secret(run: Run, peek: LogStore) -> None:
    shown = assert_done(run("user", "add", "alice", "--id", "7", "--access-token", SECRET))
    assert shown == "User alice (id 7, role user) was added.\n"
    found = peek.user_of(SECRET)
    assert found is not None
    assert found.id == 7


def test_user_add_gives_somebody_known_from_events_a_login(run: Run) -> None:
    run("import", "-", input=event(user_id=5))
    added = json.loads(assert_done(run("user", "add", "alice", "--json")))
    assert added["id"] == 5


def test_a_name_with_blanks_that_came_with_events_can_have_a_login(run: Run) -> None:
    run("import", "-", input=event(user_id=5, username=" alice "))
    added = json.loads(assert_done(run("user", "add", " alice ", "--json")))
    assert (added["id"], added["username"]) == (5, " alice ")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["alice"], "has a login already"),
        (["bob", "--access-token", "short"], "16 characters or more"),
        (["bob", "--access-token", SECRET], "in use already"),
        (["bob", "--id", "0"], "from 1 to"),
        (["bob", "--id", str(2**70)], "from 1 to"),
        ([" "], "1 to 128 characters"),
        (["x" * 129], "1 to 128 characters"),
        ([" bob"], "NAME: ' bob' has blanks at its ends; it would be another user than 'bob'"),
        (["bob\t"], "NAME: 'bob\\t' has blanks at its ends"),
    ],
)
def test_user_add_refuses(run: Run, args: list[str], text: str) -> None:
    run("user", "add", "alice", "--access-token", SECRET)
    assert_error(run("user", "add", *args), text)


def test_user_rotate_ends_the_old_token(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice", "--access-token", SECRET)
    fresh = json.loads(assert_done(run("user", "rotate", "alice", "--json")))["access_token"]
    assert peek.user_of(SECRET) is None
    assert peek.user_of(fresh) is not None


def test_user_rotate_refuses_strangers_and_those_without_a_login(run: Run) -> None:
    run("import", "-", input=event())
    assert_error(run("user", "rotate", "alice"), "has no login")
    assert_error(run("user", "rotate", "nobody"), "no user is called 'nobody'")


def test_user_disable_locks_out_until_rotated(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice", "--id", "7", "--access-token", SECRET)
    assert assert_done(run("user", "disable", "7")) == "User alice (id 7) is disabled.\n"
    assert peek.user_of(SECRET) is None
    assert "disabled" in run("user", "list").stdout
    fresh = json.loads(run("user", "rotate", "alice", "--json").stdout)
    assert not fresh["disabled"]
    assert peek.user_of(fresh["access_token"]) is not None


def test_user_list_shows_everybody(run: Run) -> None:
    run("user", "add", "alice", "--role", "writer")
    run("import", "-", input=event(username="bob"))
    listed = json.loads(assert_done(run("user", "list", "--json")))
    assert [(user["username"], user["role"], user["has_login"]) for user in listed] == [
        ("alice", "writer", True),
        ("bob", "user", False),
    ]


def test_columns_stay_aligned_beside_wide_names(run: Run) -> None:
    for name in ("张三", "alice"):
        run("user", "add", name, "--role", "admin")
    lines = assert_done(run("user", "list")).splitlines()
    assert len({output.width(line[: line.index(" admin")]) for line in lines[1:]}) == 1


def test_columns_of_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["7", "1,234", "2.5 %", "-0.500000", "1"], ["x", "–", "10 %", "12.000000", ""]]
    output.echo_table(["ANY", "ROWS", "SHARE", "NET", "NOTE"], rows)
    assert capsys.readouterr().out.splitlines() == [
        "ANY   ROWS  SHARE        NET  NOTE",
        "7    1,234  2.5 %  -0.500000  1",
        "x        –   10 %  12.000000",
    ]


def test_a_table_without_rows_is_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    output.echo_table(["ID", "NAME"], [])
    assert capsys.readouterr().out == "ID  NAME\n"


def test_names_cannot_command_the_terminal(run: Run) -> None:
    run("import", "-", input=event(username="\x1b[31mred"))
    assert "\\x1b[31mred" in assert_done(run("user", "list"))


# -- tokens --------------------------------------------------------------------------------------------------


def test_token_add_makes_a_key_that_opens_its_rows(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice", "--id", "7")
    added = json.loads(assert_done(run("token", "add", "laptop", "--user", "alice", "--id", "3", "--json")))
    assert added["key"].startswith("sk-")
    assert (added["id"], added["user_id"]) == (3, 7)
    assert peek.scope_of_key(added["key"]) is not None
    assert peek.scope_of_key(added["key"].removeprefix("sk-")) is not None


def test_token_add_does_not_repeat_a_key_it_was_given(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice")
    assert SECRET not in assert_done(run("token", "add", "laptop", "--user", "alice", "--key", SECRET))
    assert peek.scope_of_key(SECRET) is not None


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["other", "--user", "nobody"], "no user is called 'nobody'"),
        (["other", "--user", "alice", "--key", "short"], "16 characters or more"),
        (["other", "--user", "alice", "--key", SECRET], "in use already"),
        (["other", "--user", "alice", "--id", "3"], "exists already"),
        (["other"], "Missing option '--user'"),
    ],
)
def test_token_add_refuses(run: Run, args: list[str], text: str) -> None:
    run("user", "add", "alice")
    run("token", "add", "laptop", "--user", "alice", "--id", "3", "--key", SECRET)
    assert_error(run("token", "add", *args), text)


def test_token_list_and_disable(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice")
    run("token", "add", "laptop", "--user", "alice", "--key", SECRET)
    [listed] = json.loads(assert_done(run("token", "list", "--json")))
    assert (listed["name"], listed["username"], listed["has_key"]) == ("laptop", "alice", True)
    assert "is disabled" in assert_done(run("token", "disable", "laptop"))
    assert "disabled" in assert_done(run("token", "list"))
    assert peek.scope_of_key(SECRET) is None
    assert_error(run("token", "disable", "desktop"), "no token is called 'desktop'")


def test_secrets_are_kept_as_hashes_only(run: Run, peek: LogStore, tmp_path: Path) -> None:
    made = [
        json.loads(run("user", "add", "alice", "--json").stdout)["access_token"],
        json.loads(run("user", "rotate", "alice", "--json").stdout)["access_token"],
        json.loads(run("token", "add", "laptop", "--user", "alice", "--json").stdout)["key"].removeprefix(
            "sk-"
        ),
    ]
    run("user", "add", "bob", "--access-token", SECRET)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert hash_key(made[2]).encode() in stored
    assert not [secret for secret in [*made, SECRET] if secret.encode() in stored]


# -- import --------------------------------------------------------------------------------------------------


def test_import_stores_every_line_of_a_file(run: Run, peek: LogStore, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text("".join(f"{event(quota=number)}\n" for number in range(2500)))
    assert assert_done(run("import", str(path))) == "Accepted 2,500 events, refused 0.\n"
    assert peek.count_all() == peek.count_raw() == 2500


def test_import_reports_refused_lines_by_number_and_stores_the_others(run: Run, peek: LogStore) -> None:
    lines = [event(), "", "nonsense", event(created_at=NOW * 1000), event(colour="red"), "[]", event()]
    result = run("import", "-", input="\n".join(lines))
    assert (result.exit_code, result.stdout) == (1, "Accepted 2 events, refused 4.\n")
    *refused, hint = complaints(result).splitlines()
    assert hint.startswith("Mend what was refused in a file of its own, and import that one: ")
    assert [line.partition(": ")[0] for line in refused] == ["line 3", "line 4", "line 5", "line 6"]
    assert "milliseconds" in refused[1]
    assert "colour" in refused[2]
    assert peek.count_all() == 2


def test_import_prints_its_figures_as_json(run: Run) -> None:
    figures = json.loads(run("import", "-", "--json", input=f"{event()}\nnonsense\n").stdout)
    assert figures == {"accepted": 1, "present": 0, "refused": 1}


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        (b"", 0),
        (b"\n\n", 0),
        (b"\xef\xbb\xbf" + event().encode() + b"\r\n", 1),
        (event(username="张三").encode() + b"\n\n", 1),
    ],
)
def test_import_takes_files_as_editors_write_them(run: Run, given: bytes, accepted: int) -> None:
    assert (
        assert_done(run("import", "-", input=given)) == f"Accepted {counted(accepted, 'event')}, refused 0.\n"
    )


@pytest.mark.parametrize("line", [b"\xff\xfe", b'{"username":"\xff"}', b"\0", b"[" * 100_000])
def test_import_refuses_what_is_no_event(run: Run, line: bytes) -> None:
    result = run("import", "-", input=line + b"\n" + event().encode())
    assert result.stdout == "Accepted 1 event, refused 1.\n"
    assert complaints(result).startswith("line 1: ")


def test_what_was_refused_can_be_mended_in_a_file_of_its_own(
    run: Run, peek: LogStore, tmp_path: Path
) -> None:
    whole, mended = tmp_path / "whole.csv", tmp_path / "mended.csv"
    whole.write_text("created_at,quota\n1750000000,1\n1750000000,much\n")
    mended.write_text("created_at,quota\n1750000000,2\n")

    refused = run("import", str(whole))

    assert "in a file of its own, below the same header, and import that one" in refused.stderr
    assert assert_done(run("import", str(mended))) == "Accepted 1 event, refused 0.\n"
    assert peek.count_all() == 2


def test_import_passes_over_a_line_that_is_too_long(run: Run) -> None:
    too_long = event(content="x" * (LONGEST_LINE + 1))
    result = run("import", "-", input="\n".join([event(), too_long, event()]))
    assert result.stdout == "Accepted 2 events, refused 1.\n"
    assert complaints(result).startswith(f"line 2: the line is longer than {LONGEST_LINE} bytes\nMend ")


def test_a_failing_import_says_where_to_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, peek: LogStore
) -> None:
    advance = Imports.advance

    def fail_later(imports: Imports, *given: Any) -> Any:
        if peek.count_all():
            raise Unavailable("the database was locked")
        return advance(imports, *given)

    monkeypatch.setattr(Imports, "advance", fail_later)
    result = run("import", "-", input=f"{event()}\n" * 1500)
    assert_error(result, "the database was locked; nothing is stored from line 1001 on")
    assert peek.count_all() == 1000


# -- purge and rebuild ---------------------------------------------------------------------------------------


def fill(run: Run) -> None:
    """Store ten rows of today, and ten calls and ten errors of a hundred days ago."""
    now = int(time.time())
    then = now - 100 * 86400
    events = [event(created_at=now, content="now")] * 10
    events += [event(created_at=then)] * 10 + [event(created_at=then, type="error")] * 10
    assert_done(run("import", "-", input="\n".join(events)))


@pytest.mark.parametrize(
    ("args", "left"), [([], 10), (["--type", "error"], 20), (["--type", "2"], 20), (["--type", "0"], 10)]
)
def test_purge_deletes_old_rows(run: Run, peek: LogStore, args: list[str], left: int) -> None:
    fill(run)
    purged = json.loads(assert_done(run("purge", "--before", "90d", *args, "--json")))
    assert (purged["rows"], purged["dry_run"]) == (30 - left, False)
    assert peek.count_all() == peek.count_raw() == left


@pytest.mark.parametrize(("args", "requests"), [([], 20), (["--keep-usage"], 30)])
def test_purge_takes_usage_along_unless_it_is_to_be_kept(
    run: Run, peek: LogStore, args: list[str], requests: int
) -> None:
    fill(run)
    assert_done(run("purge", "--before", "90d", "--type", "consume", *args))
    calls = peek.statistics(Scope.site(), Filters(), ids.between(), asked=2)
    assert (peek.count_raw(), calls["requests"]) == (20, requests)


def test_purge_shows_on_a_terminal_how_far_it_is(run: Run, tmp_path: Path) -> None:
    fill(run)
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "logservice", "purge", "--before", "90d"]
    environ = {**os.environ, "LOGSERVICE_DATABASE_URL": URL, "LOGSERVICE_INSTANCE_PATH": str(tmp_path)}
    done = subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60, check=True
    )
    os.close(theirs)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)

    assert done.stdout.startswith("Deleted 20 rows")
    assert "Purging" in shown
    assert "100%" in shown


def test_purge_can_only_count(run: Run, peek: LogStore) -> None:
    fill(run)
    assert assert_done(run("purge", "--before", "90d", "--dry-run")).startswith(
        "Would delete 20 rows older than "
    )
    assert peek.count_raw() == 30


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["purge", "dry run"])
def test_purge_says_what_becomes_of_usage(run: Run, more: list[str]) -> None:
    fill(run)
    purge = ("purge", "--before", "2025-01-01", *more)
    taken, kept = assert_done(run(*purge)), assert_done(run(*purge, "--keep-usage"))
    assert taken.endswith(", with their usage and all usage kept from before; --keep-usage leaves it.\n")
    assert kept.endswith("2025-01-01T00:00:00Z; their usage stays.\n")
    assert json.loads(assert_done(run(*purge, "--json")))["keep_usage"] is False
    assert json.loads(assert_done(run(*purge, "--json", "--keep-usage")))["keep_usage"] is True


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--before", "2999-01-01"], "--before: '2999-01-01' is in the future"),
        (["--before", str(NOW * 1000)], "looks like milliseconds"),
        (["--before", "soon"], "--before: 'soon' is no time"),
        (["--before", "5000"], "--before: '5000' would be in January 1970; is a unit missing, as in 90d?"),
        (["--before", "90d", "--type", "gossip"], "unknown type 'gossip'"),
    ],
)
def test_purge_refuses(run: Run, peek: LogStore, args: list[str], text: str) -> None:
    fill(run)
    assert_error(run("purge", *args), text)
    assert peek.count_raw() == 30


def test_rebuild_changes_nothing_that_was_right(run: Run, peek: LogStore) -> None:
    fill(run)
    assert assert_done(run("rebuild")) == "Rebuilt the usage of 2 days.\n"
    assert json.loads(assert_done(run("rebuild", "--json"))) == {"days": 2}
    assert peek.count_all() == peek.count_raw() == 30


# -- times ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("1700000000", 1_700_000_000),
        (" 1700000000.9 ", 1_700_000_000),
        ("1", 1),
        ("90d", NOW - 90 * 86400),
        ("2w", NOW - 14 * 86400),
        ("12h", NOW - 12 * 3600),
        ("30m", NOW - 1800),
        ("1s", NOW - 1),
        ("2025-01-31", 1_738_281_600),
        ("2025-01-31T12:00:00", 1_738_324_800),
        ("2025-01-31 12:00:00.9", 1_738_324_800),
        ("2025-01-31T12:00:00Z", 1_738_324_800),
        ("2025-01-31T20:00:00+08:00", 1_738_324_800),
        ("2999-01-01", 32_472_144_000),
    ],
)
def test_a_time_is_epoch_seconds_iso_or_an_age(text: str, second: int) -> None:
    assert times.parse(text, now=NOW + 0.5) == second


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("170000000000", "milliseconds"),
        ("1700000000000", "milliseconds"),
        ("0", "after the start of 1970"),
        ("1969-12-31", "after the start of 1970"),
        ("0001-01-01T00:00+23:59", "1970"),
        ("99999d", "after the start of 1970"),
        ("0d", "'0d' is no time at all; the shortest is 1s"),
        ("-5", "is no time"),
        ("90", None),
        ("90y", "is no time"),
        ("9d 3h", "is no time"),
        ("٣d", "is no time"),
        ("", "is no time"),
        ("yesterday", "is no time"),
        ("2025-02-30", "is no time"),
        ("x" * 500, "is no time"),
    ],
)
def test_what_is_no_time_is_refused_with_the_reason(text: str, reason: str | None) -> None:
    if reason is None:
        assert times.parse(text, now=NOW) == int(text)
        return
    with pytest.raises(InvalidValue, match=reason):
        times.parse(text, now=NOW)


@pytest.mark.parametrize("text", [str(NOW + 1), "2999-01-01", "99999999999"])
def test_a_past_time_is_not_in_the_future(text: str) -> None:
    with pytest.raises(InvalidValue, match="in the future"):
        times.parse_past(text, now=NOW)
    assert times.parse_past(str(NOW), now=NOW) == NOW
    assert times.parse_past("1000000", now=NOW) == 1_000_000
    with pytest.raises(InvalidValue, match="is a unit missing"):
        times.parse_past("999999", now=NOW)


# -- demo ----------------------------------------------------------------------------------------------------


@contextmanager
def demo_store(folder: Path) -> Iterator[LogStore]:
    app = create_app({"LOGSERVICE_DATABASE_URL": demonstration.DATABASE_URL}, instance_path=str(folder))
    with closing(app.extensions["logservice"].store) as store:
        yield store


def test_demo_makes_a_database_of_its_own(run: Run, tmp_path: Path) -> None:
    shown = assert_done(run("demo", "--rows", "3000", "--bind", "127.0.0.1:8123"))
    assert "the page is at http://127.0.0.1:8123/ " in shown
    assert not (tmp_path / "log.db").exists()
    *_, admin, alice, key = (line.split() for line in shown.splitlines() if "curl " in line)
    with demo_store(tmp_path) as store:
        assert store.count_all() == store.count_raw() == 3000
        found = [store.user_of(secret[4].rstrip("'")) for secret in (admin, alice)]
        assert [user and (user.username, user.role) for user in found] == [
            ("admin", "admin"),
            ("alice", "user"),
        ]
        assert store.scope_of_key(key[1].rstrip("'").partition("key=")[2]) is not None


def test_demo_is_made_anew_each_time(run: Run, tmp_path: Path) -> None:
    assert_done(run("demo", "--rows", "200"))
    assert_done(run("demo", "--rows", "100"))
    with demo_store(tmp_path) as store, store.reading() as connection:
        assert store.count_raw() == 100
        assert len([user for user in accounts.list_users(connection) if user.has_login]) == 3


def test_the_demo_s_users_and_keys_see_rows(run: Run, tmp_path: Path) -> None:
    assert_done(run("demo", "--rows", "5000"))
    with demo_store(tmp_path) as store, store.reading() as connection:
        names = connection.scalars(select(records.c.username).distinct())
        token_ids = set(connection.scalars(select(records.c.token_id).distinct()))
        assert {"alice", "bob"} <= set(names)
        assert set(connection.scalars(select(tokens.c.id))) <= token_ids


def test_demo_serves_its_own_database(run: Run, tmp_path: Path, execution: list[Any]) -> None:
    assert_done(run("demo", "--rows", "10", "--serve"))
    [(_, _, environment)] = execution
    assert environment["LOGSERVICE_DATABASE_URL"] == demonstration.DATABASE_URL
    assert environment["LOGSERVICE_INSTANCE_PATH"] == str(tmp_path)


# -- serve ---------------------------------------------------------------------------------------------------


@pytest.fixture
def execution(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note what the process would have become instead of becoming it."""
    seen: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *args: seen.append(args))
    # Whatever listens on this machine: the port of these tests is never opened.
    monkeypatch.setattr(addresses, "refuse_taken", lambda _bind: None)
    return seen


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


@pytest.mark.parametrize(
    ("bind", "where"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        (":9000", "http://127.0.0.1:9000"),
        ("[::]:9000", "http://[::1]:9000"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("log.example.org:8000", "http://log.example.org:8000"),
        ("tcp://10.0.0.1:9000", "http://10.0.0.1:9000"),
    ],
)
def test_the_command_to_paste_fits_the_address(bind: str, where: str) -> None:
    assert addresses.curl_for(bind).where == where


def test_the_command_to_paste_fits_a_socket() -> None:
    curl = addresses.curl_for("unix:/run/log.sock")
    assert curl("/healthz") == "curl --unix-socket /run/log.sock http://localhost/healthz"


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:port", "127.0.0.1:0", "127.0.0.1:70000", "::1:80", "a/b", "[::1", "8123", "localhost"]
)
def test_an_address_that_cannot_be_bound_is_refused_before_anything_is_done(
    run: Run, tmp_path: Path, execution: list[Any], bind: str
) -> None:
    assert_error(run("serve", "--bind", bind), "is neither HOST:PORT nor unix:PATH")
    assert not (tmp_path / "log.db").exists()
    assert not execution


def test_an_address_of_the_environment_is_refused_by_its_own_name(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGSERVICE_BIND", "8123")
    assert_error(
        run("serve"), "LOGSERVICE_BIND: '8123' is neither HOST:PORT nor unix:PATH, such as 127.0.0.1:"
    )
    monkeypatch.delenv("LOGSERVICE_BIND")
    monkeypatch.setenv("LOGSERVICE_WORKERS", "two")
    assert_error(run("serve"), "(env var: 'LOGSERVICE_WORKERS')")


@pytest.mark.parametrize("command", ["serve", "demo --rows 1 --serve"])
def test_what_keeps_the_server_from_starting_is_told_before_a_token_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it starts all the same"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = f"127.0.0.1:{server.getsockname()[1]}"
        assert_error(
            run(*command.split(), "--bind", taken), f"{taken} is taken: another program listens there"
        )
    assert_error(run(*command.split(), "--bind", "unix:/nowhere/x.sock"), "there is no folder /nowhere")
    assert_error(run(*command.split(), "--bind", "192.0.2.1:8000"), "192.0.2.1:8000: ")
    monkeypatch.setenv("LOGSERVICE_LOG_LEVEL", "verbose")
    assert_error(
        run(*command.split(), "--bind", taken), "LOGSERVICE_LOG_LEVEL: 'verbose' is none of debug, info"
    )
    assert not list(tmp_path.glob("*.db"))


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder whose name is short enough for the addresses of sockets in it."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def listening(path: Path, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, kind)) as server:
        server.bind(str(path))
        if kind == socket.SOCK_STREAM:
            server.listen(0)
        yield server


@pytest.mark.parametrize("scheme", ["unix:", "unix://"])
def test_a_path_where_no_socket_can_be_is_told_before_a_token_is(
    run: Run, tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it starts all the same"))
    file, folder, long = sockets / "file", sockets / "folder", sockets / ("x" * 108)
    file.touch()
    folder.mkdir()

    for path, reason in [
        (file, "what is there already is no socket"),
        (folder, "what is there already is no socket"),
        (file / "x.sock", f"there is no folder {file}"),
        (long, "AF_UNIX path too long"),
        # Nobody makes anything there, root neither.
        (Path("/proc/x.sock"), ""),
    ]:
        assert_error(run("serve", "--bind", f"{scheme}{path}"), f"--bind: {scheme}{path}: {reason}")

    assert file.is_file()
    assert not list(tmp_path.glob("*.db"))


def test_a_socket_of_a_running_program_is_taken(
    run: Run, tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it starts all the same"))
    path = sockets / "x.sock"
    taken = f"unix:{path} is taken: another program listens there"

    with listening(path) as server:
        # The first call fills its queue.
        for _ in range(2):
            assert_error(run("serve", "--bind", f"unix:{path}"), taken)
        server.accept()[0].close()
    path.unlink()
    with listening(path, socket.SOCK_DGRAM):
        assert_error(run("serve", "--bind", f"unix:{path}"), taken)

    assert not list(tmp_path.glob("*.db"))


def test_a_path_from_the_working_folder_may_be_short_where_the_whole_one_is_too_long(
    sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sockets / ("x" * 108)
    folder.mkdir()
    monkeypatch.chdir(folder)

    addresses.refuse_taken("unix:x.sock")

    assert not list(folder.iterdir())


def test_a_socket_that_nobody_listens_at_any_more_is_free(sockets: Path) -> None:
    path = sockets / "x.sock"
    with listening(path):
        pass
    assert path.is_socket()

    for _ in range(2):
        addresses.refuse_taken(f"unix:{path}")

    with listening(path):
        pass


def test_a_port_that_systemd_opened_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        addresses.refuse_taken(f"127.0.0.1:{server.getsockname()[1]}")


# -- as a program --------------------------------------------------------------------------------------------


@contextmanager
def program(folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program in a folder; it is stopped in the end if it still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOGSERVICE_")}
    source = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "logservice", *args],
        cwd=folder,
        env={**environment, "PYTHONPATH": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_the_program_fails_with_one_line_and_status_1(tmp_path: Path) -> None:
    with program(tmp_path, "init-db") as process:
        assert process.wait(timeout=60) == 0
    with program(tmp_path, "user", "rotate", "nobody") as process:
        shown = process.communicate(timeout=60)
    assert (*shown, process.returncode) == ("", "Error: no user is called 'nobody'\n", 1)


def test_the_program_is_quiet_when_nobody_reads_on(tmp_path: Path) -> None:
    with program(tmp_path, "init-db") as process:
        assert process.wait(timeout=60) == 0
    with program(tmp_path, "user", "list") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.wait(timeout=60)
        assert process.stderr.read() == ""


def test_an_interrupted_import_keeps_what_it_stored(tmp_path: Path) -> None:
    with program(tmp_path, "init-db") as process:
        assert process.wait(timeout=60) == 0
    with program(tmp_path, "import", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("nonsense\n" + f"{event()}\n" * 999)
        process.stdin.flush()
        assert process.stderr.readline().startswith("line 1: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 1
        assert (process.stdout.read(), process.stderr.read()) == ("", "Aborted.\n")
    app = create_app(instance_path=str(tmp_path / "instance"))
    with closing(app.extensions["logservice"].store) as store:
        assert store.count_all() == store.count_raw() == 999


def test_serve_answers_the_command_it_prints_and_stops_on_request(tmp_path: Path) -> None:
    with program(tmp_path, "serve", "--bind", f"127.0.0.1:{free_port()}", "--workers", "1") as process:
        assert process.stdout is not None
        command = next(line for line in process.stdout if line.strip().startswith("curl "))
        answer = json.loads(ask(command))
        process.terminate()
        process.communicate(timeout=60)
    assert answer["success"]
    assert answer["data"]["total"] == 0
    assert process.returncode == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def ask(command: str) -> str:
    """Do what a printed `curl -H HEADER URL` does, once the service listens; the machine may have no curl."""
    _, _, header, url = shlex.split(command)
    name, _, value = header.partition(": ")
    request = urllib.request.Request(url, headers={name: value})
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
