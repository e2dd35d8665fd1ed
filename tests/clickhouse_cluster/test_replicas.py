"""Servers that lag or are killed: the log goes on without them, and loses and doubles nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from clickhouse_connect.dbapi import DatabaseError

from logservice.store.clickhouse.recording import Block
from logservice.store.clickhouse.store import ClickHouseStore
from tests.clickhouse_cluster.conftest import OpenStore
from tests.clickhouse_cluster.copies import all_rows, as_fields, bring_back, make_block, rows_on, send, shards
from tests.clickhouse_cluster.servers import Cluster
from tests.store_rows import DAY, MIDNIGHT, contents, make_record, make_records, page

pytestmark = pytest.mark.clickhouse


def until_answered(work: Callable[[], None], error: type[Exception]) -> None:
    """Do work again, as a client does, until it does not fail."""
    for _ in range(50):
        with suppress(error):
            work()
            return
        time.sleep(0.1)
    raise AssertionError("it failed 50 times")


def test_what_first_replicas_stored_is_read_at_once_through_every_node_though_the_others_lag(
    cluster: Cluster, open_store: OpenStore
) -> None:
    stores = [open_store([node]) for node in cluster.nodes]
    stores[0].create()
    second = [cluster.shard(number)[1] for number in (1, 2)]
    fetches = f"FETCHES {stores[0].layout.database}.{stores[0].layout.stored}"
    for node in second:
        node.ask(f"SYSTEM STOP {fetches}", settings={})

    for place, number in enumerate((1, 2), start=1):
        first = stores[cluster.nodes.index(cluster.shard(number)[0])]
        first.record([make_record(user_id=user) for user in range(1, 11)])
        assert [store.count_all() for store in stores] == [10 * place] * len(stores)

    assert [rows_on(node, stores[0]) for node in second] == [[], []]


def test_a_killed_replica_is_done_without_and_catches_up(
    cluster: Cluster, store: ClickHouseStore, caplog: pytest.LogCaptureFixture
) -> None:
    gone, _ = cluster.shard(1)
    store.record(make_records(200, content="before"))
    before = all_rows(cluster, store)

    gone.process.kill()

    with caplog.at_level(logging.WARNING, logger="logservice"):
        # So often that each of the nodes is the first one asked.
        for _ in range(2 * len(cluster.nodes)):
            store.sessions.dispose()
            assert page(store, page_size=200).rows == as_fields(before)
    assert "another node is asked" in caplog.text
    store.record(make_records(100, seed=1, content="meanwhile"))
    assert store.count_all() == len(all_rows(cluster, store)) == 300

    bring_back(cluster, gone, store)
    assert Counter(contents(all_rows(cluster, store))) == {"before": 200, "meanwhile": 100}


def test_a_block_that_comes_again_through_the_other_replica_is_stored_once(
    cluster: Cluster, store: ClickHouseStore
) -> None:
    store.create()
    block, month = make_block(20, content="lost answer"), 31 * DAY
    several = Block([*block.rows, *make_block(20, second=MIDNIGHT - month, content="lost answer").rows], "")
    send(store, several)
    assert len(all_rows(cluster, store)) == 40

    # What was answered by the first replicas comes to the second ones.
    for number in (1, 2):
        cluster.shard(number)[0].process.kill()
    send(store, several)
    send(store, make_block(20, content="another"))

    assert Counter(contents(all_rows(cluster, store))) == {"lost answer": 40, "another": 20}
    for number in (1, 2):
        bring_back(cluster, cluster.shard(number)[0], store)
    assert Counter(contents(all_rows(cluster, store))) == {"lost answer": 40, "another": 20}


def test_a_block_is_answered_once_it_is_on_all_its_shards_and_stored_once_when_it_comes_again(
    cluster: Cluster, store: ClickHouseStore
) -> None:
    store.create()
    for node in cluster.shard(2):
        node.process.kill()

    with pytest.raises(DatabaseError):
        send(store, make_block(20))

    for node in cluster.shard(2):
        bring_back(cluster, node, store)
    send(store, make_block(20))
    assert list(map(len, shards(cluster, store))) == [10, 10]


def test_no_answered_block_is_lost_or_doubled_when_a_replica_is_killed_while_blocks_come_in(
    cluster: Cluster, open_store: OpenStore
) -> None:
    gone, other = cluster.shard(2)
    # What is killed is in the middle of a block then: it is the one that the blocks are sent to.
    store = open_store([gone, other, *cluster.shard(1)])
    store.create()
    sent = threading.Semaphore(0)

    def keep_sending() -> None:
        for number in range(60):
            block = make_block(10, second=MIDNIGHT + number, content=str(number))
            until_answered(partial(send, store, block), DatabaseError)
            sent.release()

    sender = threading.Thread(target=keep_sending, daemon=True)
    sender.start()
    for _ in range(20):
        assert sent.acquire(timeout=30)
    gone.process.kill()
    sender.join(timeout=60)
    assert not sender.is_alive()
    bring_back(cluster, gone, store)

    assert Counter(contents(all_rows(cluster, store))) == {str(number): 10 for number in range(60)}
