"""Purging: what goes, goes from the buckets too; what is cut short is finished by the next run."""

from __future__ import annotations

from typing import Any

import pytest

from logservice.errors import Conflict
from logservice.store import ids
from logservice.store.buckets import QUARTER
from logservice.store.filters import Filters
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    EVERY_WAY,
    HOUR,
    MIDNIGHT,
    SITE,
    WAYS,
    Row,
    buckets,
    contents,
    each_of,
    make_records,
    page,
    raw_rows,
    rebuilt,
    record,
    whole,
)

engine_name = each_of(*WAYS)

#: A moment in the middle of the scattered rows, in the middle of an hour.
TARGET = MIDNIGHT - DAY - 5 * HOUR + 1234


def statistics(store: LogStore, asked: int = 2, **values: Any) -> Row:
    return store.statistics(SITE, Filters(values), EVER, asked=asked)


def kept(store: LogStore) -> list[Row]:
    return [row for table in buckets(store) for row in table if row["retained"]]


def purge(store: LogStore, before: int, *, batch: int = 2000, **how: Any) -> int:
    return sum(store.purge(Purge(before, **how), batch=batch))


@pytest.mark.parametrize(
    ("keep_usage", "log_type", "batch"),
    [(False, None, 3), (True, None, 2000), (True, 2, 3), (False, 3, 2000)],
)
def test_a_purge_deletes_what_is_older_and_leaves_buckets_equal_to_rebuilt_ones(
    store: LogStore, batch: int, log_type: int | None, keep_usage: bool
) -> None:
    store.record(make_records(120))
    rows = raw_rows(store)
    goes = [row for row in rows if row["created_at"] < TARGET and log_type in (None, row["type"])]
    how = Purge(TARGET, log_type, keep_usage)

    assert store.to_purge(how) == len(goes)
    assert sum(store.purge(how, batch=batch)) == len(goes)

    assert raw_rows(store) == [row for row in rows if row not in goes]
    assert store.count_all() == len(rows) - len(goes)
    assert store.to_purge(how) == 0
    assert buckets(store) == rebuilt(store)


@pytest.mark.parametrize("before", [MIDNIGHT - DAY, MIDNIGHT - HOUR, MIDNIGHT - 77, MIDNIGHT + 10 * DAY])
def test_the_target_may_lie_anywhere(store: LogStore, before: int) -> None:
    store.record(make_records(150))
    expected = [row for row in raw_rows(store) if row["created_at"] >= before]

    purge(store, before, batch=13)

    assert raw_rows(store) == expected
    assert buckets(store) == rebuilt(store)


def test_rows_of_the_target_second_stay(store: LogStore) -> None:
    record(store, *({"created_at": TARGET + second, "content": str(second)} for second in (-1, 0, 1)))

    assert purge(store, TARGET) == 1
    assert contents(raw_rows(store)) == ["0", "1"]


def test_a_purge_of_one_type_leaves_the_others(store: LogStore) -> None:
    record(store, *({"type": kind, "content": str(kind)} for kind in range(1, 8)))

    assert purge(store, MIDNIGHT + 1, log_type=4) == 1
    assert contents(raw_rows(store)) == ["1", "2", "3", "5", "6", "7"]


def test_a_purge_of_nothing_deletes_nothing(store: LogStore) -> None:
    store.record(make_records(20))
    before = raw_rows(store), buckets(store)

    assert purge(store, MIDNIGHT - 100 * DAY) == 0
    assert (raw_rows(store), buckets(store)) == before


def test_of_an_hour_without_rows_no_bucket_is_left(store: LogStore) -> None:
    store.record(make_records(50))

    purge(store, MIDNIGHT)

    assert buckets(store) == [[], [], []]


# Interrupted


@pytest.mark.parametrize(("batches", "keep_usage"), [(1, True), (2, False), (9, True)])
def test_a_purge_that_is_cut_short_is_finished_by_the_next_run(
    store: LogStore, batches: int, keep_usage: bool
) -> None:
    store.record(make_records(100))
    before, expected = statistics(store), len(raw_rows(store)) - store.to_purge(Purge(TARGET))
    how = Purge(TARGET, keep_usage=keep_usage)

    running = store.purge(how, batch=1)
    deleted = sum(next(running) for _ in range(batches))
    running.close()

    assert store.count_all() == store.count_raw() == 100 - deleted
    assert buckets(store) == rebuilt(store)
    assert not keep_usage or statistics(store) == before
    deleted += sum(store.purge(how, batch=1))
    assert store.count_all() == store.count_raw() == expected == 100 - deleted
    assert buckets(store) == rebuilt(store)
    assert not keep_usage or statistics(store) == before


@EVERY_WAY
def test_rows_that_arrive_during_a_purge_are_kept_right(store: LogStore) -> None:
    store.record(make_records(100))

    for number, _deleted in enumerate(store.purge(Purge(TARGET), batch=10)):
        store.record(make_records(5, seed=number + 1))

    assert store.count_all() == store.count_raw()
    assert buckets(store) == rebuilt(store)


def test_only_one_purge_runs_at_a_time(open_store: Any) -> None:
    store, other = open_store(), open_store()
    store.record(make_records(100))
    running = store.purge(Purge(TARGET), batch=3)
    next(running)

    with pytest.raises(Conflict):
        next(other.purge(Purge(TARGET)))

    running.close()
    list(other.purge(Purge(TARGET)))
    assert store.to_purge(Purge(TARGET)) == 0


