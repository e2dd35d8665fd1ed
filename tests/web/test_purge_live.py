"""A purge of a real service goes on to its end, whoever goes away, and everybody sees how far it is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from logservice.store import records
from tests.serving import TOKENS, Service, open_store, send, serving
from tests.store_rows import SQL_ENGINES

# Two processes share the database, and the embedded engine of ClickHouse has one.
pytestmark = SQL_ENGINES

WEEK = 7 * 86400
#: As many transactions, for rows of different weeks never go in one.
WEEKS = 300


@pytest.fixture
def service(db_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service of two processes with a row in each of many weeks."""
    with serving(tmp_path, url=db_url) as found:
        with closing(open_store(db_url)) as store:
            now = time.time()
            events = ({"created_at": int(now) - week * WEEK} for week in range(1, WEEKS + 1))
            store.record([records.from_mapping(event, now=now) for event in events])
        yield found


@pytest.fixture
def client_that_leaves(service: Service) -> Iterator[Callable[[], None]]:
    """Ask for a purge of everything, and hand on what hangs up."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        request = (
            f"DELETE /api/log/?target_timestamp={int(time.time())} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {TOKENS['root']}\r\n\r\n"
        )
        connection.sendall(request.encode())
        yield connection.close


def until(service: Service, wanted: Callable[[Any], bool]) -> Any:
    """Return the progress of the purge once it is as wanted, asking either process."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = service.get("/api/log/purge")
        if wanted(found):
            return found
        time.sleep(0.005)
    raise TimeoutError("the purge did not get there within a minute")


def rows_left(service: Service) -> int:
    total: int = service.get("/api/log/")["total"]
    return total


def test_a_purge_goes_on_when_its_client_hangs_up(
    service: Service, client_that_leaves: Callable[[], None]
) -> None:
    seen = until(service, lambda found: found["running"] and found["deleted"] > 0)
    client_that_leaves()
    assert seen["deleted"] + seen["to_go"] == WEEKS
    assert seen["to_go"] > 0, "the purge was done before the client left"

    until(service, lambda found: not found["running"])

    assert rows_left(service) == 0
    with closing(service.open()) as connection:
        path = f"/api/log/?target_timestamp={int(time.time())}"
        assert send(connection, "DELETE", path) == (200, {"success": True, "message": "", "data": 0})


def test_a_purge_by_command_is_seen_by_the_service_and_keeps_others_out(
    service: Service, db_url: str
) -> None:
    environ = {
        **os.environ,
        "LOGSERVICE_DATABASE_URL": db_url,
        "LOGSERVICE_INSTANCE_PATH": str(service.folder),
    }
    command = [sys.executable, "-m", "logservice", "purge", "--before", "1h", "--keep-usage"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as purge:
        seen = until(service, lambda found: found["running"])
        with closing(service.open()) as connection:
            status, answer = send(connection, "DELETE", f"/api/log/?target_timestamp={int(time.time())}")
        said, _ = purge.communicate(timeout=180)

    assert (seen["type"], seen["keep_usage"]) == (None, True)
    assert (status, "purge is running already" in answer["message"]) == (409, True)
    assert (purge.returncode, said.split(" rows")[0]) == (0, f"Deleted {WEEKS}")
    assert service.get("/api/log/purge") == {"running": False}
