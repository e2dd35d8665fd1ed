"""Partitions of a month each: made as rows arrive, dropped when a purge leaves nothing of them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine

from logservice.errors import Conflict
from logservice.store import dialects, ids, partitions, recording
from logservice.store.dialects import postgresql_partitions
from logservice.store.records import Record
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    NOW,
    SITE,
    Row,
    at_once,
    buckets,
    make_record,
    make_records,
    raw_rows,
    rebuilt,
    within,
)

pytestmark = pytest.mark.parametrize("engine_name", ["partitioned"], indirect=True, scope="session")


@pytest.fixture(autouse=True)
def engine(engine_name: str) -> str:
    """Have all tests of this file run on one engine only."""
    return engine_name


ROOT = Path(__file__).parents[2]


def start_of(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())


JULY, AUGUST, SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (start_of(2023, month) for month in range(7, 13))
#: The whole months before the one that it is for the events.
OLD = (JULY, AUGUST, SEPTEMBER, OCTOBER)


def months(db_url: str, table: str = "log_records") -> list[str]:
    """Return the months that a table has partitions for, as their names end."""
    query = "SELECT relname FROM pg_class WHERE relname ~ %s AND relkind = 'r' ORDER BY relname"
    with psycopg.connect(db_url) as connection:
        found = connection.execute(query, [f"^{table}_[0-9_]+$"]).fetchall()
    return [name.removeprefix(f"{table}_") for (name,) in found]


def scattered(*starts: int, number: int = 12, **fields: Any) -> list[Record]:
    """Return events on the first day and the last two of the months that begin then."""
    found: list[Record] = []
    for seed, start in enumerate(starts):
        draw, end = random.Random(seed), ids.second_of(ids.month(start).high)
        for event in make_records(number, seed=seed, **fields):
            event.second = draw.choice((start + draw.randrange(DAY), end - 1 - draw.randrange(2 * DAY)))
            event.row["content"] = f"{event.second % 7} said"
            found.append(event)
    return found


def purge(store: LogStore, before: int, **how: Any) -> int:
    return sum(store.purge(Purge(before, **how)))


def assert_sound(store: LogStore) -> None:
    """The log counts the rows that it holds."""
    assert store.count_all() == store.count_raw()
    assert buckets(store) == rebuilt(store)


# Created


def test_tables_with_partitions_are_brought_up_to_date_and_asked_for_again(store: LogStore) -> None:
    store.create()
    store.create(partitioned=True)
    store.record([make_record()])

    assert store.count_raw() == 1


@pytest.mark.parametrize("filled", [False, True])
def test_plain_tables_are_refused_and_left_alone(clean_databases: Any, filled: bool) -> None:
    with (
        clean_databases.lent() as url,
        closing(LogStore(create_engine(**dialects.engine_settings(url, "")))) as store,
    ):
        store.record([make_record()] * filled)
        with pytest.raises(Conflict, match="no partitions: export the log, and import it"):
            store.create(partitioned=True)
        assert store.count_raw() == filled


# Made as rows arrive


def test_rows_of_any_month_find_a_place(store: LogStore, db_url: str) -> None:
    seconds = [ids.MIN_SECOND, AUGUST - 1, AUGUST, NOW, DECEMBER, ids.MAX_SECOND]
    events = [make_record(content="said") for _ in seconds]
    for event, second in zip(events, seconds, strict=True):
        event.second = second

    store.record(events)

    found = ["1970_01", "2023_07", "2023_08", "2023_11", "2023_12", "2106_02"]
    assert months(db_url) == months(db_url, "log_contents") == found
    assert [(row["created_at"], row["content"]) for row in raw_rows(store)] == [
        (second, "said") for second in seconds
    ]


def test_whoever_comes_first_at_once_makes_a_month_once(open_store: Any, db_url: str) -> None:
    stores = [open_store() for _ in range(6)]
    events = [scattered(*OLD, number=5) for _ in stores]

    results = at_once([partial(store.record, some) for store, some in zip(stores, events, strict=True)])

    assert results == [""] * 6
    assert months(db_url) == ["2023_07", "2023_08", "2023_09", "2023_10", "2023_11"]
    assert stores[0].count_raw() == 6 * 4 * 5
    assert_sound(stores[0])


def test_a_writer_who_makes_a_month_keeps_others_waiting_only_for_that_month(open_store: Any) -> None:
    first, other = open_store(), open_store(waiting_time=2.0)
    # Everybody is known, for who registers somebody keeps others who do so waiting.
    first.record([*scattered(OCTOBER), make_record()])

    def work(connection: Any) -> None:
        recording.insert(connection, first.dialect, scattered(AUGUST, number=3), now=NOW)
        within(10, lambda: other.record([make_record()]))
        assert other.count_all() == 14

    first.write(work)

    assert first.count_raw() == 17


def test_a_month_that_another_process_has_dropped_is_made_again(open_store: Any, db_url: str) -> None:
    writing, purging = open_store(), open_store()
    writing.record(scattered(AUGUST))
    purge(purging, NOVEMBER)
    assert "2023_08" not in months(db_url)

    writing.record(scattered(AUGUST, number=7))

    assert writing.count_raw() == 7
    assert_sound(writing)


def test_what_fails_leaves_no_month_behind(store: LogStore, db_url: str) -> None:
    def work(connection: Any) -> None:
        recording.insert(connection, store.dialect, scattered(AUGUST), now=NOW)
        raise Conflict("on purpose")

    with pytest.raises(Conflict):
        store.write(work)

    assert months(db_url) == ["2023_11"]


# Dropped


@pytest.mark.parametrize(
    ("before", "log_type", "keep_usage"),
    [
        (OCTOBER + DAY // 2 + 1234, None, True),
        (OCTOBER + DAY // 2 + 1234, 2, False),
        (NOW, 2, True),
        (NOW, None, False),
    ],
)
def test_a_purge_leaves_what_it_leaves_without_partitions(
    store: LogStore, tmp_path: Path, before: int, log_type: int | None, keep_usage: bool
) -> None:
    plain = LogStore(create_engine(f"sqlite:///{tmp_path / 'plain.db'}"), clock=lambda: NOW)
    with closing(plain):
        stores = (store, plain)
        for one in stores:
            one.record(scattered(*OLD, NOVEMBER))
            one.record(scattered(AUGUST, type=2))
            how: Row = {"log_type": log_type, "keep_usage": keep_usage}
            # A second purge meets the usage that the first one has kept.
            assert purge(one, SEPTEMBER, keep_usage=True, log_type=log_type) > 0
        assert purge(store, before, **how) == purge(plain, before, **how)

        left, expected = ([_without_id(row) for row in raw_rows(one)] for one in stores)
        assert sorted(left) == sorted(expected)
        assert buckets(store) == buckets(plain)
    assert_sound(store)


def _without_id(row: Row) -> tuple[Any, ...]:
    return tuple(str(value) for name, value in row.items() if name != "id")


def file_bytes(db_url: str, paths: list[str]) -> int:
    """Return what is left of some files; the server removes the first piece of each only some time later."""
    with psycopg.connect(db_url) as connection:
        sizes = [connection.execute("SELECT size FROM pg_stat_file(%s, true)", [path]) for path in paths]
        return sum(size or 0 for (size,) in (found.fetchone() or (0,) for found in sizes))


def paths(db_url: str, month: str) -> list[str]:
    """Return the files of the partitions of a month, their indexes and their long texts."""
    query = """
        WITH tables AS (SELECT oid, reltoastrelid FROM pg_class WHERE relname ~ %s AND relkind = 'r')
        SELECT pg_relation_filepath(one) FROM (
            SELECT oid FROM tables UNION ALL SELECT reltoastrelid FROM tables WHERE reltoastrelid > 0
            UNION ALL SELECT indexrelid FROM pg_index JOIN tables ON indrelid = oid
        ) AS found (one)
    """
    with psycopg.connect(db_url) as connection:
        return [path for (path,) in connection.execute(query, [f"_{month}$"])]


def test_the_files_of_a_month_are_gone_after_its_purge(store: LogStore, db_url: str) -> None:
    store.record(scattered(*OLD))
    gone, kept = paths(db_url, "2023_07"), paths(db_url, "2023_10")
    assert len(gone) > 10
    assert file_bytes(db_url, gone) > 0

    assert purge(store, OCTOBER) == 3 * 12

    assert months(db_url) == months(db_url, "log_contents") == ["2023_10", "2023_11"]
    assert file_bytes(db_url, gone) == 0 < file_bytes(db_url, kept)
    assert_sound(store)


def test_a_month_goes_by_type_once_only_that_type_is_left(store: LogStore, db_url: str) -> None:
    store.record(scattered(JULY, type=2) + scattered(AUGUST, type=2) + scattered(AUGUST, type=5, number=3))

    assert purge(store, NOVEMBER, log_type=2, keep_usage=True) == 24
    assert months(db_url) == ["2023_08", "2023_11"]

    assert purge(store, NOVEMBER, log_type=5) == 3
    assert months(db_url) == ["2023_11"]
    assert_sound(store)


def test_a_month_is_saved_by_rows_of_another_type_that_came_meanwhile(store: LogStore, db_url: str) -> None:
    store.record(scattered(JULY, type=2))
    how, month = Purge(NOVEMBER, log_type=2), ids.month(JULY)
    store.record(scattered(JULY, type=5, number=1))

    drop = partial(partitions.drop_month, dialect=store.dialect, purge=how, month=month)

    assert store.write(drop, claims=recording.span_claims(month)) == 0
    assert store.count_raw() == 13
    assert_sound(store)


def test_a_month_that_lost_its_last_rows_one_by_one_goes_as_well(store: LogStore, db_url: str) -> None:
    store.record(scattered(JULY, type=2) + scattered(JULY, type=5))
    purge(store, AUGUST - 1, log_type=2)
    purge(store, AUGUST - 1, log_type=5)
    assert "2023_07" in months(db_url)

    purge(store, NOVEMBER, log_type=2)

    assert months(db_url) == ["2023_11"]


def test_the_current_month_and_later_ones_stay_for_those_who_fill_them(store: LogStore, db_url: str) -> None:
    tomorrow = make_record()
    tomorrow.second = DECEMBER + 5
    store.record([*scattered(OCTOBER, NOVEMBER), tomorrow])

    assert purge(store, DECEMBER + DAY) == 25

    assert months(db_url) == ["2023_11", "2023_12"]
    assert buckets(store) == [[], [], []]


def test_kept_usage_leaves_the_statistics_as_they_were(store: LogStore, db_url: str) -> None:
    store.record(scattered(*OLD, NOVEMBER))

    def figures() -> list[Row]:
        spans = [EVER, ids.between(JULY, AUGUST - 1), ids.between(OCTOBER + 900, NOVEMBER + 3 * 3600 - 1)]
        return [store.statistics(SITE, ALL, span, asked=kind) for span in spans for kind in range(1, 6)]

    earlier = figures()
    purge(store, NOVEMBER, keep_usage=True)

    assert months(db_url) == ["2023_11"]
    assert figures() == earlier
    assert buckets(store) == rebuilt(store)
    assert_sound(store)


# Cut short


def test_a_month_whose_drop_fails_is_as_it_was(
    store: LogStore, db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record(scattered(JULY, AUGUST))
    before = raw_rows(store), buckets(store)
    drop = store.dialect.drop_month

    def fail(connection: Any, month: Any) -> bool:
        assert drop(connection, month)
        raise Conflict("on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(store.dialect, "drop_month", fail)
        with pytest.raises(Conflict, match="on purpose"):
            purge(store, NOVEMBER, keep_usage=True)

    assert (raw_rows(store), buckets(store)) == before
    assert purge(store, NOVEMBER) == 24


#: Purge, and stop for ever when the second month is dropped and nothing of it is committed.
STOPPING = """
import sys, time
from sqlalchemy import create_engine
from logservice.store import dialects, purging
from logservice.store.retention import Purge
from logservice.store.store import LogStore

