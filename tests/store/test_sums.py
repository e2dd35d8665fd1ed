"""Totals and statistics: exact over any range, from whichever tables answer."""

from __future__ import annotations

from typing import Any

import pytest

from logservice.store import ids, queries
from logservice.store.filters import Filters
from logservice.store.ids import IdRange
from logservice.store.log_types import LogType
from logservice.store.queries import Query
from logservice.store.scope import Scope
from logservice.store.stats import STATS
from logservice.store.store import LogStore
from logservice.store.tables import hourly, records, site
from tests.store_rows import (
    ALL,
    DAY,
    ENGINES,
    EVER,
    HOUR,
    MIDNIGHT,
    SITE,
    WEEK,
    each_of,
    fits,
    make_record,
    make_records,
    page,
    raw_rows,
    record,
    rows_once,
)

engine_name = each_of(*ENGINES)

CONSUME, ERROR = int(LogType.CONSUME), int(LogType.ERROR)


def query(span: IdRange = EVER, scope: Scope = SITE, **values: Any) -> Query:
    return Query(scope, Filters(values), span)


def count(store: LogStore, *args: Any, **kwargs: Any) -> int:
    asked = query(*args, **kwargs)
    return page(store, scope=asked.scope, filters=asked.filters, span=asked.range).total


def statistics(
    store: LogStore, *, scope: Scope = SITE, asked: int = CONSUME, **values: Any
) -> dict[str, int]:
    return store.statistics(scope, Filters(values), EVER, asked=asked)


@pytest.fixture(scope="module")
def busy(module_store: LogStore) -> LogStore:
    """A store with rows scattered over three days."""
    if not raw_rows(module_store):
        module_store.record(make_records(1500))
    return module_store


# Cutting a range into parts


def cut(span: IdRange, **kwargs: Any) -> list[tuple[Any, ...]]:
    return [
        (
            part.rung.table.name.removeprefix("log_"),
            part.rung.seconds,
            *map(ids.second_of, (part.low, part.high)),
        )
        for part in queries.parts(span, query(span, **kwargs).ladder)
    ]


def test_a_long_range_is_cut_from_coarse_to_fine_with_rows_at_its_edges() -> None:
    week = MIDNIGHT - MIDNIGHT % WEEK
    low, high = week - DAY - 9 * HOUR - 910, week + WEEK + 2 * DAY + 8 * HOUR + 2 * HOUR + 900 + 10

    assert cut(ids.between(low, high - 1)) == [
        ("records", 0, low, low + 10),
        ("usage_site", 900, low + 10, low + 910),
        ("usage_site", HOUR, low + 910, week - DAY - 8 * HOUR),
        ("usage_site", 8 * HOUR, week - DAY - 8 * HOUR, week - DAY),
        ("usage_site", DAY, week - DAY, week),
        ("usage_site", WEEK, week, week + WEEK),
        ("usage_site", DAY, week + WEEK, week + WEEK + 2 * DAY),
        ("usage_site", 8 * HOUR, week + WEEK + 2 * DAY, week + WEEK + 2 * DAY + 8 * HOUR),
        ("usage_site", HOUR, high - 910 - 2 * HOUR, high - 910),
        ("usage_site", 900, high - 910, high - 10),
        ("records", 0, high - 10, high),
    ]


def test_a_short_range_is_answered_by_rows() -> None:
    assert cut(ids.between(MIDNIGHT + 10, MIDNIGHT + 899)) == [("records", 0, MIDNIGHT + 10, MIDNIGHT + 900)]


def test_buckets_answer_only_what_they_know() -> None:
    whole_day = ids.between(MIDNIGHT, MIDNIGHT + DAY - 1)

    assert [name for name, *_ in cut(whole_day, model_name="x")] == ["usage_site"]
    assert [name for name, *_ in cut(whole_day, username="x")] == ["usage_hourly"]
    assert [name for name, *_ in cut(whole_day, scope=Scope.user(1))] == ["usage_hourly"]
    assert [name for name, *_ in cut(whole_day, ip="x")] == ["records"]


def test_an_open_range_needs_no_raw_rows() -> None:
    assert [name for name, *_ in cut(EVER)] == ["usage_site"]
    assert [name for name, *_ in cut(EVER, username="x")] == ["usage_hourly"]


@pytest.mark.parametrize(
    "span",
    [
        IdRange(0, 0),
        IdRange(10, 5),
        ids.between(2**40, 0),
        ids.between(200, 100),
        ids.between(0, -1),
    ],
)
def test_an_empty_range_holds_nothing(busy: LogStore, span: IdRange) -> None:
    assert count(busy, span) == 0
    assert count(busy, span, ip="10.0.0.1") == 0
    assert set(busy.statistics(SITE, ALL, span, asked=CONSUME).values()) == {0}


