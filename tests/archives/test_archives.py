"""Days that move out of the log and come back: every row, every sum, nothing twice, whoever is cut short."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet
from sqlalchemy import create_engine

from logservice.archives.archiving import Archiving
from logservice.archives.folder import Folder
from logservice.archives.restoring import Restoring
from logservice.errors import Conflict, InvalidValue
from logservice.exports import parquet as exporting
from logservice.imports.parquet import ParquetFile
from logservice.store import archiving, dialects, marks
from logservice.store.archiving import Day, Totals
from logservice.store.holding import Holding
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from logservice.store.tables import imports
from logservice.store.tables import retained as chunks
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    HOUR,
    MIDNIGHT,
    SITE,
    Row,
    buckets,
    make_record,
    make_records,
    raw_rows,
    rebuilt,
    table_rows,
)

BEFORE = MIDNIGHT - DAY
PLACES = ("files", "noted", "named", "deleted")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the archive goes."""
    return tmp_path / "archive"


def statistics(store: LogStore) -> list[Row]:
    """Return the sums of each type, those of rows that are gone included."""
    figures = ("requests", "quota", "prompt_tokens", "completion_tokens", "cached_tokens")
    found = [store.statistics(SITE, ALL, EVER, asked=kind) for kind in range(1, 8)]
    return [{name: one[name] for name in figures} for one in found]


def archive(store: LogStore, folder: Path, before: int = BEFORE) -> tuple[int, int]:
    """Archive and return how many rows were written and deleted."""
    steps = list(Archiving(store, folder, before=before).run())
    return sum(step.written for step in steps), sum(step.deleted for step in steps)


def restore(store: LogStore, folder: Path) -> tuple[int, int]:
    """Import and return how many rows were stored, and how many were read."""
    batches = list(Restoring(store, folder).run())
    assert all(batch.found.refused == {} for batch in batches)
    return sum(batch.stored for batch in batches), sum(batch.number for batch in batches)


def archived(folder: Path) -> list[Row]:
    """Return the rows of all files of an archive, as pyarrow reads them."""
    rows = [
        row for path in sorted(folder.glob("rows/*.parquet")) for row in parquet.read_table(path).to_pylist()
    ]
    return sorted(rows, key=lambda row: row["id"])


def without_derived(rows: list[Row]) -> list[Row]:
    return [
        {str(name): value for name, value in row.items() if name not in ("channel", "use_time")}
        for row in rows
    ]


def kept(store: LogStore) -> list[Row]:
    return [row for table in buckets(store) for row in table if row["retained"]]


def purge(store: LogStore, before: int, **how: Any) -> None:
    list(store.purge(Purge(before, **how)))


@pytest.fixture
def filled(store: LogStore) -> LogStore:
    """A log of three days with texts, of which an hour was purged while its usage was kept."""
    new = make_records(150)
    for place, one in enumerate(new):
        one.row |= {"content": f"充值 {place % 7}", "other": '{"admin_info":{"a":1}}', "channel_name": "east"}
    store.record([*new, *(make_record(created_at=BEFORE - 2 * DAY - second, quota=5) for second in range(9))])
    purge(store, BEFORE - 2 * DAY, keep_usage=True)
    return store


# There


def test_old_days_lie_in_files_and_are_gone_from_the_log_while_their_usage_stays(
    filled: LogStore, folder: Path
) -> None:
    rows, before = raw_rows(filled), statistics(filled)
    old = [row for row in rows if row["created_at"] < BEFORE]

    assert archive(filled, folder) == (len(old), len(old))

    assert archived(folder) == without_derived(old)
    assert raw_rows(filled) == rows[len(old) :]
    assert statistics(filled) == before
    assert buckets(filled) == rebuilt(filled)
    assert {row["kind"] for row in table_rows(filled, imports)} == {"log", "usage"}


def test_each_day_has_a_file_of_its_own(filled: LogStore, folder: Path) -> None:
    archive(filled, folder)

    assert [path.name for path in Folder(folder).files("rows")] == [
        "2023-11-12.parquet",
        "2023-11-13.parquet",
    ]
    assert [path.name for path in Folder(folder).files("usage")] == ["2023-11-11.parquet"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("*/*"))


