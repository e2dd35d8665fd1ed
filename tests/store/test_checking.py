"""The self-check: what is broken is found and named, what is sound never looks broken, rebuilding mends."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, select, update

from logservice.errors import Unavailable
from logservice.store import checking
from logservice.store.buckets import OWNERS, QUARTER, ROLLUPS, SITE
from logservice.store.checking import Report
from logservice.store.dialects import sqlite_wal
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from logservice.store.tables import contents, hourly, owners, records, site
from tests.store_rows import (
    DAY,
    HOUR,
    MIDNIGHT,
    WEEK,
    Row,
    change,
    make_record,
    make_records,
    raw_rows,
    record,
    table_rows,
)

only_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")
CHECKPOINT_BYTES = 512 * 1024
BUCKETS = [(rollup.table, span, 0) for rollup in ROLLUPS for span in rollup.spans]
#: Sums of kept usage that are made of shorter ones.
LONGER_KEPT = [
    (rollup.table, span, 1) for rollup in (SITE, OWNERS) for span in rollup.spans if span > QUARTER
]


def full(store: LogStore) -> Report:
    return store.check(full=True).complete()


def filled(store: LogStore) -> None:
    """Record rows of nine days, and purge some with and some without their usage."""
    store.record(make_records(150, days=9))
    list(store.purge(Purge(MIDNIGHT - 7 * DAY)))
    list(store.purge(Purge(MIDNIGHT - 3 * DAY - 1234, keep_usage=True), batch=20))
    list(store.purge(Purge(MIDNIGHT - DAY - 777, log_type=2, keep_usage=True), batch=7))


def where_of(row: Row, table: Table) -> list[Any]:
    return [column == row[column.name] for column in table.primary_key]


def broken(store: LogStore, table: Table, span: int, retained: int) -> list[Row]:
    """Change one bucket, delete another and invent a third; return their keys, and sums of before."""
    some = [row for row in table_rows(store, table) if row.get("span", HOUR) == span]
    changed, deleted, model = [row for row in some if row["retained"] == retained and row["requests"]][:3]
    name = "token_name" if "token_name" in model else "model_name"
    invented = model | {name: "invented", "quota": 1, "requests": 3}
    store.write(
        lambda connection: [
            connection.execute(
                update(table).where(*where_of(changed, table)).values(quota=table.c.quota + 5)
            ),
            connection.execute(delete(table).where(*where_of(deleted, table))),
            connection.execute(insert(table).values(**invented)),
        ]
    )
    return [changed, deleted, invented]


def key(row: Row, table: Table) -> tuple[Any, ...]:
    rollup = next(one for one in ROLLUPS if one.table is table)
    return table.name, row.get("span", HOUR), row["retained"], row["bucket"], *map(row.get, rollup.dimensions)


def keys(report: Report) -> dict[tuple[Any, ...], checking.Drift]:
    return {
        (one.link.table.name, one.link.span, one.link.retained, one.bucket, *one.dimensions.values()): one
        for one in report.drift
    }


# Drift


def test_a_sound_log_has_no_drift(store: LogStore) -> None:
    filled(store)

    report = full(store)

    assert any(row["retained"] for row in table_rows(store, hourly))
    assert report.is_sound, report.to_mapping()
    assert report.days_checked == report.days >= 7


def test_a_log_without_rows_is_sound(store: LogStore) -> None:
    store.create()

    for report in (full(store), store.check().complete()):
        assert report.is_sound
        assert (report.rows, report.oldest, report.newest, report.types) == (0, None, None, [])


@pytest.mark.parametrize(
    ("table", "span", "retained"), [*BUCKETS, *LONGER_KEPT], ids=lambda value: getattr(value, "name", None)
)
def test_buckets_that_are_broken_are_found_named_and_mended_by_a_rebuild(
    store: LogStore, table: Table, span: int, retained: int
) -> None:
    filled(store)
    changed, deleted, invented = broken(store, table, span, retained)

    report = full(store)

    assert not report.is_sound
    told = keys(report)
    one = told[key(changed, table)]
    assert one.expected is not None
    assert one.found == {**one.expected, "quota": one.expected["quota"] + 5}
    assert told[key(deleted, table)].found is None
    assert told[key(invented, table)].expected is None
    assert report.cannot_be_mended == 0

    list(store.rebuild())
    assert full(store).is_sound


@pytest.mark.parametrize(("table", "span"), [(hourly, HOUR), (site, QUARTER)], ids=["users", "site"])
def test_kept_usage_that_contradicts_itself_is_told_and_not_mended(
    store: LogStore, table: Table, span: int
) -> None:
    filled(store)
    broken(store, table, span, 1)
    assert full(store).cannot_be_mended == 3

    list(store.rebuild())

    report = full(store)
    assert (report.drifted, report.cannot_be_mended) == (3, 3)


def test_buckets_of_a_time_without_any_rows_are_found(store: LogStore) -> None:
    store.record(make_records(10))
    stray = {"span": WEEK, "bucket": 50 * WEEK, "retained": 0, "type": 2, "model_name": "", "channel_id": 0}
    store.write(lambda connection: connection.execute(insert(site).values(**stray, group="", rows=3)))

    assert [(one.bucket, one.expected) for one in full(store).drift] == [(50 * WEEK, None)]


def test_only_some_drifts_are_told_and_all_are_counted(store: LogStore) -> None:
    store.record(make_records(100))
    store.write(lambda connection: connection.execute(update(hourly).values(quota=hourly.c.quota + 1)))

    report = full(store)

    made_of_them = [row for row in table_rows(store, owners) if row["span"] == OWNERS.spans[0]]
    assert len(report.drift) == checking.TOLD
    assert report.drifted == len(table_rows(store, hourly)) + len(made_of_them) > checking.TOLD


def test_an_hour_of_many_rows_is_compared_by_itself(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_MOST_ROWS", 5)
    filled(store)
    assert full(store).is_sound
    [changed, *_] = broken(store, hourly, HOUR, 0)

    assert key(changed, hourly) in keys(full(store))


# Samples


def test_samples_find_what_is_wrong_with_the_newest_and_the_oldest_day(store: LogStore) -> None:
    store.record([make_record(created_at=MIDNIGHT - day * DAY) for day in range(40)])
    ends = [MIDNIGHT, MIDNIGHT - 39 * DAY]
    store.write(lambda connection: connection.execute(delete(hourly).where(hourly.c.bucket.in_(ends))))

    report = store.check(seconds=60).complete()

    assert (report.days, report.days_checked) == (40, checking.SAMPLES)
    assert sorted(one.bucket for one in report.drift if one.link.table is hourly) == sorted(ends)


def test_samples_end_when_their_time_is_up(store: LogStore) -> None:
    store.record(make_records(50))

    report = store.check(seconds=0).complete()

    assert (report.days, report.days_checked) == (3, 0)


# What else is to hold


def test_texts_that_are_gone_or_left_over_are_counted(store: LogStore) -> None:
    texts = ("gone", "gone too", "kept")
    rows = record(store, *({"content": each, "created_at": MIDNIGHT - 50} for each in texts))
    with store.reading() as connection:
        ids = {row.content: row.id for row in connection.execute(select(contents))}
    gone = [ids["gone"], ids["gone too"]]
    store.write(lambda connection: connection.execute(delete(contents).where(contents.c.id.in_(gone))))
    assert full(store).faults["missing"] == store.check().complete().faults["missing"] == 2

    store.write(lambda connection: connection.execute(delete(records).where(records.c.id == rows[2]["id"])))
    assert full(store).faults["unused"] == 1


@only_sqlite
def test_a_text_that_is_not_in_the_search_index_is_found(store: LogStore) -> None:
    record(store, {"content": "not to be found"})
    assert full(store).is_sound
    store.write(store.dialect.clear_contents)

    assert full(store).faults == {"missing": 0, "unused": 0, "not_found_by_search": 1}


@only_sqlite
def test_a_damaged_file_is_told(store: LogStore) -> None:
    store.record(make_records(3000))
    store.close()
    path = store.dialect.path
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\x55" * 20_000)

    with pytest.raises(Unavailable, match="malformed"):
        full(store)


# Figures


def test_figures_are_those_of_the_rows(store: LogStore) -> None:
    store.record(make_records(200))
    rows = raw_rows(store)

    report = store.check().complete()

    assert report.rows == 200
    assert (report.oldest, report.newest) == (rows[0]["created_at"], rows[-1]["created_at"])
    kinds = [row["type"] for row in rows]
    assert {one.number: one.rows for one in report.types} == {kind: kinds.count(kind) for kind in set(kinds)}
    assert report.space is not None
    assert 0 < sum(one.bytes for one in report.types) <= report.space.database


@pytest.mark.parametrize(("version", "standing"), [("0003", "older"), ("9999", "newer")])
def test_a_database_of_another_version_is_named_and_left_alone(
    open_store: Any, version: str, standing: str
) -> None:
    with_rows = open_store()
    with_rows.record(make_records(5))
    known = with_rows.version()
    set_version(with_rows, version)
    try:
        store = open_store()
        report = full(store)
        assert (report.schema, report.version, report.is_sound) == (standing, version, False)
        assert store.version() == version
    finally:
        # The database is lent again, and its version is part of how it was prepared.
        set_version(with_rows, known)


def set_version(store: LogStore, version: str | None) -> None:
    change(store, f"UPDATE log_alembic_version SET version_num = '{version}'")


# Beside others


def test_what_others_write_meanwhile_never_looks_like_drift(open_store: Any) -> None:
    store, writer = open_store(), open_store()
    store.record(make_records(500, days=9))
    done = threading.Event()

    def write() -> None:
        for seed in range(20):
            writer.record(make_records(30, seed=seed, days=9, content=f"text {seed}"))
            if seed % 5 == 2:
                before = MIDNIGHT - 9 * DAY + seed * 6 * HOUR
                list(writer.purge(Purge(before, keep_usage=seed % 10 == 2), batch=40))
            if seed % 15 == 10:
                list(writer.rebuild())
            if done.is_set():
                return

    thread = threading.Thread(target=write)
    thread.start()
    reports = [full(store)]
    while thread.is_alive() and len(reports) < 200:
        reports.append(full(store))
    done.set()
    thread.join(60)

    assert len(reports) > 2
    assert [report.to_mapping() for report in reports if not report.is_sound] == []


@only_sqlite
def test_the_write_ahead_log_stays_short_while_all_is_checked(
    open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_BYTES", CHECKPOINT_BYTES)
    store, reader = open_store(), open_store()
    store.record(make_records(5000, days=30))
    done = threading.Event()

    def check() -> None:
        while not done.is_set():
            for _ in reader.check(full=True).run():
                if done.is_set():
                    break

    threads = [threading.Thread(target=check) for _ in range(2)]
    for thread in threads:
        thread.start()
    longest = 0
    for seed in range(25):
        store.record(make_records(200, seed=seed, days=30))
        longest = max(longest, store.dialect.status()["wal_bytes"])
    done.set()
    for thread in threads:
        thread.join(30)

    assert longest < 40 * CHECKPOINT_BYTES
