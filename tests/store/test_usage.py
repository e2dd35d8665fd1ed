"""Usage by groups and intervals equals what adding up the rows one by one gives, in every zone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logservice.errors import InvalidValue
from logservice.store import ids, intervals
from logservice.store.filters import Filters
from logservice.store.ids import IdRange
from logservice.store.log_types import REQUEST_TYPES
from logservice.store.queries import Query
from logservice.store.retention import Purge
from logservice.store.scope import Scope
from logservice.store.stats import USAGE
from logservice.store.store import LogStore
from logservice.store.tables import DIMENSIONS
from logservice.store.usage import Grouping, Usage
from tests.calendars import start_of
from tests.store_rows import (
    ALL,
    DAY,
    ENGINES,
    EVER,
    HOUR,
    MIDNIGHT,
    SITE,
    each_of,
    empty,
    fits,
    make_record,
    raw_rows,
)

engine_name = each_of(*ENGINES)

Groups = dict[tuple[Any, ...], dict[str, int]]
FIGURES = tuple(stat.name for stat in USAGE)
ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/New_York",
    "Africa/Casablanca",
    "Pacific/Chatham",
)

#: Seconds in 2023 at which clocks were put forward or back somewhere, or a month begins.
TURNS = (
    1_679_191_200,  # 19 March 02:00, Casablanca
    1_680_361_200,  # 1 April 15:00, Lord Howe, half an hour back
    1_696_087_800,  # 30 September 15:30, Lord Howe, half an hour forward
    1_698_777_900,  # 31 October 18:45, Kathmandu is half an hour into November
    1_699_164_000,  # 5 November 06:00, New York
    MIDNIGHT,
)
moments = st.builds(
    lambda turn, hours, quarters, more: turn + hours * HOUR + quarters * 900 + more,
    st.sampled_from(TURNS),
    st.integers(-30, 10),
    st.integers(-4, 4),
    st.sampled_from((-1, 0, 0, 1, 59, 450)),
)
quarters = moments.map(lambda second: second - second % 900)
events = st.fixed_dictionaries(
    {
        "created_at": moments,
        "type": st.sampled_from((1, 2, 2, 2, 4, 4, 6, 7)),
        "username": st.sampled_from(("alice", "bob", "ali%")),
        "token_id": st.integers(0, 2),
        "token_name": st.sampled_from(("", "laptop")),
        "model_name": st.sampled_from(("gpt-4o", "gpt-4o-mini", "")),
        "channel_id": st.integers(0, 1),
        "group": st.sampled_from(("", "vip")),
        "quota": st.integers(-1000, 10**12),
        "prompt_tokens": st.integers(0, 10**10),
        "completion_tokens": st.integers(0, 100),
        "cached_tokens": st.integers(0, 100),
        "use_time_ms": st.integers(0, 10**6),
        "ip": st.sampled_from(("", "::1")),
        "request_id": st.sampled_from(("", "r-1")),
    }
)
logs = st.lists(events, max_size=30)
dimensional = {
    "type": st.integers(1, 7),
    "username": st.sampled_from(("alice", "ali%", "nobody")),
    "token_name": st.sampled_from(("laptop", "lap%")),
    "model_name": st.sampled_from(("gpt-4o", "gpt%")),
    "channel": st.integers(0, 2),
    "group": st.just("vip"),
}
rowwise = {"ip": st.just("::1"), "request_id": st.just("r-1")}
groupings = st.builds(
    lambda by, interval, zone: Grouping(tuple(by), interval, intervals.zone(zone)),
    st.lists(st.sampled_from(DIMENSIONS), max_size=3, unique=True),
    st.sampled_from(intervals.INTERVALS),
    st.sampled_from(ZONES),
)


def spans(edges: st.SearchStrategy[int]) -> st.SearchStrategy[IdRange]:
    """Ranges from one moment to just before another, either of them open at times."""
    edge = st.one_of(st.none(), edges)
    return st.builds(
        lambda low, high: IdRange().cut(*(end and ids.first_id(end) for end in (low, high))), edge, edge
    )


law = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def filled(store: LogStore, log: list[dict[str, Any]]) -> None:
    empty(store)
    store.record([make_record(**event) for event in log])


def scopes(store: LogStore) -> list[Scope]:
    owner = next((row["user_id"] for row in raw_rows(store)), 1)
    return [Scope.site(), Scope.user(owner), Scope.tokens([1, 2])]


def plain(rows: list[dict[str, Any]], grouping: Grouping, asked: int | None, **query: Any) -> Groups:
    """Add rows up one by one."""
    if asked is not None:
        query["filters"] = query["filters"].without("type")
    found: Groups = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    for row in rows:
        if fits(row, **query):
            start = None
            if grouping.interval != "none":
                start = start_of(row["created_at"], grouping.interval, grouping.tz)
            figures = found[start, *(row[name] for name in grouping.by)]
            for name, value in figures_of(row, asked).items():
                figures[name] += value
    return {key: figures for key, figures in found.items() if any(figures.values())}


def figures_of(row: dict[str, Any], asked: int | None) -> dict[str, int]:
    is_asked = asked in (None, row["type"])
    summed = {name: row[name] if is_asked else 0 for name in FIGURES if name in row}
    requests, errors = int(row["type"] in REQUEST_TYPES), int(row["type"] == 4)
    return {**summed, "rows": int(is_asked), "requests": requests, "errors": errors}


def by_key(usage: Usage, grouping: Grouping) -> Groups:
    """Return groups by start and dimensions, and check that each comes once, and the oldest first."""
    found: Groups = {}
    for group in usage.groups:
        start = group.get("start")
        found[start, *(group[name] for name in grouping.by)] = {name: group[name] for name in FIGURES}
        if start is not None:
            assert group["start_time"] == intervals.moment(start, grouping.tz)
    starts = [group.get("start", 0) for group in usage.groups]
    assert starts == sorted(starts)
    assert len(found) == len(usage.groups)
    return found


def ask(
    store: LogStore, grouping: Grouping, asked: int | None, *, scope: Scope, filters: Filters, span: IdRange
) -> Groups:
    return by_key(store.usage(Query(scope, filters, span), grouping, asked=asked), grouping)


@law
@given(
    log=logs,
    grouping=groupings,
    filters=st.fixed_dictionaries({}, optional={**dimensional, **rowwise}).map(Filters),
    span=spans(moments),
    asked=st.one_of(st.none(), st.integers(1, 7)),
)
def test_usage_equals_the_sums_of_the_rows(
    module_store: LogStore,
    log: list[dict[str, Any]],
    grouping: Grouping,
    filters: Filters,
    span: IdRange,
    asked: int | None,
) -> None:
    filled(module_store, log)
    rows = raw_rows(module_store)
    for scope in scopes(module_store):
        query: dict[str, Any] = {"scope": scope, "filters": filters, "span": span}
        assert ask(module_store, grouping, asked, **query) == plain(rows, grouping, asked, **query)


@law
@given(
    log=logs,
    grouping=groupings,
    filters=st.fixed_dictionaries({}, optional=dimensional).map(Filters),
    span=spans(quarters),
    before=moments,
    asked=st.one_of(st.none(), st.integers(1, 7)),
)
def test_usage_is_the_same_after_a_purge_that_keeps_it_and_rows_are_those_that_are_left(
    module_store: LogStore,
    log: list[dict[str, Any]],
    grouping: Grouping,
    filters: Filters,
    span: IdRange,
    before: int,
    asked: int | None,
) -> None:
    filled(module_store, log)
    rows, asking = raw_rows(module_store), scopes(module_store)
    list(module_store.purge(Purge(before, keep_usage=True), batch=3))
    left = raw_rows(module_store)
    for scope in asking:
        query: dict[str, Any] = {"scope": scope, "filters": filters, "span": span}
        expected = plain(rows, grouping, asked, **query)
        present = plain(left, grouping, asked, **query)
        for key, figures in expected.items():
            figures["rows"] = present[key]["rows"] if key in present else 0
        expected = {key: figures for key, figures in expected.items() if any(figures.values())}
        assert ask(module_store, grouping, asked, **query) == expected
        assert module_store.usage(Query(scope, filters, span), grouping, asked=asked).is_exact


# What the laws do not reach


def test_an_edge_within_a_quarter_hour_of_kept_usage_is_told(store: LogStore) -> None:
    store.record([make_record(created_at=MIDNIGHT - second, quota=1) for second in (100, 800, 5000)])
    question = Query(SITE, ALL, ids.between(MIDNIGHT - 500, MIDNIGHT - 1))
    before = store.usage(question, Grouping(), asked=2)
    list(store.purge(Purge(MIDNIGHT, keep_usage=True)))
    after = store.usage(question, Grouping(), asked=2)

    assert (before.is_exact, [group["quota"] for group in before.groups]) == (True, [1])
    assert (after.is_exact, [group["quota"] for group in after.groups]) == (False, [2])


def test_an_edge_elsewhere_is_exact_whatever_was_kept(store: LogStore) -> None:
    store.record([make_record(created_at=MIDNIGHT - 5000), make_record(created_at=MIDNIGHT - 100)])
    list(store.purge(Purge(MIDNIGHT - 4000, keep_usage=True)))
    question = Query(SITE, ALL, ids.between(MIDNIGHT - 500, MIDNIGHT - 1))
    assert store.usage(question, Grouping(), asked=2).is_exact


def test_more_groups_than_are_wanted_are_refused(store: LogStore) -> None:
    store.record([make_record(model_name=name) for name in "abc"])
    question = Query(SITE, ALL, EVER)
    assert len(store.usage(question, Grouping(("model_name",), most=3), asked=2).groups) == 3
    with pytest.raises(InvalidValue, match=r"group_by: .* 2 groups"):
        store.usage(question, Grouping(("model_name",), most=2), asked=2)


@pytest.mark.parametrize(
    "span", [IdRange(0, 0), IdRange(10, 5), ids.between(2**40, 0), ids.between(200, 100)]
)
@pytest.mark.parametrize("interval", intervals.INTERVALS)
def test_an_empty_range_and_an_empty_log_have_no_usage(store: LogStore, span: IdRange, interval: str) -> None:
    assert store.usage(Query(SITE, ALL, EVER), Grouping((), interval), asked=2).groups == []
    store.record([make_record()])
    assert store.usage(Query(SITE, ALL, span), Grouping((), interval), asked=2).groups == []


def test_an_open_range_has_no_more_intervals_than_the_log(store: LogStore) -> None:
    store.record([make_record(created_at=MIDNIGHT - 2 * DAY), make_record(created_at=MIDNIGHT)])
    groups = store.usage(Query(SITE, ALL, EVER), Grouping((), "hour"), asked=2).groups
    assert [group["start"] for group in groups] == [MIDNIGHT - 2 * DAY, MIDNIGHT]


@pytest.mark.parametrize("interval", ["none", "day"])
def test_a_name_that_two_users_bore_is_the_usage_of_both(store: LogStore, interval: str) -> None:
    grouping = Grouping((), interval, intervals.zone("Asia/Kolkata"))
    question = Query(SITE, Filters({"username": "root"}), EVER)
    store.record([make_record(user_id=1, username="root", quota=1), make_record(username="bob", quota=100)])
    assert [group["quota"] for group in store.usage(question, grouping, asked=2).groups] == [1]
    store.record([make_record(user_id=5, username="root", quota=10)])
    assert [group["quota"] for group in store.usage(question, grouping, asked=2).groups] == [11]
