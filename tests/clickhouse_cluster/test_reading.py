"""What is read of a cluster is what its rows say by plain Python, through whichever node."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from logservice.store import ids
from logservice.store.clickhouse import ids as process_ids
from logservice.store.clickhouse.store import ClickHouseStore
from logservice.store.filters import Filters
from logservice.store.log_types import REQUEST_TYPES
from logservice.store.pages import Cursor
from logservice.store.queries import Query
from logservice.store.scope import Scope
from logservice.store.usage import Grouping
from tests.clickhouse_cluster.conftest import OpenStore
from tests.clickhouse_cluster.copies import all_rows, as_fields
from tests.clickhouse_cluster.servers import Cluster
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    FIELDS,
    MIDNIGHT,
    NOW,
    SITE,
    contents,
    fits,
    make_record,
    make_records,
    page,
    row_ids,
)

pytestmark = pytest.mark.clickhouse

EVERYTHING = Query(SITE, ALL, EVER)


@pytest.fixture
def busy(store: ClickHouseStore) -> ClickHouseStore:
    """A store with rows of three users, who lie on both shards, scattered over three days."""
    store.record(make_records(400))
    return store


def test_rows_are_read_from_every_node_as_they_were_recorded(
    cluster: Cluster, open_store: OpenStore, busy: ClickHouseStore
) -> None:
    rows = all_rows(cluster, busy)
    recorded = [record.row | {"created_at": record.second} for record in make_records(400)]
    told = ("created_at", "type", "username", "model_name", "quota", "use_time_ms", "request_id")
    assert Counter(tuple(row[name] for name in told) for row in rows) == Counter(
        tuple(row[name] for name in told) for row in recorded
    )

    for node in cluster.nodes:
        found = page(open_store([node]), page=3, page_size=50)
        assert (found.total, found.rows) == (400, as_fields(rows)[100:150])


FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"username": "alice"},
    {"model_name": "gpt-4o%", "type": 2},
    {"types": (1, 4), "group": "vip", "ip": "10.0.0.1"},
    {"request_id": "r-1", "channel": 2},
    {"username": "nobody"},
)


def test_pages_counts_and_totals_are_those_of_the_rows(cluster: Cluster, busy: ClickHouseStore) -> None:
    rows = all_rows(cluster, busy)
    owner = rows[0]["user_id"]
    spans = (EVER, ids.between(MIDNIGHT - 2 * DAY + 1234, MIDNIGHT - 5000))
    for values in FILTERS:
        for scope in (SITE, Scope.user(owner), Scope.tokens([7])):
            for span in spans:
                asked: dict[str, Any] = {"filters": Filters(values), "scope": scope, "span": span}
                seen = [row for row in rows if fits(row, **asked)]
                found = page(busy, **asked, page=2, page_size=10)
                assert (found.total, found.rows) == (len(seen), as_fields(seen)[10:20])
                days = Counter(row["created_at"] // DAY for row in seen)
                counted = busy.counted(Query(scope, Filters(values), span), DAY)
                assert [one.rows for one in counted] == [days[day] for day in sorted(days, reverse=True)]


def test_rows_beside_a_cursor_are_those_next_to_it(cluster: Cluster, busy: ClickHouseStore) -> None:
    rows = all_rows(cluster, busy)
    middle = rows[200]["id"]

    older = busy.beside(SITE, ALL, EVER, Cursor(before=middle), fields=FIELDS, limit=20)
    newer = busy.beside(SITE, ALL, EVER, Cursor(after=middle), fields=FIELDS, limit=20)

    assert (older.total, older.rows) == (400, as_fields(rows[180:200]))
    assert (newer.total, newer.rows) == (400, as_fields(rows[201:221]))


def test_statistics_and_usage_are_sums_over_all_shards(cluster: Cluster, busy: ClickHouseStore) -> None:
    rows = all_rows(cluster, busy)
    consumed = [row for row in rows if row["type"] == 2]
    requests = [row for row in rows if row["type"] in REQUEST_TYPES]

    found = busy.statistics(SITE, ALL, EVER, asked=2)
    groups = busy.usage(EVERYTHING, Grouping(("username", "model_name")), asked=2).groups

    summed = ("quota", "prompt_tokens", "completion_tokens", "cached_tokens")
    assert {name: found[name] for name in summed} == {
        name: sum(row[name] for row in consumed) for name in summed
    }
    assert found["requests"] == len(requests)
    assert found["errors"] == sum(row["type"] == 4 for row in rows)
    assert {(one["username"], one["model_name"]): one["quota"] for one in groups} == {
        key: sum(row["quota"] for row in consumed if (row["username"], row["model_name"]) == key)
        for key in {(row["username"], row["model_name"]) for row in requests}
    }


def test_a_keyword_is_found_on_every_shard(cluster: Cluster, store: ClickHouseStore) -> None:
    said = ["50% off", "50 off", "STRASSE 7", "Straße 7", "a 'quoted' \\ one", ""]
    store.record([make_record(user_id=user, content=text) for text in said for user in (1, 2)])

    assert len(all_rows(cluster, store)) == 12

    def found(keyword: str) -> list[str]:
        rows = store.search(SITE, ALL, EVER, keyword, fields=("content",), limit=10)
        return sorted(contents(rows))

    assert found("50%") == ["50% off"] * 2
    assert found("straße") == ["STRASSE 7"] * 2 + ["Straße 7"] * 2
    assert found("'QUOTED' \\") == ["a 'quoted' \\ one"] * 2


def test_an_export_goes_through_all_shards_in_order(cluster: Cluster, busy: ClickHouseStore) -> None:
    rows = all_rows(cluster, busy)

    batches = [row.id for some in busy.batches(EVERYTHING, fields=("id",)) for row in some]
    lines = b"".join(busy.lines(EVERYTHING, fields=("id",)))

    assert batches == row_ids(rows)
    assert lines == b"".join(b'{"id":%d}\n' % row_id for row_id in row_ids(rows))


def test_the_highest_ids_of_a_slice_are_those_of_all_shards(cluster: Cluster, store: ClickHouseStore) -> None:
    seconds = [MIDNIGHT - 3, MIDNIGHT - 2, MIDNIGHT - 1]
    store.record(
        [
            make_record(user_id=user, created_at=second)
            for second in seconds
            for user in range(1, 2 + second % 5)
        ]
    )
    rows = all_rows(cluster, store)
    values = {"seconds": tuple(seconds[:2]), "low": seconds[0], "high": seconds[1], "number": 15}

    found = store.sessions.read(lambda reader: process_ids._highest_of(reader, values))
    none = store.sessions.read(lambda reader: process_ids._highest_of(reader, values | {"number": 1}))

    expected = {second: max(row["id"] for row in rows if row["created_at"] == second) for second in seconds}
    assert dict(found) == {second: expected[second] for second in seconds[:2]}
    assert none == []


def test_another_process_of_that_number_goes_on_behind_all_shards(
    cluster: Cluster, open_store: OpenStore
) -> None:
    places = []
    for day in range(3):
        one = open_store(clock=lambda at=NOW + day * DAY: at)
        one.record([make_record(user_id=day + user) for user in (1, 2)])
        one.close()
        places = [row_id - ids.first_id(MIDNIGHT) for row_id in row_ids(all_rows(cluster, one))]

    assert places == [15 * process_ids.SLICE + place for place in range(6)]
