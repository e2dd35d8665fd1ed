"""Usage of the largest groups and of all others equals what adding up the rows one by one gives."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from logservice.store import ids, intervals
from logservice.store.filters import Filters
from logservice.store.ids import IdRange
from logservice.store.largest import Largest
from logservice.store.queries import Query
from logservice.store.store import LogStore
from logservice.store.tables import DIMENSIONS
from logservice.store.usage import FIGURES, SIZES, Grouping
from tests.store.test_usage import Groups, dimensional, filled, law, logs, moments, plain, scopes, spans
from tests.store_rows import ALL, ENGINES, EVER, SITE, each_of, raw_rows, record

engine_name = each_of(*ENGINES)

wanted = st.builds(Largest, st.integers(1, 3), st.sampled_from(sorted(SIZES)))


def expected(found: Groups, only: Largest) -> list[tuple[Any, ...]]:
    """Return the start, the name and the figures of each group that an answer holds, in order."""
    wholes: dict[Any, dict[str, int]] = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    for (_, name), figures in found.items():
        wholes[name] = {figure: wholes[name][figure] + figures[figure] for figure in FIGURES}
    present = [name for name in wholes if any(wholes[name].values())]
    largest = sorted(present, key=lambda name: (-sum(wholes[name][of] for of in SIZES[only.size]), name))
    named = largest[: only.number]
    answer = []
    for start in sorted({start for start, _ in found}, key=lambda start: start or 0):
        left = dict.fromkeys(FIGURES, 0)
        for (begin, name), figures in found.items():
            if begin == start and name not in named:
                left = {figure: left[figure] + figures[figure] for figure in FIGURES}
        answer += [(start, name, found[start, name]) for name in named if (start, name) in found]
        answer += [(start, None, left)] if any(left.values()) else []
    return answer


@law
@given(
    log=logs,
    name=st.sampled_from(DIMENSIONS),
    interval=st.sampled_from(("none", "hour", "day", "week")),
    zone=st.sampled_from(("UTC", "Asia/Shanghai", "America/New_York")),
    filters=st.fixed_dictionaries({}, optional=dimensional).map(Filters),
    span=spans(moments),
    only=wanted,
)
def test_the_largest_and_all_others_equal_the_sums_of_the_rows(
    module_store: LogStore,
    log: list[dict[str, Any]],
    name: str,
    interval: intervals.Interval,
    zone: str,
    filters: Filters,
    span: IdRange,
    only: Largest,
) -> None:
    filled(module_store, log)
    rows = raw_rows(module_store)
    grouping = Grouping((name,), interval, intervals.zone(zone))
    for scope in scopes(module_store):
        query: dict[str, Any] = {"scope": scope, "filters": filters, "span": span}
        sums = plain(rows, grouping, 2, **query)
        found = module_store.usage(Query(scope, filters, span), grouping, asked=2, only=only)
        assert [
            (group.get("start"), group[name], {figure: group[figure] for figure in FIGURES})
            for group in found.groups
        ] == expected(sums, only)
        assert found.number == len({key[1] for key in expected(sums, Largest(10**6, only.size))})


def test_a_name_with_a_percent_sign_stands_for_itself_alone(store: LogStore) -> None:
    rows = [{"username": name, "quota": 10 + place} for place, name in enumerate(("alice", "ali%", "bob"))]
    record(store, *rows)
    asked = Query(SITE, ALL, EVER)

    found = store.usage(asked, Grouping(("username",), "day"), asked=2, only=Largest(2, "quota")).groups

    assert [(group["username"], group["quota"]) for group in found] == [("bob", 12), ("ali%", 11), (None, 10)]


def test_an_open_end_of_an_empty_log_has_no_groups(store: LogStore) -> None:
    store.create()
    span = ids.between(5)

    found = store.usage(Query(SITE, ALL, span), Grouping(("group",), "hour"), only=Largest(3, "tokens"))

    assert (found.groups, found.number) == ([], 0)
