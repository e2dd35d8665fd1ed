"""Purges on a cluster: what goes, goes on every server."""

from __future__ import annotations

from collections import Counter

import pytest

from logservice.errors import Unavailable
from logservice.store.clickhouse import sessions
from logservice.store.clickhouse.store import ClickHouseStore
from logservice.store.retention import Purge
from tests.clickhouse_cluster.copies import all_rows, as_fields, bring_back
from tests.clickhouse_cluster.servers import Cluster, Node
from tests.store_rows import ALL, DAY, EVER, MIDNIGHT, SITE, contents, make_records, page

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def two_months(cluster: Cluster, store: ClickHouseStore) -> ClickHouseStore:
    """A store with rows of October and of the days around the 15th of November."""
    store.record(make_records(100, content="october", created_at=MIDNIGHT - 20 * DAY))
    store.record(make_records(100, seed=1, content="november"))
    all_rows(cluster, store)
    return store


def partitions(cluster: Cluster, store: ClickHouseStore) -> list[set[str]]:
    """Return the months that each server has rows of."""
    asked = f"SELECT partition FROM system.parts WHERE active AND database = '{store.layout.database}'"
    return [{row["partition"] for row in node.rows(asked)} for node in cluster.nodes]


def test_a_whole_month_goes_by_dropping_its_partition_on_every_server(
    cluster: Cluster, two_months: ClickHouseStore
) -> None:
    assert partitions(cluster, two_months) == [{"202310", "202311"}] * 4

    november = MIDNIGHT - 14 * DAY
    assert sum(two_months.purge(Purge(november))) == 100

    assert Counter(contents(all_rows(cluster, two_months))) == {"november": 100}
    assert partitions(cluster, two_months) == [{"202311"}] * 4
    assert two_months.count_all() == 100


def test_rows_of_a_type_and_of_a_part_of_a_month_are_deleted_on_every_server(
    cluster: Cluster, two_months: ClickHouseStore
) -> None:
    before = all_rows(cluster, two_months)
    edge = MIDNIGHT - DAY - 1234

    number = sum(two_months.purge(Purge(edge, log_type=2)))

    left = [row for row in before if not (row["created_at"] < edge and row["type"] == 2)]
    assert number == len(before) - len(left) > 50
    assert all_rows(cluster, two_months) == left
    assert page(two_months, page_size=200).rows == as_fields(left)


@pytest.fixture
def impatient(two_months: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> ClickHouseStore:
    """The same store, which waits 3 seconds for servers that are to delete something."""
    monkeypatch.setitem(sessions._SETTINGS, "distributed_ddl_task_timeout", 3)
    two_months.sessions.dispose()
    return two_months


def test_a_purge_while_a_replica_is_away_hides_its_rows_and_deletes_them_when_it_is_back(
    cluster: Cluster, impatient: ClickHouseStore
) -> None:
    purge = Purge(MIDNIGHT - 14 * DAY)
    _, gone = cluster.shard(1)
    gone.process.kill()

    with pytest.raises(Unavailable):
        list(impatient.purge(purge))
    assert impatient.count_all() == 100

    bring_back(cluster, gone, impatient)
    assert sum(impatient.purge(purge)) == 0
    assert len(all_rows(cluster, impatient)) == 100
    assert partitions(cluster, impatient) == [{"202311"}] * 4
    assert impatient.count_all() == 100


def test_rows_and_their_kept_usage_never_count_both_while_replicas_lag(
    cluster: Cluster, impatient: ClickHouseStore
) -> None:
    truth = impatient.statistics(SITE, ALL, EVER, asked=2)
    purge = Purge(MIDNIGHT - 14 * DAY, keep_usage=True)
    queues = f"REPLICATION QUEUES {impatient.layout.database}.{impatient.layout.stored}"
    followers = [node for node in cluster.nodes if not is_leader(node, impatient)]
    for node in followers:
        node.ask(f"SYSTEM STOP {queues}", settings={})

    with pytest.raises(Unavailable):
        list(impatient.purge(purge))
    assert impatient.statistics(SITE, ALL, EVER, asked=2) == truth

    for node in followers:
        node.ask(f"SYSTEM START {queues}", settings={})
    list(impatient.purge(purge))
    assert impatient.statistics(SITE, ALL, EVER, asked=2) == truth
    assert Counter(contents(all_rows(cluster, impatient))) == {"november": 100}


def is_leader(node: Node, store: ClickHouseStore) -> bool:
    """Return whether a server is the one of its shard that changes are done on first."""
    asked = f"SELECT is_leader FROM system.replicas WHERE database = '{store.layout.database}'"
    return node.rows(asked) == [{"is_leader": 1}]


def test_usage_that_is_kept_stays_what_it_was(cluster: Cluster, two_months: ClickHouseStore) -> None:
    truth = two_months.statistics(SITE, ALL, EVER, asked=2)
    assert truth["requests"] > 0

    assert sum(two_months.purge(Purge(MIDNIGHT - DAY, keep_usage=True))) > 100

    assert two_months.statistics(SITE, ALL, EVER, asked=2) == truth
    assert len(all_rows(cluster, two_months)) < 100