url, before, now = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
store = LogStore(create_engine(**dialects.engine_settings(url, "")), clock=lambda: now)
drop, dropped = store.dialect.drop_month, []

def stop(connection, month):
    done = drop(connection, month)
    dropped.append(month)
    if len(dropped) == 2:
        print("dropped", flush=True)
        time.sleep(60)
    return done

store.dialect.drop_month = stop
list(store.purge(Purge(before, keep_usage=True)))
"""


def purge_and_be_killed(db_url: str) -> None:
    """Purge in a process of its own, which is killed in the middle of the second month."""
    call = [sys.executable, "-c", STOPPING, db_url, str(NOVEMBER), str(NOW)]
    with subprocess.Popen(call, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert within(30, process.stdout.readline) == b"dropped\n"
        finally:
            process.kill()


def test_a_purge_that_is_killed_inside_a_month_is_finished_by_the_next(open_store: Any, db_url: str) -> None:
    time = [float(NOW)]
    store = open_store(clock=lambda: time[0])
    store.record(scattered(*OLD))
    earlier = store.statistics(SITE, ALL, EVER, asked=2)

    purge_and_be_killed(db_url)

    assert months(db_url) == ["2023_08", "2023_09", "2023_10", "2023_11"]
    assert store.count_raw() == 36
    assert_sound(store)
    assert store.statistics(SITE, ALL, EVER, asked=2) == earlier
    time[0] += 3600
    assert purge(store, NOVEMBER, keep_usage=True) == 36
    assert months(db_url) == ["2023_11"]
    assert store.statistics(SITE, ALL, EVER, asked=2) == earlier


# In use


def test_rows_go_one_by_one_where_a_month_is_in_use_for_long(
    store: LogStore, db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_partitions, "_ATTEMPTS", 2)
    monkeypatch.setattr(postgresql_partitions, "_PAUSE_SECONDS", 0.05)
    store.record(scattered(JULY, NOVEMBER))

    with psycopg.connect(db_url) as reader:
        reader.execute("SELECT 1 FROM log_records LIMIT 1")
        assert within(30, lambda: purge(store, AUGUST, keep_usage=True)) == 12

    assert "2023_07" in months(db_url)
    assert_sound(store)
    assert purge(store, AUGUST) == 0
    assert "2023_07" not in months(db_url)


def test_a_month_goes_as_soon_as_its_reader_has_finished(store: LogStore, db_url: str) -> None:
    store.record(scattered(JULY))

    with psycopg.connect(db_url) as reader:
        reader.execute("SELECT 1 FROM log_records LIMIT 1")
        [purged, _] = at_once([partial(purge, store, AUGUST), partial(_leave, reader)])

    assert purged == 12
    assert "2023_07" not in months(db_url)


def _leave(reader: psycopg.Connection) -> None:
    reader.execute("SELECT pg_sleep(0.6)")
    reader.rollback()
