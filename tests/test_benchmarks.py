"""The benchmark: every operation is measured, both sides agree, and neither side is held back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks import endurance, in_turn, kinds, recording
from benchmarks.__main__ import main
from benchmarks.choices import choose
from benchmarks.figures import Figure, Goal, percentile
from benchmarks.loading import loaded
from benchmarks.operations import operations
from benchmarks.pairs import Pair, opened
from benchmarks.plan import QUICK, Plan, Stage
from benchmarks.reading import Disagreement, read
from benchmarks.rows import COLUMNS, history
from benchmarks.serving import add_logins, serving
from benchmarks.sqlite_pair import SQLitePair

ROWS = 2_000
END = 1_764_000_000
#: What has to be measured, as the result calls it.
OPERATIONS = (
    "stat: everything",
    "stat: 7 days",
    "stat: 7 days of one model",
    "stat: 7 days of one user",
    "list with total: 7 days of one model, page 1",
    "list with total: no filter, page 1",
    "list with total: no filter, page 40",
    "list with total: a user's own 7 days, page 1",
    "list with total: 7 days of a model that nobody has, page 1",
    "list with total: 7 days of a user and a model never used, page 1",
    "keyword search: without a match",
    "keyword search: one rare match",
    "NDJSON posts of 1,000 events, 1 at a time",
    "NDJSON posts of 1,000 events, 2 at a time",
    "NDJSON posts of 1,000 events, 4 at a time",
    "single-event posts, 32 connections",
    "database size, search index included",
    "other clients' posts during it, 50 a second",
    "memory of one worker after all of it",
    "processor time of a user's own page, 500 rows: a worker",
    "processor time of a user's own page, 500 rows: without gunicorn",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the one run that most tests look at."""
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def finished(folder: Path) -> Result:
    """A run of a few rows and repetitions, compared with an earlier one of fewer rows."""
    earlier = folder / "earlier.json"
    figure = {"key": "stat-all", "name": "stat", "unit": "ms", "ours": 0.001, "compared": True}
    earlier.write_text(json.dumps({"rows": 200, "engine": "sqlite", "figures": [figure]}))
    given = ["--rows", str(ROWS), "--quick", "--folder", str(folder), "--compare", str(earlier)]
    return CliRunner().invoke(main, given)


def test_the_wait_of_the_clients_caller_is_measured_beside_a_loop_without_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recording, "CALLS", 200)
    recording.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line[:16].strip() for line in lines[::2]] == ["json.dumps", "nobody listens", "service hangs"]
    assert all("p99" in line and "over 1 ms" in line for line in lines)