def test_a_purge_that_was_killed_does_not_stand_in_the_way_for_ever(open_store: Any) -> None:
    time = [float(MIDNIGHT)]
    store, other = open_store(clock=lambda: time[0]), open_store(clock=lambda: time[0])
    store.record(make_records(100))
    killed = store.purge(Purge(TARGET), batch=3)
    next(killed)

    time[0] += 3600

    assert sum(other.purge(Purge(TARGET))) > 0
    assert store.to_purge(Purge(TARGET)) == 0
    killed.close()


# Usage that is kept


@pytest.mark.parametrize(("before", "batch"), [(MIDNIGHT - DAY + HOUR, 2000), (TARGET, 3), (MIDNIGHT, 2000)])
def test_kept_usage_leaves_statistics_as_they_were_and_counts_what_is_there(
    store: LogStore, before: int, batch: int
) -> None:
    store.record(make_records(90))

    def figures() -> list[Row]:
        every: list[Row] = [{}, {"username": "bob"}, {"model_name": "gpt%"}]
        return [statistics(store, asked, **values) for asked in range(1, 8) for values in every]

    earlier = figures()
    purge(store, before, keep_usage=True, batch=batch)

    assert figures() == earlier
    assert store.count_all() == store.count_raw() == len(raw_rows(store))
    bobs = Filters({"username": "bob"})
    assert page(store, filters=bobs).total == len(whole(store, size=100, filters=bobs))


def test_kept_usage_is_exact_to_the_quarter_of_an_hour(store: LogStore) -> None:
    store.record(make_records(400))
    day = MIDNIGHT - DAY
    spans = [
        ids.between(start, end - 1)
        for start, end in (
            (day - DAY, day),
            (day - DAY + QUARTER, day - QUARTER),
            (day - 5 * QUARTER, day - 3 * QUARTER),
            (day - 3 * QUARTER, day - 2 * QUARTER),
        )
    ]

    def figures() -> list[Row]:
        every = (ALL, Filters({"username": "alice"}))
        return [store.statistics(SITE, filters, span, asked=2) for span in spans for filters in every]

    earlier = figures()
    assert all(figure["quota"] for figure in earlier[:4])
    purge(store, MIDNIGHT, keep_usage=True)

    assert figures() == earlier


def test_adjoining_ranges_neither_overlap_nor_leave_a_gap_in_kept_usage(store: LogStore) -> None:
    store.record(make_records(300))
    earlier = statistics(store)
    purge(store, MIDNIGHT, keep_usage=True)

    for edge in (1, 450, QUARTER - 1, QUARTER + 7):
        cut = MIDNIGHT - DAY - HOUR + edge
        older = store.statistics(SITE, ALL, ids.between(0, cut - 1), asked=2)
        newer = store.statistics(SITE, ALL, ids.between(cut, 0), asked=2)
        assert {name: older[name] + newer[name] for name in earlier} == earlier, edge


@pytest.mark.parametrize("log_type", [None, 2, 4])
def test_a_later_purge_without_keeping_removes_the_usage_kept_before_its_target(
    store: LogStore, log_type: int | None
) -> None:
    store.record(make_records(200))
    before = MIDNIGHT - DAY - HOUR
    goes = [row for row in raw_rows(store) if row["created_at"] < before and log_type in (None, row["type"])]
    earlier = statistics(store, log_type or 2)
    purge(store, MIDNIGHT, keep_usage=True)

    assert purge(store, before, log_type=log_type) == 0

    asked = log_type or 2
    gone = [row["quota"] for row in goes if row["type"] == asked]
    assert statistics(store, asked)["quota"] == earlier["quota"] - sum(gone)
    assert statistics(store, asked, username="%")["quota"] == earlier["quota"] - sum(gone)
    ends = [(row["bucket"] + row.get("span", QUARTER), row["type"]) for row in kept(store)]
    assert [end for end, kind in ends if end <= before and log_type in (None, kind)] == []


def test_purging_everything_at_last_leaves_no_usage(store: LogStore) -> None:
    store.record(make_records(100))
    purge(store, TARGET, keep_usage=True)

    purge(store, MIDNIGHT)

    assert buckets(store) == [[], [], []]
    assert set(statistics(store).values()) == {0}


def test_purging_to_the_same_quarter_without_keeping_removes_what_was_kept(store: LogStore) -> None:
    target = MIDNIGHT - DAY + 3 * QUARTER
    record(store, {"created_at": target - 1, "quota": 5}, {"created_at": target, "quota": 7})
    purge(store, target, keep_usage=True)
    assert statistics(store)["quota"] == 12

    purge(store, target)

    assert statistics(store)["quota"] == 7


def test_kept_usage_newer_than_the_target_stays_whatever_its_quarter(store: LogStore) -> None:
    target = MIDNIGHT - DAY + QUARTER + 450
    record(store, {"created_at": target - QUARTER, "quota": 5}, {"created_at": target + 9, "quota": 7})
    purge(store, MIDNIGHT, keep_usage=True)

    purge(store, target)

    assert statistics(store)["quota"] == statistics(store, username="alice")["quota"] == 7


def test_rebuilding_leaves_kept_usage_alone(store: LogStore) -> None:
    store.record(make_records(100))
    purge(store, TARGET, keep_usage=True)
    before = kept(store), statistics(store)

    list(store.rebuild())

    assert before[0]
    assert (kept(store), statistics(store)) == before


def test_rows_that_arrive_for_a_purged_hour_are_counted_beside_its_kept_usage(store: LogStore) -> None:
    record(store, {"created_at": TARGET - HOUR, "quota": 5})
    purge(store, TARGET, keep_usage=True)

    record(store, {"created_at": TARGET - HOUR, "quota": 7})

    assert statistics(store)["quota"] == 12
    assert (statistics(store)["requests"], store.count_all()) == (2, 1)
    assert buckets(store) == rebuilt(store)
