"""SQLite: how the file is opened, what becomes of it, and which indexes serve which question."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, func, insert, select

from logservice.errors import InvalidValue, Unavailable
from logservice.store import ids, recording, search
from logservice.store.dialects import sqlite_ids, sqlite_wal
from logservice.store.dialects.sqlite_file import driver
from logservice.store.filters import Filters
from logservice.store.locks import FileLock
from logservice.store.prepared import prepared
from logservice.store.retention import Purge
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from logservice.store.tables import records
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    FIELDS,
    MIDNIGHT,
    NOW,
    SITE,
    Row,
    at_once,
    buckets,
    contents,
    make_record,
    make_records,
    page,
    raw_rows,
    rebuilt,
    record,
    row_ids,
    within,
)

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")


@pytest.fixture(autouse=True)
def engine(engine_name: str) -> str:
    """Have all tests of this file run on one engine only."""
    return engine_name


@pytest.fixture
def path(store: LogStore, tmp_path: Path) -> Path:
    """The file of the store, created."""
    store.create()
    return tmp_path / "logservice.db"


def pragmas(connection: Connection, *names: str) -> dict[str, Any]:
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}


# The writer and the readers


def test_the_writer_is_safe_against_power_cuts_and_checkpoints_by_itself_only(store: LogStore) -> None:
    names = ("synchronous", "journal_mode", "auto_vacuum", "secure_delete", "wal_autocheckpoint")

    assert store.write(lambda connection: pragmas(connection, *names)) == {
        "synchronous": 2,
        "journal_mode": "wal",
        "auto_vacuum": 2,
        "secure_delete": 0,
        "wal_autocheckpoint": 0,
    }


def test_a_reader_cannot_write(store: LogStore) -> None:
    store.record([make_record()])

    with pytest.raises(Unavailable, match=r"readonly|read-only"), store.reading() as connection:
        connection.exec_driver_sql("DELETE FROM log_records")

    assert len(raw_rows(store)) == 1


def test_readers_of_a_file_that_nobody_writes_see_it(open_store: Any) -> None:
    store = open_store()
    store.record([make_record()])
    store.close()

    assert len(raw_rows(open_store())) == 1


def test_few_connections_are_kept_once_many_have_read_at_once(store: LogStore) -> None:
    closed: list[Any] = []
    event.listen(store.engine, "close", lambda connection, _record: closed.append(connection))
    many = 20
    with ExitStack() as stack:
        for _ in range(many):
            connection = stack.enter_context(store.reading())
            assert connection.scalar(select(func.count()).select_from(records)) == 0
    assert len(closed) == many - 4
    with store.reading():
        assert len(closed) == many - 4


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_write_ahead_log_is_folded_back_and_stays_small(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_BYTES", 200_000)

    for seed in range(30):
        store.record(make_records(50, seed=seed, content="x" * 500))

    assert store.status()["wal_bytes"] < 1_500_000
    assert store.status()["database_bytes"] > 500_000


def test_a_commit_leaves_the_locks_of_readers_alone(store: LogStore, path: Path) -> None:
    """Locks of a process on a file end when it closes any descriptor of that file, SQLite's own or not."""
    store.record([make_record()])
    with store.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM log_records")
        store.record([make_record()])

        assert _locked_by_others(path.with_name(f"{path.name}-shm"))


