"""PostgreSQL: ids from a sequence, locks between writers, limits of time, a server that comes and goes."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from logservice.errors import InvalidValue, Unavailable
from logservice.store import dialects, ids, recording, search
from logservice.store.dialects import postgresql as postgresql_dialect
from logservice.store.dialects import postgresql_sessions
from logservice.store.filters import Filters
from logservice.store.prepared import prepared
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.postgresql_server import Server, private, required
from tests.serving import LOAD_SECONDS
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    FIELDS,
    MIDNIGHT,
    NOW,
    SITE,
    at_once,
    buckets,
    contents,
    make_record,
    make_records,
    page,
    raw_rows,
    rebuilt,
    row_ids,
    within,
)

pytestmark = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True, scope="session")


@pytest.fixture(autouse=True)
def engine(engine_name: str) -> str:
    """Have all tests of this file run on one engine only."""
    return engine_name


def set_sequence(store: LogStore, number: int) -> None:
    """Have the sequence give this number next."""
    store.write(
        lambda connection: connection.exec_driver_sql(f"SELECT setval('log_sequence', {number}, false)")
    )


def numbers(store: LogStore) -> list[int]:
    """Return the sequence part of all ids, oldest first."""
    return [row_id % ids.SEQUENCES for row_id in row_ids(raw_rows(store))]


# Ids


def test_the_sequence_begins_anew_at_its_end(store: LogStore) -> None:
    store.create()
    set_sequence(store, ids.SEQUENCES - 2)

    for _ in range(4):
        store.record([make_record()])

    assert numbers(store) == [0, 1, ids.SEQUENCES - 2, ids.SEQUENCES - 1]


def test_a_batch_keeps_its_order_where_the_sequence_begins_anew(store: LogStore) -> None:
    store.create()
    set_sequence(store, ids.SEQUENCES - 3)

    store.record([make_record(content=str(number)) for number in range(10)])

    assert contents(raw_rows(store)) == [str(number) for number in range(10)]


def test_a_number_that_an_old_row_has_is_not_given_again(store: LogStore) -> None:
    store.record([make_record(content=f"old {number}") for number in range(20)])
    taken = set(row_ids(raw_rows(store)))
    set_sequence(store, min(numbers(store)))

    store.record([make_record(content=f"new {number}") for number in range(20)])
    store.record([make_record(created_at=MIDNIGHT + 1, content="of another second")])

    rows = raw_rows(store)
    new = [row for row in rows if row["id"] not in taken]
    assert len(rows) == 41
    assert contents(new) == [*(f"new {number}" for number in range(20)), "of another second"]
    assert buckets(store) == rebuilt(store)


def test_a_second_that_holds_many_rows_takes_more(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of its numbers are taken when a batch comes that wants a quarter of them."""
    store.create()
    monkeypatch.setattr(ids, "SEQUENCES", 4096)
    set_sequence(store, 0)
    store.record([make_record() for _ in range(2048)])
    set_sequence(store, 0)

    store.record([make_record(request_id=f"new-{number:04}") for number in range(1024)])

    rows = raw_rows(store)
    assert len(set(row_ids(rows))) == len(rows) == 3072
    new = [row["request_id"] for row in rows if row["request_id"]]
    assert new == sorted(new)


