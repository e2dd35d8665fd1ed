"""`logservice purge` and `logservice rebuild`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from logservice.store import ids
from logservice.store.filters import Filters
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.commands import NOW, URL, Run, assert_done, assert_error, event


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