def test_endurance_tells_statuses_times_and_how_memory_grows(tmp_path: Path) -> None:
    given = ["--rows", "200", "--minutes", "0.03", "--share", "0.1", "--anew", "0.015"]
    result = CliRunner().invoke(endurance.main, [*given, "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    turn = r"^it can do [\d,]+ requests/s; offered are [\d,]+/s; p99 of reads [\d.]+ ms, 0 failed$"
    assert len(re.findall(turn, result.output, re.MULTILINE)) == 2
    for said in (
        "post   200:",
        "read   200:",
        "VmRSS ",
        "RssAnon",
        "MB/hour",
        "parts of the time",
        "no failure:",
        "p99 of reads",
    ):
        assert said in result.output
    assert list(tmp_path.iterdir()) == []


def test_services_in_turn_are_told_with_all_of_their_turns(tmp_path: Path) -> None:
    given = ["1x2", "2x3@any", "--rows", "200", "--rate", "20", "--rounds", "2", "--seconds", "1"]
    beside = ["--beside", str(Path(__file__).parent.parent), "--folder", str(tmp_path)]
    result = CliRunner().invoke(in_turn.main, [*given, *beside])
    assert result.exit_code == 0, result.output
    for numbers in ("1x2", "1x2 beside", "2x3@any", "2x3@any beside"):
        assert re.search(
            rf"^{numbers}: can do [\d,]+ requests/s\n"
            r"(  .*\n)*  post   200: .*\n(  .*\n)*  read   200: .*\n(  .*\n)*"
            r"  p99 of reads in each turn: \d+ \d+ ms$",
            result.output,
            re.MULTILINE,
        ), result.output
    assert list(tmp_path.iterdir()) == []


def test_each_kind_of_request_is_told_here_and_in_another_checkout(tmp_path: Path) -> None:
    given = ["--rows", "200", "--clients", "2", "--rounds", "2", "--seconds", "0.1"]
    beside = ["--beside", str(Path(__file__).parent.parent), "--folder", str(tmp_path)]
    result = CliRunner().invoke(kinds.main, [*given, *beside])
    assert result.exit_code == 0, result.output
    side = r" +\d+/s  p50 +[\d.]+ ms  p99 +[\d.]+ ms  processor +[\d.]+ ms  failed 0\n"
    found = re.findall(
        rf"^(.+)\n  here{side}  beside{side}  here/beside: [\d.]+ \([\d.]+ to [\d.]+\)$",
        result.output,
        re.MULTILINE,
    )
    assert found == list(kinds.kinds()), result.output
    assert "/api/log/?model_name=gpt-4o&page_size=20" in found
    assert "post of one event" in found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("numbers", ["3", "0x12", "3x", "3x12x1", "3x12@1"])
def test_what_is_not_workers_x_threads_is_refused(numbers: str) -> None:
    result = CliRunner().invoke(in_turn.main, [numbers, "--rate", "20"])
    assert result.exit_code == 2
    assert f"'{numbers}' is no number of workers and threads, such as 3x12" in result.output


def test_a_slope_is_that_of_the_line_between_the_values() -> None:
    assert endurance.slope([0, 1, 2, 3], [5, 7, 9, 11]) == 2
    assert endurance.slope([0, 1, 2, 3], [5, 7, 7, 5]) == 0
    assert endurance.slope([4], [5]) == 0


def test_memory_is_told_by_parts_of_the_time() -> None:
    assert list(endurance.parts([1, 3, 2, 4, 5, 5, 6, 6, 7, 9, 1, 2, 9])) == [2, 3, 5, 6, 8, 4]
    assert list(endurance.parts([7, 8])) == [7, 8]


def test_a_run_ends_well_and_leaves_only_results(finished: Result, folder: Path) -> None:
    assert finished.exit_code == 0, finished.output
    assert {path.suffix for path in folder.iterdir()} == {".md", ".json", ".log"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_a_line(name: str, finished: Result, folder: Path) -> None:
    assert f"\n{name}  " in finished.output
    assert f"\n| {name} | " in (folder / f"sqlite-{ROWS}.md").read_text()


def test_the_json_says_what_the_table_says(finished: Result, folder: Path) -> None:
    found = json.loads((folder / f"sqlite-{ROWS}.json").read_text())
    assert (found["rows"], found["engine"], found["problems"]) == (ROWS, "sqlite", [])
    assert {figure["name"] for figure in found["figures"]} >= set(OPERATIONS)
    assert all(figure["ours"] > 0 for figure in found["figures"])


def test_a_read_that_takes_longer_with_more_rows_is_pointed_out(finished: Result) -> None:
    table = finished.output.partition("longer by")[2].splitlines()
    assert table[1].startswith("stat: everything")
    assert table[1].endswith("no")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A running service on a few rows, and the yardstick with the same."""
    plan = Plan(ROWS, "sqlite", tmp_path, effort=QUICK)
    plan.databases.mkdir()
    with opened(plan.engine, plan.databases) as make_pair:
        pair = make_pair("measured")
        found = loaded(plan, make_pair("loaded"), pair)
        with closing(pair.yardstick()) as yardstick:
            chosen = choose(yardstick, rows=ROWS, end=found.end)
        logins = add_logins(pair, chosen.user_id, chosen.username)
        with serving(pair, logins, log=plan.result("log"), workers=1) as service:
            yield Stage(plan, pair, service, chosen, iter(()), iter(()))


def test_an_answer_that_is_not_in_the_rows_is_noticed(stage: Stage) -> None:
    """The yardstick's newest row of the chosen user costs a little more than ours: sums and pages differ."""
    with closing(stage.pair.yardstick(writing=True)) as yardstick:
        newest = "(SELECT max(id) FROM logs WHERE type = 2 AND model_name = ? AND created_at <= ?)"
        values = (stage.chosen.model, stage.chosen.end)
        yardstick.connection.execute(f"UPDATE logs SET quota = quota + 1 WHERE id = {newest}", values)
        by_key = {operation.key: operation for operation in operations(stage.chosen)}
        for key in ("stat-week", "list-model"):
            with pytest.raises(Disagreement, match="where the rows say"):
                read(stage, yardstick, by_key[key])
        assert read(stage, yardstick, by_key["list-nobodys"])


def test_loaded_databases_that_are_kept_are_used_again_unchanged(tmp_path: Path) -> None:
    plan = Plan(ROWS, "sqlite", tmp_path, keep=True, effort=QUICK)
    plan.databases.mkdir()
    with opened(plan.engine, plan.databases) as make_pair:
        source, pair = make_pair("loaded"), make_pair("measured")
        runs = []
        for _ in range(2):
            found = loaded(plan, source, pair)
            with closing(pair.yardstick(writing=True)) as yardstick:
                runs.append((found, yardstick.delete_older(found.end)))
    assert runs[0] == runs[1] == (found, ROWS)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Two empty databases."""
    created = SQLitePair(tmp_path / "pair")
    created.create()
    return created


def test_the_yardstick_reads_with_no_less_memory_than_our_readers_have(pair: Pair) -> None:
    names = ("mmap_size", "cache_size")
    with closing(pair.open_store()) as store, closing(pair.yardstick()) as yardstick:
        with store.reading() as connection:
            ours = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
        theirs = [yardstick.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert theirs[0] == ours[0]
    # Both in KiB, and so negative.
    assert theirs[1] <= ours[1] < 0


def test_the_yardstick_writes_as_durably_as_we_do_and_with_no_less_memory(pair: Pair) -> None:
    names = ("journal_mode", "synchronous", "temp_store", "secure_delete", "cache_size")

    def pragmas(connection: Any) -> list[Any]:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    with closing(pair.open_store()) as store, closing(pair.yardstick(writing=True)) as yardstick:
        ours = store.write(pragmas)
        theirs = [yardstick.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert theirs[:-1] == ours[:-1]
    assert theirs[-1] <= ours[-1] < 0


def test_rows_have_the_columns_of_the_yardstick_and_whole_seconds() -> None:
    for row in islice(history(100, end=END), 100):
        assert tuple(row) == COLUMNS
        assert isinstance(row["use_time"], int)


FIGURE = Figure("key", "name", "ms", ours=4.0, p99=9.0, ratio=3.0)


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal("times", 3), True),
        (Goal("times", 3.1), False),
        (Goal("share", 3), True),
        (Goal("share", 2.9), False),
        (Goal("below", 4), True),
        (Goal("below", 3), False),
        (Goal("p99 below", 9), True),
        (Goal("p99 below", 8), False),
    ],
    ids=str,
)
def test_a_goal_is_reached_or_not(goal: Goal, reached: bool) -> None:
    assert replace(FIGURE, goal=goal).reached is reached


def test_without_a_goal_nothing_is_judged() -> None:
    assert FIGURE.reached is None


def test_a_percentile_is_a_value_that_occurred() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(number) for number in range(1, 101)], 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
