"""Where rows of a cluster lie: on the shard of their user, and on both replicas of it."""

from __future__ import annotations

from collections import Counter

import pytest
from clickhouse_connect.driver.binding import finalize_query

from logservice.store.clickhouse import urls
from logservice.store.clickhouse.sessions import Sessions
from logservice.store.clickhouse.store import ClickHouseStore
from logservice.store.retention import Purge
from tests import clickhouse_engine
from tests.clickhouse_cluster.conftest import OpenStore
from tests.clickhouse_cluster.copies import shards
from tests.clickhouse_cluster.servers import NAME, REPLICAS, SHARDS, Cluster
from tests.store_rows import DAY, MIDNIGHT, NOW, contents, make_record

pytestmark = pytest.mark.clickhouse


def test_every_server_gets_the_tables(cluster: Cluster, store: ClickHouseStore) -> None:
    store.create()
    store.create()

    asked = f"SELECT name, engine FROM system.tables WHERE database = '{store.layout.database}' ORDER BY name"
    expected = [
        {"name": "log_records", "engine": "Distributed"},
        {"name": "log_records_local", "engine": "ReplicatedMergeTree"},
    ]
    assert [node.rows(asked) for node in cluster.nodes] == [expected] * SHARDS * REPLICAS


def test_the_engine_of_today_reads_what_servers_of_a_cluster_are_told(
    clickhouse: clickhouse_engine.Engine, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list(store.layout.statements())
    monkeypatch.setattr(store.sessions, "command", lambda statement, **_: told.append(statement))
    store.record([make_record(created_at=MIDNIGHT - 20 * DAY), make_record()])
    list(store.purge(Purge(MIDNIGHT - 14 * DAY)))
    list(store.purge(Purge(NOW, log_type=2)))
    engine = Sessions(urls.read(clickhouse.url("default"), ""), waiting_time=10)

    read = [
        engine.rows(finalize_query("SELECT formatQuery(%(told)s)", {"told": statement})) for statement in told
    ]

    assert len(told) > 4
    assert all(f"ON CLUSTER {NAME}" in text for [(text,)] in read)
    engine.dispose()


def test_a_row_lies_on_the_shard_of_its_user_and_there_on_both_replicas(
    cluster: Cluster, open_store: OpenStore
) -> None:
    stores = [open_store([node]) for node in cluster.nodes]
    stores[0].create()
    for place, store in enumerate(stores):
        store.record([make_record(user_id=user, content=f"{place} {user}") for user in range(1, 31)])

    found = shards(cluster, stores[0])

    assert [{row["user_id"] % SHARDS for row in rows} for rows in found] == [{0}, {1}]
    assert Counter(content for rows in found for content in contents(rows)) == Counter(
        f"{place} {user}" for place in range(len(stores)) for user in range(1, 31)
    )
