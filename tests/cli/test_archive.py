"""`logservice archive` as people see it, and its way back through `logservice import`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.commands import Run, assert_done, assert_error, with_store
from tests.store_rows import MIDNIGHT, Row, make_records, raw_rows

OLDER = ("--older-than", "2023-11-14")


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Rows of three days in November 2023."""
    with_store(tmp_path, lambda store: store.record(make_records(40)))
    found: list[Row] = with_store(tmp_path, raw_rows)
    return found


def old(rows: list[Row]) -> int:
    return sum(row["created_at"] < MIDNIGHT - 86400 for row in rows)


def test_days_move_out_and_come_back(run: Run, rows: list[Row], tmp_path: Path) -> None:
    gone, target = old(rows), str(tmp_path / "archive")

    said = assert_done(run("archive", *OLDER, target))
    assert said == f"Archived {gone} rows of 2 days in {target}; {gone} deleted from the log.\n"
    assert len(with_store(tmp_path, raw_rows)) == len(rows) - gone

    assert assert_done(run("import", target)) == f"Accepted {gone} rows, refused 0.\n"
    assert with_store(tmp_path, raw_rows) == rows
    again = assert_done(run("import", target))
    assert again == f"Accepted 0 rows, {gone} were there already, refused 0.\n"


def test_a_dry_run_shows_the_days_and_does_nothing(run: Run, rows: list[Row], tmp_path: Path) -> None:
    target = tmp_path / "archive"

    lines = assert_done(run("archive", *OLDER, str(target), "--dry-run")).splitlines()
    found = json.loads(assert_done(run("archive", *OLDER, str(target), "--dry-run", "--json")))

    assert re.split(r"\s{2,}", lines[0]) == ["DAY", "ROWS", "KEPT USAGE"]
    assert [line.split()[0] for line in lines[1:]] == ["2023-11-12", "2023-11-13"]
    assert sum(day["rows"] for day in found) == old(rows)
    assert not target.exists()
    assert with_store(tmp_path, raw_rows) == rows


def test_as_json_the_figures_are_numbers(run: Run, rows: list[Row], tmp_path: Path) -> None:
    found = json.loads(assert_done(run("archive", *OLDER, str(tmp_path / "archive"), "--json")))

    assert found == {"days": 2, "rows": old(rows), "deleted": old(rows)}


def test_an_exported_parquet_file_comes_back_with_every_row(
    run: Run, rows: list[Row], tmp_path: Path
) -> None:
    file = str(tmp_path / "rows.parquet")
    assert_done(run("export", "-o", file))
    assert_done(run("purge", "--before", "2023-11-15"))

    assert json.loads(assert_done(run("import", file, "--json")))["accepted"] == len(rows)
    assert with_store(tmp_path, raw_rows) == rows


def test_a_look_at_an_archive_stores_nothing(run: Run, rows: list[Row], tmp_path: Path) -> None:
    target = str(tmp_path / "archive")
    assert_done(run("archive", *OLDER, target))

    lines = assert_done(run("import", target, "--dry-run")).splitlines()

    assert lines[-1] == f"{old(rows)} rows would be accepted, and 0 refused; nothing was stored."
    assert len(lines) == 4
    assert len(with_store(tmp_path, raw_rows)) == len(rows) - old(rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--older-than", "3x", "archive"), "--older-than: '3x'"),
        (("--older-than", "2999-01-01", "archive"), "--older-than: '2999-01-01' is in the future"),
    ],
)
def test_a_time_that_cannot_be_is_named(
    run: Run, rows: list[Row], arguments: tuple[str, ...], message: str
) -> None:
    assert_error(run("archive", *arguments), message)


def test_a_folder_that_cannot_be_made_is_named_and_nothing_is_lost(
    run: Run, rows: list[Row], tmp_path: Path
) -> None:
    missing = tmp_path / "unmounted"

    assert_error(run("archive", *OLDER, str(missing / "archive")), f"there is no folder {missing}")

    assert with_store(tmp_path, raw_rows) == rows


def test_a_folder_without_an_archive_is_named(run: Run, tmp_path: Path) -> None:
    os.mkdir(tmp_path / "empty")

    assert_error(run("import", str(tmp_path / "empty")), "no archive")


def test_options_for_other_sources_are_refused(run: Run, rows: list[Row], tmp_path: Path) -> None:
    target = str(tmp_path / "archive")
    assert_done(run("archive", *OLDER, target))

    assert_error(run("import", target, "--format", "csv"), "--format: is for a file of lines")
    assert_error(run("import", target, "--anew"), "--anew: is for the database of a gateway")
