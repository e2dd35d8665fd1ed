"""`logservice maintain` as people see it."""

from __future__ import annotations

import json
import re
import secrets
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from logservice.store import policy
from logservice.store.maintenance import Maintenance
from tests.commands import Run, app_in, assert_done, assert_error, invoke


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a service that keeps errors for a day and has two of the last days, and one of now."""
    now = int(time.time())
    lines = [json.dumps({"type": "error", "created_at": now - days * 86400}) for days in (0, 2, 3)]
    assert_done(invoke(tmp_path, "import", "-", input="\n".join(lines)))
    monkeypatch.setenv("LOGSERVICE_RETENTION", "error=1d")
    return partial(invoke, tmp_path)


def test_rows_whose_time_is_over_go(run: Run) -> None:
    headings, line, sentence = assert_done(run("maintain")).splitlines()

    assert (headings.split(), line.split()) == (["TYPE", "ROWS", "REASON"], ["error", "2", "age"])
    assert re.fullmatch("Deleted 2 rows; [0-9,]+ bytes were given back.", sentence)
    assert assert_done(run("maintain")) == "Deleted 0 rows.\n"


def test_json_says_what_went_by_type_and_reason(run: Run) -> None:
    first, second = (json.loads(assert_done(run("maintain", "--json"))) for _ in range(2))

    assert first.pop("bytes_given_back") >= 0
    assert first == {"deleted": 2, "by_age": {"error": 2}, "by_size": {}}
    assert second == {"deleted": 0, "by_age": {}, "by_size": {}, "bytes_given_back": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--every", "3"], "--every: '3' is no span of time"),
        (["--every", "1h", "--dry-run"], "--every: not with --dry-run"),
    ],
    ids=str,
)
def test_an_interval_that_makes_no_sense_is_refused(run: Run, arguments: list[str], message: str) -> None:
    assert_error(run("maintain", *arguments), message)


def test_a_dry_run_shows_what_would_go(run: Run) -> None:
    headings, line, sentence = assert_done(run("maintain", "--dry-run")).splitlines()
    assert sentence == "Would delete 2 rows; nothing was deleted."
    assert headings.split() == ["TYPE", "OLDER", "THAN", "ROWS", "BYTES,", "ABOUT", "REASON"]
    assert line.split()[::2] == ["error", "2", "age"]

    [figures] = json.loads(assert_done(run("maintain", "--dry-run", "--json")))
    assert (figures["type"], figures["rows"]) == ("error", 2)


def test_without_rules_it_says_that_all_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGSERVICE_RETENTION")

    result = run("maintain")

    assert (result.exit_code, result.stdout) == (0, "Deleted 0 rows.\n")
    assert "LOGSERVICE_RETENTION names no type" in result.stderr
    assert run("maintain", "--dry-run").stderr == result.stderr


def test_a_second_one_says_so_and_is_no_failure(run: Run, tmp_path: Path) -> None:
    with closing(app_in(tmp_path).extensions["logservice"].store) as store:
        first = Maintenance(store, policy.parse("error=1d")).run()
        next(first)

        said = assert_done(run("maintain"))

        assert said.startswith("Nothing done: a maintenance is running already")
        list(first)


@pytest.mark.parametrize("value", ["90", "error=3x"])
def test_a_retention_that_cannot_be_read_refuses_to_start(
    run: Run, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("LOGSERVICE_RETENTION", value)

    assert_error(run("user", "list"), "LOGSERVICE_RETENTION: ")


# The size cap


def test_a_cap_takes_the_oldest_rows_of_types_that_have_a_rule(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGSERVICE_RETENTION", "error=900d")
    assert assert_done(run("maintain")) == "Deleted 0 rows.\n"
    large = (json.dumps({"type": "consume", "content": secrets.token_hex(30_000)}) for _ in range(20))
    assert_done(run("import", "-", input="\n".join(large)))
    monkeypatch.setenv("LOGSERVICE_MAX_DB_SIZE", "1MB")

    by_age, by_size = json.loads(assert_done(run("maintain", "--dry-run", "--json")))
    assert (by_age["rows"], by_age["reason"]) == (0, "age")
    assert (by_size["type"], by_size["rows"], by_size["reason"]) == ("error", 2, "size")
    *_, line, sentence, of_cap = assert_done(run("maintain", "--dry-run")).splitlines()
    assert line.split()[::2] == ["error", "2", "size"]
    assert sentence == "Would delete 2 rows; nothing was deleted."
    assert re.fullmatch(
        r"The log takes [0-9,]+ of the 1,000,000 bytes of LOGSERVICE_MAX_DB_SIZE, so about 2 rows would go"
        r" for its size\.",
        of_cap,
    )

    result = run("maintain")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == ["error", "2", "size"]
    assert re.match(
        r"The log takes [0-9,]+ bytes, more than the 1,000,000 of LOGSERVICE_MAX_DB_SIZE", result.stderr
    )
    assert result.stderr.count("\n") == 1
    assert assert_done(run("maintain", "--dry-run")).endswith(", and no more may go for its size.\n")


def test_a_cap_that_is_not_reached_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSERVICE_RETENTION", "error=900d")
    monkeypatch.setenv("LOGSERVICE_MAX_DB_SIZE", "10GB")

    assert assert_done(run("maintain", "--dry-run")).endswith(", so none would go for its size.\n")
    assert assert_done(run("maintain")) == "Deleted 0 rows.\n"


def test_a_cap_without_a_rule_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSERVICE_RETENTION", "")
    monkeypatch.setenv("LOGSERVICE_MAX_DB_SIZE", "10GB")

    assert_error(run("maintain"), "LOGSERVICE_RETENTION names are deleted, and it names none")
    assert_error(run("maintain", "--dry-run"), "LOGSERVICE_MAX_DB_SIZE: only rows of types")


@pytest.mark.parametrize("value", ["10", "999999", "1KB", "0GB", "ten", "10XB", "-1GB"])
def test_a_cap_that_cannot_be_read_refuses_to_start(
    run: Run, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("LOGSERVICE_MAX_DB_SIZE", value)

    assert_error(run("user", "list"), "LOGSERVICE_MAX_DB_SIZE: ")


@pytest.mark.parametrize("value", ["", " ", "0"])
def test_an_empty_cap_is_none(run: Run, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LOGSERVICE_MAX_DB_SIZE", value)

    assert "Deleted 2 rows; " in assert_done(run("maintain"))