def test_a_full_second_stores_nothing_of_the_batch(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of eight rows, for one of two million takes a while to fill."""
    store.create()
    monkeypatch.setattr(ids, "SEQUENCES", 8)
    set_sequence(store, 0)
    store.record([make_record() for _ in range(8)])
    set_sequence(store, 0)

    with pytest.raises(InvalidValue, match=str(MIDNIGHT)):
        store.record([make_record(created_at=MIDNIGHT - 1), make_record()])

    assert {ids.second_of(row_id) for row_id in row_ids(raw_rows(store))} == {MIDNIGHT}
    assert len(raw_rows(store)) == 8


# Commits


@pytest.mark.parametrize(
    ("configured", "used"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
)
def test_a_commit_waits_for_the_disk_at_least_whatever_the_server_does_by_default(
    open_store: Any, db_url: str, configured: str, used: str
) -> None:
    with psycopg.connect(db_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {configured}')

    shown = open_store().write(
        lambda connection: connection.exec_driver_sql("SHOW synchronous_commit").scalar()
    )

    assert shown == used


# Several writers


def test_work_that_fails_for_a_lock_is_not_done_again_one_by_one(open_store: Any, db_url: str) -> None:
    """Each piece would wait as long again: of eight posts the last would wait nine times as long."""
    store, tries = open_store(waiting_time=0.3), []
    store.create()

    def work(connection: Connection, items: Sequence[int]) -> list[None]:
        tries.append(len(items))
        if items == [0]:
            return [time.sleep(0.2)]
        connection.execute(text("LOCK TABLE log_records IN ACCESS EXCLUSIVE MODE"))
        raise AssertionError("the table was not locked")

    def run(number: int) -> None:
        if number == 0:
            store.writer.run(work, number, timeout=5)
            return
        time.sleep(0.1)
        with pytest.raises(OperationalError):
            store.writer.run(work, number, timeout=5)

    with psycopg.connect(db_url) as other:
        other.execute("LOCK TABLE log_records IN ACCESS EXCLUSIVE MODE")
        at_once([lambda number=number: run(number) for number in range(4)])

    assert tries == [1, 3]


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [("SELECT repeat('x', 2000000000)", "54000"), ("SELECT pg_sleep(10)", "57014")],
    ids=["too large", "too long"],
)
def test_work_that_fails_for_a_limit_that_it_alone_meets_fails_no_neighbour(
    open_store: Any, statement: str, sqlstate: str
) -> None:
    store, begun = open_store(), threading.Event()
    store.create()

    def work(connection: Connection, items: Sequence[int]) -> list[int]:
        if items == [0]:
            begun.set()
            # Meanwhile the others come together.
            time.sleep(0.3)
        if 1 in items:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 20")
            connection.exec_driver_sql(statement)
        return list(items)

    def run(number: int) -> int:
        assert number == 0 or begun.wait(5)
        result: int = store.writer.run(work, number, timeout=5)
        return result

    first, bad, *others = at_once([lambda number=number: run(number) for number in range(4)])

    assert (first, others) == (0, [2, 3])
    assert bad.orig.sqlstate == sqlstate


def test_whoever_two_writers_meet_at_once_is_registered_once(open_store: Any) -> None:
    stores = [open_store() for _ in range(4)]
    stores[0].create()

    results = at_once(
        [
            lambda store=store, turn=turn: store.record(
                [make_record(username=f"new {turn}", token_name="t", token_key=f"sk-of-new-{turn}")]
            )
            for turn in range(5)
            for store in stores
        ]
    )

    assert results == [""] * 20
    rows = raw_rows(stores[0])
    assert len({(row["username"], row["user_id"], row["token_id"]) for row in rows}) == 5
    assert len({row["user_id"] for row in rows}) == len({row["token_id"] for row in rows}) == 5


def deadlocks(store: LogStore) -> int:
    """Return how many transactions the server has ended because they waited for each other."""
    with store.reading() as connection:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        found: int = connection.exec_driver_sql(query).scalar_one()
    return found


@pytest.mark.load
def test_writers_of_the_same_buckets_do_not_stop_each_other(open_store: Any) -> None:
    """Batches with the same keys in many orders, written through four connections at once."""
    watching, *stores = (open_store() for _ in range(5))
    watching.create()
    before, until = deadlocks(watching), time.monotonic() + LOAD_SECONDS

    def write(store: LogStore, seed: int) -> int:
        batches = 0
        while time.monotonic() < until:
            store.record(make_records(50, seed=4 * batches + seed))
            batches += 1
        store.close()
        return batches

    calls = [lambda store=store, seed=seed: write(store, seed) for seed, store in enumerate(stores)]
    written = at_once(calls, seconds=LOAD_SECONDS + 30)

    assert min(written) > 1
    assert watching.count_all() == watching.count_raw() == 50 * sum(written)
    assert buckets(watching) == rebuilt(watching)
    assert deadlocks(watching) == before


def test_work_of_two_kinds_and_bad_posts_do_not_lock_crosswise(open_store: Any) -> None:
    """A post that fails has its neighbours done again, and other work stands between posts."""
    stores = [open_store() for _ in range(3)]
    stores[0].create()
    before = deadlocks(stores[0])

    def bad(_connection: Any) -> None:
        raise InvalidValue("on purpose")

    def calls(store: LogStore, seed: int) -> list[Any]:
        return [
            *(lambda turn=turn: store.record(make_records(20, seed=7 * seed + turn)) for turn in range(12)),
            *(lambda: store.write(bad) for _ in range(4)),
            *(lambda: store.write(lambda connection: None) for _ in range(4)),
        ]

    results = at_once([call for seed, store in enumerate(stores) for call in calls(store, seed)])

    assert [str(result) for result in results if isinstance(result, Exception)] == ["on purpose"] * 12
    assert stores[0].count_all() == stores[0].count_raw() == 3 * 12 * 20
    assert buckets(stores[0]) == rebuilt(stores[0])
    assert deadlocks(stores[0]) == before


def test_rows_of_a_week_wait_for_the_purge_of_it_and_no_others(open_store: Any) -> None:
    purging, writing = open_store(), open_store(waiting_time=1.0)
    purging.record(make_records(50))
    purged, done = threading.Event(), threading.Event()

    def work(connection: Any) -> None:
        purged.set()
        assert done.wait(20)

    week = recording.week_claim(MIDNIGHT - DAY, shared=False)
    thread = threading.Thread(target=lambda: purging.write(work, claims=[week]), daemon=True)
    thread.start()
    try:
        assert purged.wait(5)
        with pytest.raises(Unavailable, match="locked"):
            writing.record([make_record(created_at=MIDNIGHT - DAY)])
        within(5, lambda: writing.record([make_record(created_at=MIDNIGHT - 30 * DAY)]))
    finally:
        done.set()
        thread.join(5)

    assert writing.count_all() == writing.count_raw() == 51


def test_an_error_that_was_swallowed_fails_the_commit(store: LogStore) -> None:
    store.create()

    def work(connection: Any) -> None:
        recording.insert(connection, store.dialect, [make_record(content="lost")], now=NOW)
        with contextlib.suppress(psycopg.Error):
            connection.connection.cursor().execute("SELECT 1 / 0")

    with pytest.raises(Unavailable, match="ended the transaction"):
        within(10, lambda: store.write(work))

    store.record([make_record(content="next")])
    assert contents(raw_rows(store)) == ["next"]


# Limits


def test_a_lock_that_is_held_too_long_is_an_error_that_stores_nothing(open_store: Any, db_url: str) -> None:
    store = open_store(waiting_time=0.5)
    store.record([make_record(content="before")])

    with psycopg.connect(db_url) as holder:
        holder.execute("LOCK TABLE log_records IN EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match=r"locked for more than 0\.5 seconds"):
            within(10, lambda: store.record([make_record(content="too late")]))

    store.record([make_record(content="after")])
    assert contents(raw_rows(store)) == ["before", "after"]


def test_a_statement_that_takes_too_long_is_cancelled(
    open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_dialect, "STATEMENT_SECONDS", 0.2)
    store = open_store()
    store.create()

    with pytest.raises(Unavailable, match="took longer"), store.reading() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(10)")

    assert store.count_all() == 0


def test_a_hosts_engine_is_used_and_left_as_it_was(db_url: str) -> None:
    url = dialects.engine_settings(db_url, "")["url"]
    with closing_engine(url) as engine:
        store = LogStore(engine, waiting_time=3.0, clock=lambda: NOW, shared=True)
        store.record([make_record()])

        assert store.count_all() == 1
        with store.reading() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "3s"
        store.close()
        with engine.connect() as connection:
            shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in SHOWN]
        assert shown == ["0", "0", "read committed", "off"]


SHOWN = ("lock_timeout", "statement_timeout", "transaction_isolation", "transaction_read_only")


@contextmanager
def closing_engine(url: Any) -> Iterator[Any]:
    engine = create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


# Search


def found(store: LogStore, keyword: str) -> list[str]:
    return contents(store.search(SITE, ALL, EVER, keyword, fields=FIELDS, limit=100))


def bare_store(server: Server, name: str, **connect: Any) -> LogStore:
    settings = dialects.engine_settings(server.url(name), "")
    settings["url"] = settings["url"].set(**connect) if connect else settings["url"]
    return LogStore(create_engine(**settings), clock=lambda: NOW)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_where_the_extension_cannot_be_created_search_is_right_all_the_same(
    postgresql: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW_ROWS", 0)
    postgresql.create_database("without_extension")
    try:
        with postgresql.connected("without_extension") as connection:
            connection.execute("CREATE ROLE guest LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO guest")
        with closing(bare_store(postgresql, "without_extension", username="guest")) as store:
            store.create()
            store.create()
            store.record([make_record(content="Straße 7"), make_record(content="模型错误")])

            assert found(store, "STRASSE") == ["Straße 7"]
            assert found(store, "型错") == ["模型错误"]
            assert found(store, "absent") == []
        assert len(warnings(caplog)) == 1
        assert "pg_trgm" in warnings(caplog)[0]
    finally:
        postgresql.drop_database("without_extension")
        with postgresql.connected() as connection:
            connection.execute("DROP ROLE IF EXISTS guest")


def test_where_the_ctype_is_c_search_is_right_all_the_same(
    postgresql: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW_ROWS", 0)
    postgresql.create_database("ctype_c", locale="C")
    try:
        with closing(bare_store(postgresql, "ctype_c")) as store:
            store.record([make_record(content="Straße 7"), make_record(content="模型错误")])

            assert found(store, "STRASSE") == ["Straße 7"]
            assert found(store, "模型错") == ["模型错误"]
            assert found(store, "型") == ["模型错误"]
        assert [message for message in warnings(caplog) if "LC_CTYPE" in message]
    finally:
        postgresql.drop_database("ctype_c")


# A server that comes and goes


def test_after_a_restart_of_the_server_it_is_used_again() -> None:
    with required(private()) as server:
        server.create_database("log")
        with closing(bare_store(server, "log")) as store:
            store.record([make_record(content="before")])
            store.count_all()
            server.stop(immediate=True)

            for call in (store.count_all, lambda: store.record([make_record(content="lost")])):
                with pytest.raises(Unavailable):
                    within(20, call)

            server.start()
            within(20, lambda: store.record([make_record(content="after")]))
            assert contents(raw_rows(store)) == ["before", "after"]
            assert buckets(store) == rebuilt(store)


def test_a_restart_while_nothing_was_asked_for_a_while_is_not_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgresql_sessions, "IDLE_SECONDS", 0)
    with required(private()) as server:
        server.create_database("log")
        with closing(bare_store(server, "log")) as store:
            store.record([make_record(content="before")])
            server.restart()

            assert store.count_all() == 1
            within(20, lambda: store.record([make_record(content="after")]))
            assert contents(raw_rows(store)) == ["before", "after"]


def test_after_a_quick_restart_one_request_fails_and_no_other() -> None:
    with required(private()) as server:
        server.create_database("log")
        with closing(bare_store(server, "log")) as store:
            at_once([store.count_all] * 6)
            store.record([make_record(content="before")])
            server.restart()

            with pytest.raises(Unavailable):
                store.count_all()

            assert at_once([store.count_all] * 6) == [1] * 6
            within(20, lambda: store.record([make_record(content="after")]))
            assert contents(raw_rows(store)) == ["before", "after"]


# Plans


@pytest.fixture
def planned(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plan of every statement that a store of many rows reads with, one text each."""
    store.record(make_records(20_000, days=20, content="the quick brown fox"))
    with store.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
    plans: list[str] = []
    run = prepared.__call__

    def explain(builder: Any, connection: Any, values: Any, *shape: Any, **named: Any) -> Any:
        statement = builder.compiled(connection.dialect, *shape, **named)
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN {statement.sql}", statement.parameters(values))
        plans.append("\n".join(line for (line,) in cursor.fetchall()))
        return run(builder, connection, values, *shape, **named)

    monkeypatch.setattr(prepared, "__call__", explain)
    return plans


#: In the plan of the look for the newest id, which is one step down the key.
NEWEST = "Index Only Scan Backward using log_records_pkey"


@pytest.mark.parametrize("scope", [Scope.tokens([7]), Scope.tokens([7, 8])], ids=str)
def test_the_rows_of_a_key_come_from_its_index(store: LogStore, planned: list[str], scope: Scope) -> None:
    store.newest(scope, ALL, EVER, fields=FIELDS, limit=20)

    assert "log_records_token" in planned[-1]
    assert "Seq Scan" not in planned[-1]


def test_the_page_of_a_user_comes_from_the_index_of_users(store: LogStore, planned: list[str]) -> None:
    page(store, scope=Scope.user(2**31))

    assert "log_records_user" in planned[-1] or "log_records_pkey" in planned[-1]
    assert "Seq Scan" not in planned[-1]


def test_a_request_is_found_by_its_index(store: LogStore, planned: list[str]) -> None:
    page(store, filters=Filters({"request_id": "r-rare"}))

    assert "log_records_request" in "".join(planned)
    assert "Seq Scan on log_records" not in "".join(planned)


def test_a_search_without_a_match_asks_the_substring_index(
    store: LogStore, planned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW_ROWS", 0)
    store.record([make_record(content=f"text {number} " * 40) for number in range(20_000)])
    store.write(lambda connection: connection.exec_driver_sql("ANALYZE log_contents"))
    planned.clear()

    store.search(SITE, ALL, EVER, "absent words", fields=FIELDS, limit=100)

    [plan] = [plan for plan in planned if "log_contents" in plan]
    assert "log_contents_search" in plan


def test_a_total_of_whole_days_never_reads_the_log(store: LogStore, planned: list[str]) -> None:
    span = ids.between(MIDNIGHT - 3 * DAY, MIDNIGHT - 1)
    for scope, values in ((SITE, {}), (Scope.user(2**31), {}), (SITE, {"username": "bob"})):
        page(store, scope=scope, filters=Filters({**values, "model_name": "no such model"}), span=span)

    assert "log_records" not in "".join(plan for plan in planned if NEWEST not in plan)
    assert "Seq Scan on log_usage_site" not in "".join(planned)
