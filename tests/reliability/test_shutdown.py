"""SIGTERM: what was accepted is answered, what was acknowledged is there, and then the service ends.

How it goes with clients that post on and on, `test_kills.py` shows among other ends.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from sqlalchemy import select, text

from logservice.store import tables
from logservice.store.store import LogStore
from tests.serving import TOKENS, Service, open_store, send, serving
from tests.store_rows import buckets, rebuilt

CLIENTS = 8
HEADERS = {"Authorization": f"Bearer {TOKENS['gateway']}", "Content-Type": "application/json"}


@contextmanager
def nobody_may_write(store: LogStore) -> Iterator[None]:
    """Keep the service from committing anything during the block."""
    with store.dialect.turn(), ExitStack() as stack:
        if not store.dialect.one_writer:
            connection = stack.enter_context(store.engine.connect())
            connection.execute(text("LOCK TABLE log_records IN ACCESS EXCLUSIVE MODE"))
            stack.callback(connection.rollback)
        yield


def stop(service: Service) -> None:
    """Send SIGTERM, and return once the service knows."""
    service.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 30
    while "Handling signal: term" not in service.printed():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_all_there(store: LogStore, acknowledged: set[str]) -> None:
    """Check that every acknowledged event was stored once, and no other."""
    with store.reading() as connection:
        stored = list(connection.scalars(select(tables.records.c.request_id)))
    assert sorted(stored) == sorted(acknowledged)
    assert buckets(store) == rebuilt(store)


def test_requests_under_way_are_answered_and_what_they_wrote_is_there(tmp_path: Path, db_url: str) -> None:
    with (
        serving(tmp_path, workers=2, url=db_url) as service,
        closing(open_store(db_url)) as store,
        ExitStack() as stack,
    ):
        connections = [stack.enter_context(closing(service.open())) for _ in range(CLIENTS)]
        for number, connection in enumerate(connections):
            event = {"request_id": f"before-{number}"}
            assert send(connection, "POST", "/api/log/", user="gateway", body=event)[0] == 200
        with nobody_may_write(store):
            for number, connection in enumerate(connections):
                event = {"request_id": f"waiting-{number}"}
                connection.request("POST", "/api/log/", json.dumps(event), HEADERS)
            stop(service)
        for connection in connections:
            with connection.getresponse() as answer:
                assert (answer.status, json.loads(answer.read())["data"]["accepted"]) == (200, 1)
        assert service.process.wait(timeout=40) == 0
        names = {f"{when}-{number}" for when in ("before", "waiting") for number in range(CLIENTS)}
        assert_all_there(store, names)
