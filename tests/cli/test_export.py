"""`logservice export` as people see it, and its way back through `logservice import`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from sqlalchemy import text

from logservice.cli.exporting import FILTERS
from logservice.errors import Unavailable
from logservice.store import exports
from logservice.store.store import LogStore
from logservice.web.audiences import ADMIN
from logservice.web.schemas import AllFilters
from tests.commands import Run, assert_done, assert_error, invoke, with_store
from tests.store_rows import MIDNIGHT, Row, buckets, make_record, make_records, raw_rows, rebuilt

NASTY = (
    "=1+1",
    "-5",
    "+a",
    "@b",
    "\tc",
    "\rd",
    "'e",
    "'=f",
    'g"h,i',
    "two\nlines",
    "half\r\nmore",
    "充值 😀",
    "",
)


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Rows of every kind: texts a spreadsheet would run, private parts of `other`, a type without a name."""

    def fill(store: LogStore) -> list[Row]:
        store.record(make_records(40, other={"admin_info": {"a": 1}}, channel_name="east"))
        for place, nasty in enumerate(NASTY):
            store.record(
                [make_record(content=nasty, model_name=nasty[:20], is_stream=place % 2 == 0, quota=-place)]
            )
        odd = "UPDATE log_records SET type = 42 WHERE id = (SELECT max(id) FROM log_records)"
        store.write(lambda connection: connection.execute(text(odd)))
        list(store.rebuild())
        return raw_rows(store)

    found: list[Row] = with_store(tmp_path, fill)
    return found


def as_exported(rows: list[Row]) -> list[Row]:
    return [{name: row[name] for name in ADMIN.fields} for row in rows]


def lines(said: str) -> list[Row]:
    return [json.loads(line) for line in said.split("\n") if line]


def test_every_filter_of_the_list_is_an_option() -> None:
    assert FILTERS.keys() == AllFilters().fields.keys()


def test_rows_go_to_standard_output_as_lines_of_json_oldest_first(run: Run, rows: list[Row]) -> None:
    assert lines(assert_done(run("export"))) == as_exported(rows)


@pytest.mark.parametrize(
    "args",
    [["--format", "ndjson"], ["--format", "csv"], ["--format", "csv", "--bom"]],
    ids=" ".join,
)
def test_an_export_comes_back_by_an_import_with_every_row_as_it_was(
    run: Run, rows: list[Row], tmp_path: Path, args: list[str]
) -> None:
    file, other = tmp_path / "out", tmp_path / "other"
    assert assert_done(run("export", *args, "-o", str(file))) == f"Exported {len(rows)} rows.\n"

    said = invoke(other, "import", str(file)).stdout

    assert said == f"Accepted {len(rows)} events, refused 0.\n"
    assert with_store(other, raw_rows) == rows
    assert with_store(other, buckets) == with_store(other, rebuilt)


def test_parquet_holds_the_same_rows(run: Run, rows: list[Row], tmp_path: Path) -> None:
    file = tmp_path / "logs.parquet"
    assert_done(run("export", "-o", str(file)))
    assert parquet.read_table(file).to_pylist() == as_exported(rows)


