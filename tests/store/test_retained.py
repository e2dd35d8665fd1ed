"""Usage that is kept without rows, and the rows it stems from when they come back."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logservice.store import ids, records, retained
from logservice.store.recording import week_claims
from logservice.store.records import Record
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from logservice.store.tables import retained as chunks
from tests.store_rows import (
    ALL,
    DAY,
    ENGINES,
    EVER,
    HOUR,
    MIDNIGHT,
    NOW,
    SITE,
    Row,
    buckets,
    each_of,
    empty,
    make_records,
    raw_rows,
    rebuilt,
    record,
    table_rows,
)

engine_name = each_of(*ENGINES)

BEFORE = MIDNIGHT - DAY


def kept(store: LogStore) -> list[Row]:
    return [row for table in buckets(store) for row in table if row["retained"]]


def statistics(store: LogStore) -> list[Row]:
    return [store.statistics(SITE, ALL, EVER, asked=kind) for kind in (1, 2, 4, 5)]


def purge(store: LogStore, before: int, **how: Any) -> int:
    return sum(store.purge(Purge(before, **how), batch=7))


def as_records(rows: list[Row]) -> list[Record]:
    """Return rows as the export of a log gives them, to be imported with their ids."""
    return [records.from_mapping(_event(row), now=NOW, keep_id=True) for row in rows]


def _event(row: Row) -> Row:
    return {str(name): value for name, value in row.items() if name in records.FIELDS}


def bring_back(store: LogStore, rows: list[Row]) -> int:
    new = as_records(rows)
    return store.write(partial(store.insert, new=new), claims=week_claims(new, shared=False))


def test_rows_that_come_back_take_their_kept_usage_with_them(store: LogStore) -> None:
    store.record(make_records(120))
    rows, before = raw_rows(store), statistics(store)
    purge(store, BEFORE, keep_usage=True)
    assert statistics(store) == before
    assert kept(store)

    bring_back(store, rows)

    assert raw_rows(store) == rows
    assert statistics(store) == before
    assert kept(store) == []
    assert table_rows(store, chunks) == []
    assert buckets(store) == rebuilt(store)


def test_some_of_them_take_theirs(store: LogStore) -> None:
    store.record(make_records(120))
    rows, before = raw_rows(store), statistics(store)
    purge(store, BEFORE, keep_usage=True)

    assert bring_back(store, rows[1:30:3]) == 10
    assert statistics(store) == before
    assert bring_back(store, rows[:30]) == 20
    assert statistics(store) == before
    assert buckets(store) == rebuilt(store)


def test_rows_whose_usage_was_dropped_bring_theirs_along(store: LogStore) -> None:
    store.record(make_records(120))
    rows, before = raw_rows(store), statistics(store)
    purge(store, BEFORE, keep_usage=True)
    purge(store, BEFORE)
    assert statistics(store) != before

    bring_back(store, rows)

    assert statistics(store) == before
    assert kept(store) == []


def test_where_usage_was_dropped_up_to_a_second_only_the_rows_behind_it_take_theirs(store: LogStore) -> None:
    edge = MIDNIGHT - 2 * DAY + 900 * 7
    store.record(make_records(300))
    rows, before = raw_rows(store), statistics(store)
    purge(store, BEFORE, keep_usage=True)
    purge(store, edge + 77)

    bring_back(store, rows)

    assert statistics(store) == before
    assert kept(store) == []
    assert table_rows(store, chunks) == []


def test_only_the_usage_of_the_dropped_type_is_forgotten(store: LogStore) -> None:
    store.record(make_records(200))
    rows, before = raw_rows(store), statistics(store)
    purge(store, BEFORE, keep_usage=True)
    purge(store, BEFORE, log_type=2)

    bring_back(store, rows)

    assert statistics(store) == before
    assert kept(store) == []


def test_a_row_of_another_service_with_the_same_id_brings_usage_of_its_own(store: LogStore) -> None:
    [row] = record(store, {"created_at": BEFORE - 1, "quota": 100})
    purge(store, BEFORE, keep_usage=True)

    bring_back(store, [row | {"quota": 7}])

    assert [one["quota"] for one in statistics(store)][1] == 107
    assert len(kept(store)) > 0


def test_rows_that_were_given_the_id_of_a_purged_one_are_known_apart(store: LogStore) -> None:
    [first] = record(store, {"created_at": BEFORE - 1, "quota": 1})
    purge(store, BEFORE, keep_usage=True)
    bring_back(store, [first | {"quota": 20}])
    purge(store, BEFORE, keep_usage=True)
    assert statistics(store)[1]["quota"] == 21

    bring_back(store, [first])
    assert statistics(store)[1]["quota"] == 21
    bring_back(store, [first | {"quota": 20}])

    assert statistics(store)[1]["quota"] == 21
    assert [row["quota"] for row in raw_rows(store)] == [1, 20]
    assert kept(store) == []


@pytest.mark.parametrize("is_here", [True, False])
def test_a_row_that_went_by_another_id_than_it_came_with_takes_its_usage_back(
    store: LogStore, is_here: bool
) -> None:
    [here] = record(store, {"created_at": BEFORE - 1, "quota": 1})
    elsewhere = here | {"quota": 20}
    bring_back(store, [elsewhere])
    purge(store, BEFORE, keep_usage=True)
    if is_here:
        bring_back(store, [here])

    bring_back(store, [elsewhere])

    assert statistics(store)[1]["quota"] == 21
    assert (kept(store) == []) is is_here


@pytest.mark.parametrize("number", [1, 2, 300])
def test_traces_are_unpacked_as_they_were_packed(number: int) -> None:
    found = [(ids.first_id(second * 977) + second % 3, second * 12_345 % 2**32) for second in range(number)]

    assert retained.unpack(retained.pack(found)) == found


def test_many_rows_take_few_bytes_each() -> None:
    found = [(ids.first_id(second) + place, second * 12_345) for second in range(2_000) for place in range(2)]

    assert len(retained.pack(found)) < len(found) * 7


_ACTS = st.one_of(
    st.tuples(st.just("record")),
    st.tuples(st.just("purge"), st.integers(0, 3 * 96), st.sampled_from([None, 2, 5]), st.booleans()),
    st.tuples(st.just("back"), st.integers(0, 2), st.integers(1, 3)),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(_ACTS, min_size=2, max_size=7))
def test_whatever_comes_and_goes_nothing_is_counted_twice(module_store: LogStore, acts: list[Any]) -> None:
    store = module_store
    empty(store)
    ever: dict[int, Row] = {}
    counted: set[int] = set()
    for place, (kind, *how) in enumerate(acts):
        if kind == "record":
            new = make_records(10, seed=place)
            for one in new:
                # No two that are recorded share a second, or they might share an id one after the other.
                one.second += place - one.second % len(acts)
            store.record(new)
        elif kind == "purge":
            quarters, log_type, keep_usage = how
            before = MIDNIGHT - quarters * 900
            purge(store, before, log_type=log_type, keep_usage=keep_usage)
            if not keep_usage:
                counted -= {
                    row_id
                    for row_id, row in ever.items()
                    if row["created_at"] < before and log_type in (None, row["type"])
                }
        else:
            start, step = how
            bring_back(store, list(ever.values())[start::step])
        there = raw_rows(store)
        ever |= {row["id"]: row for row in there}
        counted |= {row["id"] for row in there}
        expected = sum(ever[row_id]["quota"] for row_id in counted if ever[row_id]["type"] == 2)
        assert statistics(store)[1]["quota"] == expected
    assert buckets(store) == rebuilt(store)


def test_hours_of_purged_rows_stay_exact(store: LogStore) -> None:
    record(store, *({"created_at": BEFORE - 2 * HOUR + number * 61, "quota": 1} for number in range(60)))
    rows = raw_rows(store)
    purge(store, BEFORE, keep_usage=True)

    bring_back(store, rows[:25])

    edge = ids.between(0, BEFORE - 2 * HOUR + 899)
    assert store.statistics(SITE, ALL, edge, asked=2)["quota"] == 15
