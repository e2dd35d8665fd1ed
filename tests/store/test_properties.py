"""Laws of the store under random rows: buckets equal rows, whatever the scope, the filters and the range."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logservice.store import ids
from logservice.store.filters import Filters
from logservice.store.ids import IdRange
from logservice.store.log_types import REQUEST_TYPES
from logservice.store.retention import Purge
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.store_rows import (
    DAY,
    ENGINES,
    HOUR,
    MIDNIGHT,
    buckets,
    each_of,
    empty,
    fits,
    make_record,
    page,
    raw_rows,
    rebuilt,
)

engine_name = each_of(*ENGINES)

USERS = ("alice", "bob", "ali%")
MODELS = ("gpt-4o", "gpt-4o-mini", "claude")

# Edges of hours and days are where sums go wrong, so most moments lie near one.
moments = st.builds(
    lambda day, hour, offset: MIDNIGHT - day * DAY - hour * HOUR + offset,
    st.integers(0, 3),
    st.integers(0, 23),
    st.sampled_from((-1, 0, 1, 899, 900, 1799, 3599)),
)
events = st.fixed_dictionaries(
    {
        "created_at": moments,
        "type": st.integers(1, 7),
        "username": st.sampled_from(USERS),
        "token_id": st.integers(0, 2),
        "token_name": st.sampled_from(("", "laptop")),
        "model_name": st.sampled_from(MODELS),
        "channel_id": st.integers(0, 2),
        "group": st.sampled_from(("", "vip")),
        "quota": st.integers(-1000, 10**12),
        "prompt_tokens": st.integers(0, 10**10),
        "completion_tokens": st.integers(0, 10**10),
        "cached_tokens": st.integers(0, 100),
        "ip": st.sampled_from(("", "::1")),
        "request_id": st.sampled_from(("", "r-1")),
    }
)
logs = st.lists(events, max_size=40)
queries = st.fixed_dictionaries(
    {},
    optional={
        "type": st.integers(1, 7),
        "username": st.sampled_from((*USERS, "%b%", "nobody")),
        "token_name": st.sampled_from(("laptop", "lap%")),
        "model_name": st.sampled_from((*MODELS, "gpt%", "%o")),
        "channel": st.integers(0, 3),
        "group": st.sampled_from(("vip", "none")),
        "ip": st.just("::1"),
        "request_id": st.just("r-1"),
    },
).map(Filters)
spans = st.builds(
    lambda start, end: ids.between(start, end), st.one_of(st.just(0), moments), st.one_of(st.just(0), moments)
)
SUMMED = ("quota", "prompt_tokens", "completion_tokens", "cached_tokens")

law = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def filled(store: LogStore, log: list[dict[str, Any]]) -> None:
    empty(store)
    store.record([make_record(**event) for event in log])


def expected(rows: list[dict[str, Any]], asked: int, **query: Any) -> dict[str, int]:
    """Compute the statistics from raw rows, one by one."""
    query["filters"] = query["filters"].without("type")
    seen = [row for row in rows if fits(row, **query)]
    typed = [row for row in seen if row["type"] == asked]
    sums = {name: sum(row[name] for row in typed) for name in SUMMED}
    requests = [row for row in seen if row["type"] in REQUEST_TYPES]
    return {**sums, "requests": len(requests), "errors": sum(row["type"] == 4 for row in requests)}


def scopes(store: LogStore) -> list[Scope]:
    owner = next((row["user_id"] for row in raw_rows(store)), 1)
    return [Scope.site(), Scope.user(owner), Scope.tokens([1]), Scope.tokens([1, 2]), Scope.tokens([])]


def check(store: LogStore, filters: Filters, span: IdRange) -> None:
    """Compare totals and statistics of every scope with those of the raw rows."""
    rows = raw_rows(store)
    asked = filters.get("type", 2)
    for scope in scopes(store):
        query = {"filters": filters, "scope": scope, "span": span}
        assert page(store, **query).total == sum(fits(row, **query) for row in rows)
        found = store.statistics(scope, filters, span, asked=asked)
        assert found | expected(rows, asked, **query) == found


@law
@given(log=logs, filters=queries, span=spans)
def test_totals_and_statistics_from_buckets_equal_those_from_rows(
    module_store: LogStore, log: list[dict[str, Any]], filters: Filters, span: IdRange
) -> None:
    filled(module_store, log)
    check(module_store, filters, span)


@law
@given(log=logs, filters=queries, span=spans, before=moments, kind=st.one_of(st.none(), st.integers(1, 7)))
def test_they_are_still_equal_after_a_purge(
    module_store: LogStore,
    log: list[dict[str, Any]],
    filters: Filters,
    span: IdRange,
    before: int,
    kind: int | None,
) -> None:
    filled(module_store, log)
    list(module_store.purge(Purge(before, log_type=kind), batch=3))
    check(module_store, filters, span)
    assert buckets(module_store) == rebuilt(module_store)


@law
@given(log=logs, filters=queries, before=moments)
def test_statistics_of_everything_outlive_a_purge_that_keeps_usage(
    module_store: LogStore, log: list[dict[str, Any]], filters: Filters, before: int
) -> None:
    filled(module_store, log)
    everything = ids.between()
    # What buckets do not know goes with the rows.
    filters = filters.dimensions_only()
    truth = [
        module_store.statistics(scope, filters, everything, asked=2) for scope in scopes(module_store)[::2]
    ]
    asked = scopes(module_store)[::2]
    list(module_store.purge(Purge(before, keep_usage=True), batch=3))
    kept = [module_store.statistics(scope, filters, everything, asked=2) for scope in asked]
    assert kept == truth


@law
@given(log=logs, cut=st.integers(0, 40))
def test_recording_in_two_halves_equals_recording_at_once(
    module_store: LogStore, log: list[dict[str, Any]], cut: int
) -> None:
    filled(module_store, log)
    at_once = buckets(module_store)
    empty(module_store)
    for half in (log[:cut], log[cut:]):
        module_store.record([make_record(**event) for event in half])
    assert _without_ids(buckets(module_store)) == _without_ids(at_once)


def _without_ids(tables: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Leave out user ids: they are given in the order in which names are met."""
    stripped = [[{k: v for k, v in row.items() if k != "user_id"} for row in table] for table in tables]
    return [sorted(table, key=lambda row: list(map(str, row.values()))) for table in stripped]
