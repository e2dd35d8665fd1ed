"""Rows of a log on the cluster: as they are sent, as each server has them, and as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from logservice.store import ids
from logservice.store.clickhouse.recording import Block
from logservice.store.clickhouse.store import ClickHouseStore
from logservice.store.clickhouse.tables import COLUMNS, quoted
from tests.clickhouse_cluster.servers import SHARDS, Cluster, Node
from tests.processes import eventually
from tests.store_rows import FIELDS, MIDNIGHT, Row, make_record


def rows_on(node: Node, store: ClickHouseStore) -> list[Row]:
    """Return the rows that a server has itself, oldest first, by the columns of their table."""
    names = ", ".join(map(quoted, COLUMNS))
    table = f"{quoted(store.layout.database)}.{quoted(store.layout.stored)}"
    return node.rows(f"SELECT {names} FROM {table} ORDER BY id, content")


def shards(cluster: Cluster, store: ClickHouseStore) -> list[list[Row]]:
    """Return the rows of each shard, once those of its servers that run have come to hold the same."""
    return [_agreed(cluster.shard(number), store) for number in range(1, SHARDS + 1)]


def all_rows(cluster: Cluster, store: ClickHouseStore) -> list[Row]:
    """Return the rows of all shards, oldest first, once replicas have come to hold the same."""
    return sorted((row for rows in shards(cluster, store) for row in rows), key=lambda row: row["id"])


def _agreed(replicas: list[Node], store: ClickHouseStore) -> list[Row]:
    copies: list[list[Row]] = []

    def agree() -> bool:
        copies[:] = [rows_on(node, store) for node in replicas if node.is_running]
        return all(copy == copies[0] for copy in copies)

    assert eventually(agree), f"replicas hold {[len(copy) for copy in copies]} rows"
    return copies[0]


def bring_back(cluster: Cluster, gone: Node, store: ClickHouseStore) -> None:
    """Start a server that was killed, once nobody takes it for running any more.

    One that is started earlier finds itself taken for a second one of its kind, and looks again 10 s later.
    """
    place = f"/clickhouse/tables/{gone.shard}/{store.layout.database}/log_records/replicas/{gone.replica}"
    asked = f"SELECT name FROM system.zookeeper WHERE path = '{place}' AND name = 'is_active'"
    running = next(node for node in cluster.nodes if node.is_running)
    assert eventually(lambda: not running.rows(asked)), "a server that was killed counts as running"
    gone.process.start()


def make_block(number: int, *, second: int = MIDNIGHT, content: str = "") -> Block:
    """Return a block of rows of as many users, as the store would send it."""
    rows = []
    for place in range(number):
        row = make_record(user_id=place + 1, content=content).row
        stored = {"id": ids.first_id(second) + place, "created_at": second, "folded": ""}
        rows.append({name: stored[name] if name in stored else row[name] for name in COLUMNS})
    return Block(rows, f"{content} {second}")


def send(store: ClickHouseStore, block: Block) -> None:
    """Store a block as the store does."""
    store._recorder.send(block)


def as_fields(rows: Sequence[Row]) -> list[Row]:
    """Return rows, newest first, with the fields that can be asked for."""
    derived = [
        {**row, "use_time": row["use_time_ms"] // 1000, "channel": row["channel_id"]} for row in rows[::-1]
    ]
    return [{name: row[name] for name in FIELDS} for row in derived]