def _locked_by_others(path: Path) -> bool:
    """Return whether another process finds a lock on the bytes that readers of the write-ahead log hold."""
    ask = (
        "import fcntl, struct, sys; file = open(sys.argv[1], 'r+b'); "
        "asked = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 123, 5, 0); "
        "print(struct.unpack_from('h', fcntl.fcntl(file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK)"
    )
    done = subprocess.run([sys.executable, "-c", ask, path], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "True"


def test_a_step_gives_as_many_pages_back_as_it_is_told(store: LogStore) -> None:
    store.record([make_record(other={"note": "x" * 2000}) for _ in range(300)])
    store.write(lambda connection: connection.execute(delete(records)))

    def give_back(pages: int) -> tuple[int, bool]:
        def work(connection: Connection) -> tuple[int, bool]:
            free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            is_more = store.dialect.give_back(connection, pages=pages)
            return free - connection.exec_driver_sql("PRAGMA freelist_count").scalar_one(), is_more

        return store.write(work, is_long=True)

    assert give_back(40) == (40, True)
    assert give_back(0) == (0, True)
    given, is_more = give_back(10_000)
    assert given > 60
    assert not is_more


def test_a_checkpoint_is_not_made_again_after_every_small_write(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_BYTES", 200_000)
    store.record(make_records(500, content="x" * 1000))
    made: list[str] = []
    store.write(
        lambda connection: connection.connection.driver_connection.set_trace_callback(  # type: ignore[union-attr]
            lambda statement: made.append(statement) if "wal_checkpoint" in statement else None
        )
    )
    made.clear()

    for _ in range(20):
        store.record([make_record()])

    assert 1 <= len(made) <= 5


def test_a_full_second_stores_nothing_of_the_batch(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two million rows before it would leave no gaps either.
    monkeypatch.setattr(sqlite_ids, "_gaps", lambda connection, low, high: iter(()))
    full = ids.first_id(MIDNIGHT + 1) - 1
    store.write(lambda connection: connection.execute(insert(records).values(id=full)))

    with pytest.raises(InvalidValue, match=str(MIDNIGHT)):
        store.record([make_record(created_at=MIDNIGHT - 1), make_record()])

    assert row_ids(raw_rows(store)) == [full]


def test_a_failing_commit_fails_all_who_shared_it_and_the_next_write_works(store: LogStore) -> None:
    def end_transaction(connection: Connection) -> None:
        recording.insert(connection, store.dialect, [make_record(content="lost")], now=NOW)
        connection.connection.driver_connection.rollback()  # type: ignore[union-attr]

    with pytest.raises(Exception, match=r"."):
        within(10, lambda: store.write(end_transaction))

    within(10, lambda: store.record([make_record(content="next")]))
    assert contents(raw_rows(store)) == ["next"]
    assert buckets(store) == rebuilt(store)


def test_a_failure_of_one_store_does_not_lock_out_another(open_store: Any) -> None:
    store, other = open_store(), open_store()
    store.create()

    def end_transaction(connection: Connection) -> None:
        connection.connection.driver_connection.rollback()  # type: ignore[union-attr]

    with pytest.raises(Exception, match=r"."):
        within(10, lambda: store.write(end_transaction))

    within(10, lambda: other.record([make_record()]))
    assert len(raw_rows(other)) == 1


def test_a_disk_that_is_full_within_a_transaction_is_told_to_all_who_share_it(
    store: LogStore, path: Path
) -> None:
    tried: list[int] = []

    def fill(connection: Connection) -> None:
        tried.append(1)
        # As SQLite does by itself when it can write no page.
        driver(connection).rollback()
        raise sqlite3.OperationalError("database or disk is full")

    failures: list[Any] = []
    calls = [lambda: store.write(fill), lambda: store.record([make_record(content="neighbour")])]
    with FileLock(path.with_name(f"{path.name}-lock")):
        sharing = threading.Thread(target=lambda: failures.extend(at_once(calls)), daemon=True)
        sharing.start()
        time.sleep(0.3)
    sharing.join(10)

    assert [type(failure) for failure in failures] == [Unavailable, Unavailable]
    assert all("database or disk is full" in str(failure) for failure in failures)
    assert tried == [1]
    within(10, lambda: store.record([make_record(content="next")]))
    assert contents(raw_rows(store)) == ["next"]


# A file that goes away


def copy(path: Path) -> None:
    """Back the database up, as an operator would."""
    connection = sqlite3.connect(path)
    connection.execute("VACUUM INTO ?", (str(path.with_name("copy")),))
    connection.close()


def lose(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def test_a_deleted_file_takes_no_writes(store: LogStore, path: Path) -> None:
    store.record([make_record()])
    lose(path)

    with pytest.raises(Unavailable, match=r"deleted|is gone"):
        within(10, lambda: store.record([make_record()]))


def test_a_replaced_file_is_the_one_that_is_written_and_read_from_then_on(
    store: LogStore, path: Path
) -> None:
    store.record([make_record(content="before")])
    copy(path)
    store.record([make_record(content="in the file that is lost")])
    lose(path)
    os.replace(path.with_name("copy"), path)

    within(10, lambda: store.record([make_record(content="after")]))

    assert contents(raw_rows(store)) == ["before", "after"]
    assert buckets(store) == rebuilt(store)


def test_a_file_that_comes_back_is_written_again(store: LogStore, path: Path) -> None:
    store.record([make_record(content="before")])
    copy(path)
    lose(path)
    with pytest.raises(Unavailable):
        within(10, lambda: store.record([make_record(content="lost")]))

    os.replace(path.with_name("copy"), path)
    within(10, lambda: store.record([make_record(content="after")]))

    assert contents(raw_rows(store)) == ["before", "after"]


def test_reading_a_deleted_file_says_so(store: LogStore, path: Path) -> None:
    store.record([make_record()])
    lose(path)

    with pytest.raises(Unavailable, match="is gone: put it back"):
        within(10, store.count_all)


def test_a_database_without_tables_says_what_to_do(open_store: Any, tmp_path: Path) -> None:
    (tmp_path / "logservice.db").write_bytes(b"")

    with pytest.raises(Unavailable, match="init-db"):
        open_store(auto_create=False).count_all()


# The search index


def test_a_purge_leaves_no_posting_behind(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FEW_ROWS", 0)
    record(store, {"content": "needle Straße"}, {"content": "unlike"}, {"content": "thing"})
    first = row_ids(raw_rows(store))[0]

    list(store.purge(Purge(MIDNIGHT + 1)))
    record(store, {"content": "an entirely other text"}, {"content": "unlike"}, {"content": "thing"})

    assert postings(store, "needle") == []
    assert postings(store, "entirely") != []
    assert row_ids(raw_rows(store))[0] == first, "the row id of the purged row is in use again"
    assert found(store, "needle") == []
    assert contents(found(store, "entirely")) == ["an entirely other text"]


def postings(store: LogStore, keyword: str) -> list[int]:
    """Return what the index itself holds, verified or not."""
    index, terms = store.dialect.search_index, store.dialect.search_terms(keyword)
    assert index is not None
    with store.reading() as connection:
        return list(connection.scalars(select(index.row_id).where(index.condition), {"terms": terms}))


def found(store: LogStore, keyword: str) -> list[Row]:
    return store.search(SITE, ALL, EVER, keyword, fields=FIELDS, limit=100)


# Plans


@pytest.fixture
def planned(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plan of every statement that a store of many rows reads with, one text each."""
    store.record(make_records(3000, days=20, content="the quick brown fox"))
    store.write(lambda connection: connection.exec_driver_sql("ANALYZE"))
    store.engine.dispose()
    plans: list[str] = []
    run = prepared.__call__

    def explain(builder: Any, connection: Any, values: Any, *shape: Any, **named: Any) -> Any:
        statement = builder.compiled(connection.dialect, *shape, **named)
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters(values))
        plans.append("\n".join(row[3] for row in cursor.fetchall()))
        return run(builder, connection, values, *shape, **named)

    monkeypatch.setattr(prepared, "__call__", explain)
    return plans


#: In the plan of the look for the newest id, which is one step down the key.
NEWEST = "SEARCH log_records\n"


def of_rows(plans: list[str]) -> str:
    """Return the plan of the statement that read rows: the last one."""
    assert "log_records" in plans[-1]
    return plans[-1]


@pytest.mark.parametrize("scope", [Scope.tokens([7]), Scope.tokens([7, 8])], ids=str)
def test_the_rows_of_a_key_come_from_its_index(store: LogStore, planned: list[str], scope: Scope) -> None:
    store.newest(scope, ALL, EVER, fields=FIELDS, limit=20)

    assert "INDEX log_records_token (token_id=?" in of_rows(planned)


def test_the_newest_rows_of_one_token_are_not_sorted(store: LogStore, planned: list[str]) -> None:
    store.newest(Scope.tokens([7]), ALL, EVER, fields=FIELDS, limit=20)

    assert "TEMP B-TREE" not in of_rows(planned)


def test_the_page_of_a_user_comes_from_the_index_of_users(store: LogStore, planned: list[str]) -> None:
    page(store, scope=Scope.user(2**31))

    assert "INDEX log_records_user (user_id=? AND rowid>?" in of_rows(planned)


def test_a_request_is_found_by_its_index(store: LogStore, planned: list[str]) -> None:
    page(store, filters=Filters({"request_id": "r-1"}))

    assert "INDEX log_records_request (request_id=?" in of_rows(planned)


def test_the_page_of_the_site_reads_a_range_of_ids(store: LogStore, planned: list[str]) -> None:
    page(store, filters=Filters({"model_name": "gpt-4o"}), page=5)

    assert "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in of_rows(planned)
    assert "SCAN log_records" not in of_rows(planned)


def test_a_search_starts_from_the_content_index(
    store: LogStore, planned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW_ROWS", 0)

    store.search(SITE, ALL, EVER, "absent words", fields=FIELDS, limit=100)

    (plan,) = [plan for plan in planned if "log_contents_index" in plan]
    steps = [step for step in plan.splitlines() if step.startswith(("SCAN", "SEARCH"))]
    # Of what was found one value is made in the end.
    first, *rest, _ = steps
    assert steps[-1] == "SCAN packed"
    assert first.startswith("SCAN log_contents_index VIRTUAL TABLE INDEX")
    assert all("log_contents USING INTEGER PRIMARY KEY (rowid=?)" in step for step in rest)


@pytest.mark.parametrize(
    ("scope", "values", "index"),
    [
        (SITE, {}, "log_usage_site USING PRIMARY KEY (span=? AND bucket>? AND bucket<?)"),
        (
            Scope.user(2**31),
            {},
            "log_usage_hourly USING COVERING INDEX log_usage_hourly_user (user_id=? AND bucket>?",
        ),
        (SITE, {"username": "bob"}, "USING INDEX log_usage_hourly_username (username=? AND bucket>?"),
    ],
    ids=str,
)
def test_a_total_of_whole_days_never_reads_the_log(
    store: LogStore, planned: list[str], scope: Scope, values: dict[str, Any], index: str
) -> None:
    span = ids.between(MIDNIGHT - 3 * DAY, MIDNIGHT - 1)
    page(store, scope=scope, filters=Filters({**values, "model_name": "no such model"}), span=span)

    assert "log_records" not in "".join(plan for plan in planned if NEWEST not in plan)
    assert any(index in plan for plan in planned)


def test_a_lock_file_that_cannot_be_asked_for_does_not_end_writing(
    open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.record([make_record()])

    def fail(_self: Any) -> bool:
        raise OSError("too many open files")

    monkeypatch.setattr(FileLock, "is_wanted", fail)
    for _ in range(3):
        assert within(10, lambda: store.write(lambda connection: 1, is_long=True)) == 1
    store.record([make_record()])
    assert len(raw_rows(store)) == 2


def test_long_work_gives_way_to_those_who_write(open_store: Any) -> None:
    """While others keep writing, a second piece of long work waits for as long as the first one took."""
    store = open_store()
    store.create()
    ends: list[float] = []

    def long_work(_connection: Connection) -> None:
        time.sleep(0.2)

    def write_twice() -> None:
        for _ in range(2):
            store.write(long_work, is_long=True)
            ends.append(time.monotonic())

    others = threading.Thread(target=write_twice)
    others.start()
    writes = 0
    while len(ends) < 2:
        store.write(lambda connection: None)
        writes += 1
    others.join()

    assert writes > 5
    assert ends[1] - ends[0] > 0.4


def test_a_log_that_is_begun_where_one_was_expected_is_warned_of(
    open_store: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "logservice.db"
    path.unlink(missing_ok=True)
    for _ in range(2):
        open_store().record([make_record()])
    assert [record.getMessage() for record in caplog.records] == [
        f"there was no log, and a new one was begun in {path}"
    ]
