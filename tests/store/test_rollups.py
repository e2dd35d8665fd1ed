"""Usage buckets: whichever way the rows came in, the buckets are those that the rows make up."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from logservice.errors import Unavailable
from logservice.store.buckets import OWNERS, ROLLUPS, SITE, Rollup
from logservice.store.store import LogStore
from logservice.store.tables import DIMENSIONS, MEASURES, hourly, site
from tests.store_rows import (
    DAY,
    EVERY_WAY,
    HOUR,
    MIDNIGHT,
    Row,
    at_once,
    buckets,
    make_record,
    make_records,
    raw_rows,
    rebuilt,
    record,
    table_rows,
)

pytestmark = EVERY_WAY


def plain_buckets(rows: list[Row], seconds: int, dimensions: tuple[str, ...]) -> list[Row]:
    """Add rows up by plain Python."""
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(MEASURES))
    for row in rows:
        key = (row["created_at"] // seconds * seconds, 0, *(row[name] for name in dimensions))
        one = {"rows": 1, "requests": int(row["type"] in (2, 4)), **row}
        sums[key] = [known + one[name] for known, name in zip(sums[key], MEASURES, strict=True)]
    names = ("bucket", "retained", *dimensions, *MEASURES)
    return [dict(zip(names, (*key, *values), strict=True)) for key, values in sums.items()]


def in_order(rows: list[Row]) -> list[Row]:
    """Return rows in the order of `table_rows`."""
    return sorted(rows, key=lambda row: list(map(str, row.values())))


def test_buckets_are_the_sums_of_the_rows(store: LogStore) -> None:
    store.record(make_records(400))

    rows = raw_rows(store)
    of_spans = [
        [
            {"span": span, **bucket}
            for span in rollup.spans
            for bucket in plain_buckets(rows, span, rollup.dimensions)
        ]
        for rollup in (SITE, OWNERS)
    ]
    assert buckets(store) == list(map(in_order, [plain_buckets(rows, HOUR, DIMENSIONS), *of_spans]))


def test_incremental_equals_rebuilt(store: LogStore) -> None:
    for part in range(20):
        store.record(make_records(30, seed=part))

    assert buckets(store) == rebuilt(store)


@pytest.mark.parametrize("pieces", [2, 7, 100])
def test_recording_in_pieces_equals_recording_at_once(open_store: Any, tmp_path: Any, pieces: int) -> None:
    store = open_store()
    store.record(make_records(100))
    at_one_time = in_seconds(raw_rows(store)), buckets(store)
    for table in (*(rollup.table for rollup in ROLLUPS), *_tables_of_rows()):
        store.write(lambda connection, table=table: connection.execute(delete(table)))

    again = make_records(100)
    for start in range(pieces):
        size = len(again) // pieces + 1
        store.record(again[start * size : (start + 1) * size])

    assert (in_seconds(raw_rows(store)), buckets(store)) == at_one_time


def in_seconds(rows: list[Row]) -> list[Row]:
    """Return rows in their order, without the sequence part of their ids, which differs from run to run."""
    return [{**row, "id": row["created_at"]} for row in rows]


def _tables_of_rows() -> list[Any]:
    names = ("log_records", "log_users", "log_tokens")
    return [table for table in hourly.metadata.sorted_tables if table.name in names]


def test_buckets_do_not_depend_on_the_order_of_arrival(store: LogStore) -> None:
    rows = make_records(200, user_id=1)
    store.record(rows)
    in_order = buckets(store)
    store.write(lambda connection: [connection.execute(delete(rollup.table)) for rollup in ROLLUPS])

    shuffled = make_records(200, user_id=1)
    random.Random(1).shuffle(shuffled)
    store.record(shuffled)

    assert buckets(store) == in_order


def test_rows_recorded_from_many_threads_are_all_in_the_buckets(store: LogStore) -> None:
    store.create()

    at_once([lambda seed=seed: store.record(make_records(20, seed=seed)) for seed in range(16)])

    assert store.count_all() == store.count_raw() == 320
    assert buckets(store) == rebuilt(store)


def test_an_hour_and_a_day_belong_to_the_rows_from_their_first_to_their_last_second(store: LogStore) -> None:
    edges = (MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + HOUR - 1, MIDNIGHT + HOUR)
    store.record([make_record(created_at=second) for second in edges])

    hours, of_site, _ = buckets(store)
    days = [row for row in of_site if row["span"] == DAY]

    assert {row["bucket"]: row["rows"] for row in hours} == {
        MIDNIGHT - HOUR: 1,
        MIDNIGHT: 2,
        MIDNIGHT + HOUR: 1,
    }
    assert {row["bucket"]: row["rows"] for row in days} == {MIDNIGHT - DAY: 1, MIDNIGHT: 3}


def test_calls_are_consume_and_error_rows(store: LogStore) -> None:
    record(store, *({"type": kind} for kind in range(1, 8)))

    assert sum(row["rows"] for row in table_rows(store, hourly)) == 7
    assert {row["type"] for row in table_rows(store, hourly) if row["requests"]} == {2, 4}


def test_a_refused_batch_leaves_neither_rows_nor_buckets(store: LogStore) -> None:
    store.record(make_records(10))
    before = raw_rows(store), buckets(store)
    spoiled = make_records(10, seed=1)
    spoiled[-1].row["quota"] = None

    with pytest.raises(Unavailable):
        store.record(spoiled)

    assert (raw_rows(store), buckets(store)) == before


def test_rebuilding_mends_wrong_missing_and_needless_buckets(store: LogStore) -> None:
    store.record(make_records(100))
    right = buckets(store)
    store.write(lambda connection: connection.execute(update(hourly).values(quota=hourly.c.quota + 1)))
    store.write(lambda connection: connection.execute(delete(site).where(site.c.type == 2)))

    assert rebuilt(store) == right


@pytest.mark.parametrize(
    ("rollup", "span"),
    [(rollup, span) for rollup in ROLLUPS for span in rollup.spans],
    ids=lambda value: getattr(value, "table", value),
)
@pytest.mark.parametrize("days_ago", [1, 100])
def test_rebuilding_removes_a_stray_bucket_of_any_span(
    store: LogStore, rollup: Rollup, span: int, days_ago: int
) -> None:
    store.record(make_records(10))
    right = buckets(store)
    key: Row = {name: "" if "name" in name or name == "group" else 0 for name in rollup.dimensions}
    bucket = (MIDNIGHT - days_ago * DAY) // span * span
    stray = {**key, "bucket": bucket, "retained": 0, "rows": 3}
    stray |= {} if rollup.table is hourly else {"span": span}
    store.write(lambda connection: connection.execute(insert(rollup.table).values(**stray)))

    assert rebuilt(store) == right


def test_rebuilding_an_empty_log_does_nothing(store: LogStore) -> None:
    assert list(store.rebuild()) == []


def test_rebuilding_names_each_day_that_is_done(store: LogStore) -> None:
    record(store, {"created_at": MIDNIGHT + 5}, {"created_at": MIDNIGHT - 5 * DAY}, {"created_at": 1})

    assert list(store.rebuild()) == [0, MIDNIGHT - 5 * DAY, MIDNIGHT]


def test_rebuilding_between_writes_loses_nothing(store: LogStore) -> None:
    store.record(make_records(50))

    for number, _day in enumerate(store.rebuild()):
        store.record(make_records(20, seed=number + 1))

    assert buckets(store) == rebuilt(store)
