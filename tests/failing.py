"""What a client is told while the database fails, whichever way it does."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from logservice.store.store import LogStore
from logservice.store.tables import metadata
from tests.answers import assert_error
from tests.rows import ALICE, ALICE_KEY, GATEWAY, NOW, ROOT, make_event
from tests.store_rows import raw_rows
from tests.stores import rows_apart

#: Every read: path, headers, and the words of the specification for its failure.
READS = (
    ("/api/log/", ROOT, "获取日志失败"),
    ("/api/log/self", ALICE, "获取日志失败"),
    ("/api/log/export", ROOT, "获取日志失败"),
    ("/api/log/self/export?format=csv", ALICE, "获取日志失败"),
    (f"/api/log/token?key={ALICE_KEY}", {}, "获取日志失败"),
    ("/api/log/search?keyword=x", ROOT, "搜索日志失败"),
    ("/api/log/self/search?keyword=x", ALICE, "搜索日志失败"),
    ("/api/log/stat", ROOT, "获取统计信息失败"),
    ("/api/log/self/stat", ALICE, "获取统计信息失败"),
)


def everything(store: LogStore) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with store.reading() as connection:
        tables = metadata.sorted_tables
        found = {table.name: sorted(map(tuple, connection.execute(table.select()))) for table in tables}
    if rows_apart(store) is not None:
        found["log_records"] = [tuple(row.values()) for row in raw_rows(store)]
    return found


def assert_failing(client: FlaskClient, write: str = "") -> None:
    """Check that every read gives the words of the specification, and a write a cause."""
    for path, who, message in READS:
        answer = client.get(path, headers=who)
        assert assert_error(answer, 503, message) == message
        assert int(answer.headers["Retry-After"]) > 0
    assert_not_writing(client, write)


def assert_not_writing(client: FlaskClient, fragment: str) -> None:
    """Check that nothing can be written, and that the answer says why."""
    for answer in (
        client.post("/api/log/", json=make_event(), headers=GATEWAY),
        client.post("/api/log/", json=make_event(), headers={**GATEWAY, "Idempotency-Key": "k"}),
        client.delete(f"/api/log/?target_timestamp={NOW}", headers=ROOT),
    ):
        message = assert_error(answer, 503, fragment)
        assert int(answer.headers["Retry-After"]) > 0
        assert "SELECT" not in message
        assert "Error" not in message
