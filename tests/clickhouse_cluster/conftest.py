"""Stores whose rows lie on a real cluster, in a database of its own for each test.

The store itself runs here, with its own statements, nodes and blocks, on two shards of two replicas each.
The servers are of version 18.16, for which `driver.py` translates. Verified here is what a cluster adds:
tables on every server, rows on the shard of their user and on both its replicas, answers put together from
all shards, other nodes in place of one that is gone, blocks that come again, and deletions on every server.

What that version does not know runs on the engine of today alone, in the process of its tests
(`tests/store/test_clickhouse.py`): codecs, skip indexes, LowCardinality and Bool; usage by intervals and the
largest groups; the token that a block is known by, for here it is known by its rows; DELETE FROM, for here it
is ALTER TABLE ... DELETE; and CHECK TABLE. That engine also reads what the servers of a cluster are told.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from logservice.store.clickhouse.store import ClickHouseStore
from tests.clickhouse_cluster.driver import Dialect, Driver
from tests.clickhouse_cluster.servers import HOST, NAME, Cluster, Node, private
from tests.private_servers import required
from tests.store_rows import NOW
from tests.stores import open_log

OpenStore = Callable[..., ClickHouseStore]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def servers() -> Iterator[Cluster]:
    """A cluster for all tests of this process."""
    with required(private()) as cluster:
        yield cluster


@pytest.fixture
def cluster(servers: Cluster) -> Iterator[Cluster]:
    """The same, all of whose servers run again after a test and do what the cluster is told."""
    yield servers
    servers.revive()


@pytest.fixture
def open_store(cluster: Cluster, tmp_path: Path) -> Iterator[OpenStore]:
    """Open stores on a database of this test: `open_store(nodes)` knows these servers, else all of them."""
    database = f"test_{next(_numbers)}"
    stores: list[ClickHouseStore] = []

    def open_store(nodes: Sequence[Node] = cluster.nodes, **settings: Any) -> ClickHouseStore:
        hosts = "&".join(f"host={HOST}:{node.port}" for node in nodes)
        url = f"clickhouse:///{database}?{hosts}"
        store = open_log(url, tmp_path, cluster=NAME, **{"clock": lambda: NOW} | settings)
        assert isinstance(store, ClickHouseStore)
        store.sessions.driver = Driver(cluster)
        store.sessions.dialect = Dialect(paramstyle="pyformat")
        stores.append(store)
        return store

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> ClickHouseStore:
    """An empty store that knows all servers."""
    return open_store()