def test_a_second_run_does_nothing(filled: LogStore, folder: Path) -> None:
    archive(filled, folder)
    before = raw_rows(filled), buckets(filled)

    assert Archiving(filled, folder, before=BEFORE).due() == []
    assert archive(filled, folder) == (0, 0)
    assert (raw_rows(filled), buckets(filled)) == before


def test_a_day_that_is_not_over_by_then_stays(filled: LogStore, folder: Path) -> None:
    rows = raw_rows(filled)

    archive(filled, folder, before=BEFORE + 23 * HOUR)

    assert raw_rows(filled) == [row for row in rows if row["created_at"] >= BEFORE]


def test_rows_that_arrive_once_a_day_is_archived_stay_in_the_log(
    filled: LogStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [row for row in raw_rows(filled) if row["created_at"] < BEFORE]
    begin = archiving.begin

    def begin_then_record(store: LogStore, day: Day, **how: Any) -> bool:
        done = begin(store, day, **how)
        filled.record([make_record(created_at=day.start + 77, request_id="late")])
        return done

    monkeypatch.setattr(archiving, "begin", begin_then_record)
    assert archive(filled, folder)[1] == len(old)

    assert [row["request_id"] for row in raw_rows(filled) if row["created_at"] < BEFORE] == ["late"] * 3
    assert archived(folder) == without_derived(old)
    assert buckets(filled) == rebuilt(filled)


def test_rows_that_arrive_before_the_day_is_compared_are_archived_too(
    filled: LogStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals, late = archiving.totals, [make_record(created_at=BEFORE - 77, request_id="late")]

    def record_then_compare(store: LogStore, day: Day) -> Totals:
        while late:
            filled.record([late.pop()])
        return totals(store, day)

    monkeypatch.setattr(archiving, "totals", record_then_compare)
    archive(filled, folder)

    assert [row["created_at"] for row in archived(folder) if row["request_id"] == "late"] == [BEFORE - 77]
    assert raw_rows(filled)[0]["created_at"] >= BEFORE


def test_a_day_with_late_rows_gets_another_file(filled: LogStore, folder: Path) -> None:
    archive(filled, folder)
    filled.record([make_record(created_at=BEFORE - 9)])
    before = statistics(filled)

    assert archive(filled, folder) == (1, 1)

    names = [path.name for path in Folder(folder).files("rows")]
    assert names == ["2023-11-12.parquet", "2023-11-13.2.parquet", "2023-11-13.parquet"]
    assert statistics(filled) == before


def test_a_row_that_was_given_the_id_of_an_archived_one_is_not_taken_for_it(
    filled: LogStore, folder: Path
) -> None:
    archive(filled, folder)
    [row] = archived(folder)[:1]
    filled.record([make_record(created_at=row["created_at"], request_id="another")])
    [there] = [one for one in raw_rows(filled) if one["created_at"] < BEFORE]
    trace = (there["id"], 12345)

    assert archiving.delete_rows(filled, [trace]) == 0
    assert [one["request_id"] for one in raw_rows(filled) if one["created_at"] < BEFORE] == ["another"]


# Back


def test_everything_comes_back_and_nothing_counts_twice(filled: LogStore, folder: Path) -> None:
    rows, before = raw_rows(filled), statistics(filled)
    archive(filled, folder)

    stored, read = restore(filled, folder)
    again, _ = restore(filled, folder)

    assert (stored, again) == (read, 0)
    assert raw_rows(filled) == rows
    assert statistics(filled) == before
    assert table_rows(filled, chunks) != []
    assert buckets(filled) == rebuilt(filled)


def test_a_new_log_gets_rows_and_kept_usage(
    filled: LogStore, folder: Path, tmp_path: Path, open_other: Callable[[], LogStore]
) -> None:
    rows, before = raw_rows(filled), statistics(filled)
    archive(filled, folder, before=MIDNIGHT)
    other = open_other()

    for _ in range(2):
        restore(other, folder)
        assert raw_rows(other) == rows
        assert statistics(other) == before
        assert buckets(other) == rebuilt(other)


@pytest.fixture
def open_other(tmp_path: Path) -> Any:
    """Open a log of its own beside the one that is archived."""
    stores: list[LogStore] = []

    def open_one() -> LogStore:
        engine = create_engine(**dialects.engine_settings(f"sqlite:///{tmp_path / 'other.db'}", ""))
        stores.append(LogStore(engine, clock=lambda: MIDNIGHT + DAY))
        return stores[-1]

    yield open_one
    for one in stores:
        one.close()


def test_there_and_back_and_there_again(filled: LogStore, folder: Path) -> None:
    rows, before = raw_rows(filled), statistics(filled)
    for _ in range(2):
        archive(filled, folder)
        restore(filled, folder)
        purge(filled, BEFORE, keep_usage=True)
        restore(filled, folder)

    assert raw_rows(filled) == rows
    assert statistics(filled) == before
    assert buckets(filled) == rebuilt(filled)


def test_rows_that_came_back_and_go_again_lie_in_the_archive_once(filled: LogStore, folder: Path) -> None:
    archive(filled, folder)
    restore(filled, folder)
    old = [row for row in raw_rows(filled) if row["created_at"] < BEFORE]

    assert archive(filled, folder) == (0, len(old))

    assert archived(folder) == without_derived(old)
    assert buckets(filled) == rebuilt(filled)


def test_rows_whose_usage_lies_in_the_archive_as_well_count_once_in_a_new_log(
    filled: LogStore, folder: Path, open_other: Callable[[], LogStore]
) -> None:
    rows, before = raw_rows(filled), statistics(filled)
    archive(filled, folder)
    restore(filled, folder)
    purge(filled, BEFORE, keep_usage=True)
    archive(filled, folder, before=MIDNIGHT)
    other = open_other()

    for _ in range(2):
        restore(other, folder)
        assert raw_rows(other) == rows
        assert statistics(other) == before
    assert buckets(other) == rebuilt(other)


def test_usage_that_comes_first_is_taken_back_by_rows_that_come_later(
    filled: LogStore, folder: Path, open_other: Callable[[], LogStore]
) -> None:
    before = statistics(filled)
    archive(filled, folder)
    restore(filled, folder)
    purge(filled, BEFORE, keep_usage=True)
    archive(filled, folder, before=MIDNIGHT)
    other = open_other()

    restore(other, folder / "usage")
    restore(other, folder / "rows")

    assert statistics(other) == before


def test_usage_that_was_dropped_comes_back_out_of_the_archive(filled: LogStore, folder: Path) -> None:
    rows, before = raw_rows(filled), statistics(filled)
    archive(filled, folder)
    purge(filled, BEFORE)
    assert statistics(filled) != before
    assert kept(filled) == []

    restore(filled, folder)

    assert raw_rows(filled) == rows
    assert statistics(filled) == before


def test_usage_of_one_type_that_was_dropped_comes_back_alone(filled: LogStore, folder: Path) -> None:
    before = statistics(filled)
    archive(filled, folder)
    purge(filled, BEFORE, log_type=2)

    restore(filled, folder)

    assert statistics(filled) == before


def test_a_single_file_comes_back(filled: LogStore, folder: Path) -> None:
    archive(filled, folder)
    [first, *_] = Folder(folder).files("rows")

    stored, read = restore(filled, first)

    assert stored == read == parquet.read_metadata(first).num_rows


# Cut short


def cut_short(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Have an archive fail at a place, once."""
    owners: dict[str, tuple[Any, str]] = {
        "files": (archiving, "begin"),
        "noted": (Folder, "name_part"),
        "named": (archiving, "delete_rows"),
        "deleted": (archiving, "finish"),
    }
    owner, name = owners[place]

    def fail(*_args: Any, **_named: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, fail)


@pytest.mark.parametrize("place", PLACES)
def test_an_archive_that_is_cut_short_is_finished_by_the_next_run(
    filled: LogStore, folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    rows, before = raw_rows(filled), statistics(filled)
    old = [row for row in rows if row["created_at"] < BEFORE]
    with monkeypatch.context() as patched:
        cut_short(patched, place)
        with pytest.raises(KeyboardInterrupt):
            archive(filled, folder)
    assert statistics(filled) == before
    assert buckets(filled) == rebuilt(filled)

    archive(filled, folder)

    assert archived(folder) == without_derived(old)
    assert statistics(filled) == before
    assert Folder(folder).parts() == []
    restore(filled, folder)
    assert raw_rows(filled) == rows
    assert statistics(filled) == before


def test_an_unfinished_archive_is_finished_in_its_own_folder_first(
    filled: LogStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        cut_short(patched, "named")
        with pytest.raises(KeyboardInterrupt):
            archive(filled, folder)

    with pytest.raises(Conflict, match=f"an archive in {folder} was not finished"):
        archive(filled, folder.with_name("elsewhere"))
    moved = folder.with_name("moved")
    shutil.move(folder, moved)
    archive(filled, moved)

    assert raw_rows(filled)[0]["created_at"] >= BEFORE


def test_where_a_file_does_not_hold_what_the_log_has_nothing_is_deleted(
    filled: LogStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = raw_rows(filled)
    monkeypatch.setattr(ParquetFile, "totals", lambda *_: {2: (1, 1, 1, 1, 1, 1)})

    with pytest.raises(Conflict, match="2023-11-12: its rows keep changing"):
        archive(filled, folder)

    assert raw_rows(filled) == rows
    assert Folder(folder).files("rows") == Folder(folder).parts() == []


def test_only_one_moves_rows_out_at_a_time(filled: LogStore, folder: Path) -> None:
    with Holding(filled, "maintenance"), pytest.raises(Conflict, match="a maintenance is running already"):
        archive(filled, folder)


def test_the_mark_is_given_back(filled: LogStore, folder: Path) -> None:
    archive(filled, folder)

    filled.write(lambda connection: marks.hold(connection, "maintenance", "another", now=MIDNIGHT))


def test_a_file_that_is_lost_is_named_and_can_be_given_up(
    filled: LogStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = raw_rows(filled)
    with monkeypatch.context() as patched:
        cut_short(patched, "named")
        with pytest.raises(KeyboardInterrupt):
            archive(filled, folder)
    shutil.rmtree(folder)

    with pytest.raises(Conflict, match=r"rows/2023-11-12.parquet is missing from .*--forget"):
        archive(filled, folder)
    list(Archiving(filled, folder, before=BEFORE).run(forget=True))

    assert archived(folder) == without_derived([row for row in rows if row["created_at"] < BEFORE])


def test_a_file_of_usage_that_counts_is_named_whatever_else_is_missing(
    filled: LogStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = statistics(filled)
    with monkeypatch.context() as patched:
        cut_short(patched, "noted")
        with pytest.raises(KeyboardInterrupt):
            archive(filled, folder)
    with monkeypatch.context() as patched:
        patched.setattr(exporting, "find_spec", lambda name: None)
        with pytest.raises(InvalidValue, match="needs pyarrow"):
            archive(filled, folder)

    archive(filled, folder)

    assert [path.name for path in Folder(folder).files("usage")] == ["2023-11-11.parquet"]
    assert statistics(filled) == before


def test_each_log_has_a_folder_of_its_own(
    filled: LogStore, folder: Path, open_other: Callable[[], LogStore]
) -> None:
    archive(filled, folder)
    other = open_other()
    other.record([make_record(created_at=BEFORE - 5)])

    with pytest.raises(Conflict, match="the archive of another log"):
        archive(other, folder)

    assert len(raw_rows(other)) == 1


def test_a_folder_that_does_not_say_whose_it_is_is_refused(filled: LogStore, folder: Path) -> None:
    rows = raw_rows(filled)
    folder.mkdir()
    (folder / "archive.json").write_bytes(b"{half")

    with pytest.raises(Conflict, match="the archive of another log"):
        archive(filled, folder)

    assert raw_rows(filled) == rows


# What is no archive


def test_a_folder_without_files_is_no_archive(filled: LogStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="no archive"):
        Restoring(filled, tmp_path)


def test_a_damaged_file_is_named_and_what_was_read_before_it_is_stored(
    filled: LogStore, folder: Path
) -> None:
    archive(filled, folder)
    first, second = Folder(folder).files("rows")
    second.write_bytes(second.read_bytes()[:-20])

    with pytest.raises(InvalidValue, match=f"{second.name}: not a whole Parquet file"):
        restore(filled, folder)
    second.unlink()

    assert restore(filled, folder)[0] == parquet.read_metadata(first).num_rows


def test_a_table_of_something_else_is_refused_by_its_column(filled: LogStore, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"colour": ["red"]}), path)

    with closing(ParquetFile(path)) as file:
        assert file.columns == ("colour",)
    with pytest.raises(InvalidValue, match="column 'colour' is none of ours"):
        list(Restoring(filled, path).run())