# Counts


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 0),
        (MIDNIGHT - DAY, MIDNIGHT - 1),
        (MIDNIGHT - DAY + 1, MIDNIGHT),
        (MIDNIGHT - DAY - 1, MIDNIGHT - 2),
        (MIDNIGHT - HOUR, MIDNIGHT - 1),
        (MIDNIGHT - HOUR + 1, MIDNIGHT - 1),
        (MIDNIGHT - 2 * HOUR + 60, MIDNIGHT - 60),
        (MIDNIGHT - 2 * DAY - 5000, MIDNIGHT - 5000),
        (0, MIDNIGHT - 40_000),
        (MIDNIGHT - 40_000, 0),
    ],
)
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"type": 4},
        {"model_name": "gpt%"},
        {"username": "bob", "group": "vip"},
        {"ip": "10.0.0.1", "model_name": "claude"},
        {"request_id": "r-1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("scope", [SITE, Scope.tokens([7]), Scope.tokens([7, 8]), Scope.tokens([])], ids=str)
def test_a_count_is_that_of_the_rows(
    busy: LogStore, start: int, end: int, values: dict[str, Any], scope: Scope
) -> None:
    span = ids.between(start, end)
    expected = [row for row in rows_once(busy) if fits(row, filters=Filters(values), scope=scope, span=span)]

    assert count(busy, span, scope, **values) == len(expected)


def test_a_count_does_not_read_the_log_where_buckets_can_answer(store: LogStore) -> None:
    store.record([make_record(), make_record(created_at=MIDNIGHT - DAY)])
    # The newest row is looked for, so that one stays.
    older = records.c.id < ids.first_id(MIDNIGHT)
    store.write(lambda connection: connection.execute(records.delete().where(older)))

    assert count(store) == 2
    assert count(store, ids.between(MIDNIGHT - DAY, MIDNIGHT - 1), username="alice") == 1


# Statistics


def test_quota_and_tokens_follow_the_type_and_requests_do_not(store: LogStore) -> None:
    record(
        store,
        {"type": "consume", "quota": 5, "prompt_tokens": 1, "completion_tokens": 2, "cached_tokens": 3},
        {"type": "consume", "quota": 7, "prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 30},
        {"type": "error", "quota": 100, "prompt_tokens": 4},
        {"type": "topup", "quota": 1000},
        {"type": "refund", "quota": -3},
    )
    calls = {"requests": 3, "errors": 1, "rpm": 0, "tpm": 0}

    assert statistics(store) == {
        "quota": 12,
        "prompt_tokens": 11,
        "completion_tokens": 22,
        "cached_tokens": 33,
        **calls,
    }
    none = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
    assert statistics(store, asked=ERROR) == {**none, "quota": 100, "prompt_tokens": 4, **calls}
    assert statistics(store, asked=6) == {**none, "quota": -3, **calls}


def test_a_type_filter_does_not_hide_requests_and_errors(store: LogStore) -> None:
    record(store, {"type": "consume", "quota": 5}, {"type": "error"}, {"type": "topup", "quota": 9})

    found = statistics(store, asked=1, type=1)

    assert (found["quota"], found["requests"], found["errors"]) == (9, 2, 1)


def test_of_an_empty_log_every_figure_is_zero(store: LogStore) -> None:
    assert statistics(store) == {**{stat.name: 0 for stat in STATS}, "rpm": 0, "tpm": 0}


def test_sums_beyond_32_bits_and_of_the_largest_values_stay_integers(store: LogStore) -> None:
    record(store, *[{"quota": 10**12, "prompt_tokens": 10**10} for _ in range(20)])

    found = statistics(store)

    assert found["quota"] == 20 * 10**12
    assert found["prompt_tokens"] == 20 * 10**10
    assert {type(value) for value in found.values()} == {int}


@pytest.mark.parametrize("days", [1, 40])
def test_sums_are_the_same_from_hours_and_from_days(store: LogStore, days: int) -> None:
    store.record(make_records(300, days=days, username="alice"))

    assert statistics(store) == statistics(store, username="alice")


# Rates


def test_rates_look_at_the_last_sixty_seconds_only(open_store: Any) -> None:
    store = open_store(clock=lambda: MIDNIGHT + 0.5)
    record(
        store,
        *(
            {"created_at": MIDNIGHT + second, "prompt_tokens": 2, "completion_tokens": 3}
            for second in range(-200, 200)
        ),
    )

    found = statistics(store)

    assert found["rpm"] == 60
    assert found["tpm"] == 300


def test_rates_follow_type_filters_and_scope(open_store: Any) -> None:
    store = open_store(clock=lambda: MIDNIGHT)
    record(
        store,
        {"user_id": 1, "model_name": "a", "prompt_tokens": 1},
        {"user_id": 1, "model_name": "b", "prompt_tokens": 2},
        {"user_id": 2, "model_name": "a", "completion_tokens": 4},
        {"user_id": 2, "model_name": "a", "type": "error", "prompt_tokens": 8},
    )

    def rates(**kwargs: Any) -> tuple[int, int]:
        found = statistics(store, **kwargs)
        return found["rpm"], found["tpm"]

    assert rates() == (3, 7)
    assert rates(asked=ERROR) == (1, 8)
    assert rates(model_name="a") == (2, 5)
    assert rates(scope=Scope.user(1)) == (2, 3)


def test_rates_do_not_follow_the_range(open_store: Any) -> None:
    store = open_store(clock=lambda: MIDNIGHT)
    record(store, {"prompt_tokens": 5})

    found = store.statistics(SITE, ALL, ids.between(0, MIDNIGHT - DAY), asked=CONSUME)

    assert (found["quota"], found["rpm"], found["tpm"]) == (0, 1, 5)


def test_buckets_have_a_column_for_every_stat() -> None:
    assert {stat.measure for stat in STATS} <= set(hourly.c.keys()) & set(site.c.keys())