@pytest.mark.parametrize(
    ("name", "beginning"), [("a.csv", b"id,"), ("a.CSV", b"id,"), ("a.json", b"{"), ("a", b"{")]
)
def test_the_ending_of_the_file_says_the_format(
    run: Run, rows: list[Row], tmp_path: Path, name: str, beginning: bytes
) -> None:
    assert_done(run("export", "-o", str(tmp_path / name)))
    assert (tmp_path / name).read_bytes().startswith(beginning)


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--username", "bob"], lambda row: row["username"] == "bob"),
        (
            ["--model-name", "gpt%", "--type", "consume"],
            lambda row: row["model_name"][:3] == "gpt" and row["type"] == 2,
        ),
        (["--type", "0"], lambda row: True),
        (["--start-timestamp", str(MIDNIGHT)], lambda row: row["created_at"] >= MIDNIGHT),
        (
            ["--start-timestamp", "0", "--end-timestamp", "2023-11-13T00:00:00Z"],
            lambda row: row["created_at"] <= 1699833600,
        ),
        (["--channel", "2", "--group", "vip"], lambda row: (row["channel_id"], row["group"]) == (2, "vip")),
        (["--ip", "10.0.0.1"], lambda row: row["ip"] == "10.0.0.1"),
        (
            ["--request-id", "r-1", "--token-name", "lap%"],
            lambda row: (row["request_id"], row["token_name"]) == ("r-1", "laptop"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_filters_are_those_of_the_list(
    run: Run, rows: list[Row], args: list[str], wanted: Callable[[Row], bool]
) -> None:
    found = lines(assert_done(run("export", *args)))
    assert found == as_exported([row for row in rows if wanted(row)])
    assert found


def test_after_goes_on_behind_a_row(run: Run, rows: list[Row]) -> None:
    assert lines(assert_done(run("export", "--after", str(rows[20]["id"])))) == as_exported(rows[21:])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--type", "colour"], "--type: unknown type 'colour'"),
        (["--channel", "east"], "--channel: not a whole number"),
        (["--after", "x"], "--after: not a whole number"),
        (["--start-timestamp", "soon"], "--start-timestamp: 'soon' is no time"),
        (["--end-timestamp", "1760013296000"], "--end-timestamp: '1760013296000' looks like milliseconds"),
        (["--format", "xml"], "--format"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_named_and_nothing_written(
    run: Run, rows: list[Row], tmp_path: Path, args: list[str], said: str
) -> None:
    assert_error(run("export", *args, "-o", str(tmp_path / "out")), said)
    assert not (tmp_path / "out").exists()


def test_a_file_is_replaced_only_when_that_is_wanted(run: Run, rows: list[Row], tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"before")
    assert_error(run("export", "-o", str(file)), "--force")
    assert file.read_bytes() == b"before"
    assert_done(run("export", "-o", str(file), "--force"))
    assert lines(file.read_text()) == as_exported(rows)


def test_an_ending_of_no_format_is_refused_unless_one_is_named(
    run: Run, rows: list[Row], tmp_path: Path
) -> None:
    file = tmp_path / "e.xlsx"
    assert_error(run("export", "-o", str(file)), f"{file}: an ending that says no format")
    assert not file.exists()
    assert_done(run("export", "-o", str(file), "--format", "csv"))
    assert file.read_bytes().startswith(b"id,")


def test_a_folder_that_is_not_there_is_named(run: Run, rows: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "nodir"
    result = run("export", "-o", str(folder / "e.csv"))
    assert_error(result, f"Error: {folder}: No such file or directory\n")


def test_an_export_of_no_rows_says_so(run: Run, rows: list[Row], tmp_path: Path) -> None:
    for more in ([], ["-o", str(tmp_path / "none.csv")]):
        result = run("export", "--username", "nobody", *more)
        assert (result.exit_code, result.stderr) == (0, "The log has no rows that these filters leave.\n")


def test_an_export_of_no_rows_makes_a_file_all_the_same(run: Run, rows: list[Row], tmp_path: Path) -> None:
    for name, beginning in (("none.csv", b"id,"), ("none.ndjson", b"")):
        run("export", "--username", "nobody", "-o", str(tmp_path / name))
        written = (tmp_path / name).read_bytes()
        assert written.startswith(beginning)
        assert written.count(b"\n") == (1 if beginning else 0)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the database fail when the second batch is read."""
    monkeypatch.setattr(exports, "FIRST_ROWS", 10)
    oldest, calls = exports._oldest, iter(range(9))

    def fail(*args: Any, **named: Any) -> Any:
        if next(calls):
            raise Unavailable("the database failed: disk I/O error")
        return oldest(*args, **named)

    monkeypatch.setattr(exports, "_oldest", fail)


@pytest.mark.usefixtures("failing")
def test_where_the_database_fails_it_is_said_how_to_go_on(run: Run, rows: list[Row]) -> None:
    result = run("export")
    assert_error(result, f"disk I/O error; go on with --after {rows[9]['id']}")
    assert lines(result.stdout) == as_exported(rows[:10])


@pytest.mark.usefixtures("failing")
def test_a_file_is_not_there_by_half(run: Run, rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    assert_error(run("export", "-o", str(tmp_path / "into" / "out")), "disk I/O error")
    assert list((tmp_path / "into").iterdir()) == []
