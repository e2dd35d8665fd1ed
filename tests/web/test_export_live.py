"""Exports from a real server: cut off in the middle and gone on with, beside posts, on both engines."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.conftest import Lend
from tests.serving import TOKENS, Service, open_store, send, serving
from tests.store_rows import SQL_ENGINES, make_records, raw_rows

# Two processes share the database, and the embedded engine of ClickHouse has one.
pytestmark = SQL_ENGINES

#: More rows than socket buffers hold: some 17 MB.
ROWS = 20_000
HALF = 2_500_000


@pytest.fixture(scope="module")
def db_url(lend: Lend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database that these tests share: they only add rows of zoe's."""
    with lend(tmp_path_factory.mktemp("export")) as url:
        yield url


@pytest.fixture(scope="module")
def service(db_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with many rows of few people, over some days."""
    with serving(tmp_path_factory.mktemp("service"), workers=2, url=db_url) as found:
        with closing(open_store(db_url)) as store:
            for seed in range(10):
                store.record(make_records(ROWS // 10, seed=seed, days=3, other={"note": "x" * 400}))
        yield found


@contextmanager
def asking(service: Service, query: str = "") -> Iterator[http.client.HTTPResponse]:
    """Begin an export, of which the client has read the headers and nothing else."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    with closing(connection):
        # Little room for what is not yet read, so that the server has to wait.
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.request(
            "GET", f"/api/log/export?{query}", headers={"Authorization": f"Bearer {TOKENS['root']}"}
        )
        response = connection.getresponse()
        assert response.status == 200
        yield response


def whole(service: Service, query: str = "") -> bytes:
    with asking(service, query) as response:
        return response.read()


def cut_off(service: Service, query: str = "") -> list[bytes]:
    """Read about half of an export, break the connection, and return the lines that came whole."""
    with asking(service, query) as response:
        begun = response.read(HALF)
    return begun.splitlines(keepends=True)[:-1]


@contextmanager
def posting(service: Service) -> Iterator[Callable[[], int]]:
    """Post one event after the other meanwhile; gives how many were stored."""
    stop, stored = threading.Event(), itertools.count()
    done: list[int] = [0]

    def post() -> None:
        with closing(service.open()) as connection:
            while not stop.is_set():
                status, _ = send(
                    connection, "POST", "/api/log/", body={"username": "zoe", "model_name": "new"}
                )
                assert status == 200
                done[0] = next(stored) + 1

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join(30)


def parsed(lines: list[bytes]) -> list[Any]:
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("query", ["", "&username=%25", "&ip=10.0.0.1"])
def test_an_export_that_broke_and_is_gone_on_with_equals_a_whole_one(service: Service, query: str) -> None:
    whole_one = whole(service, query).splitlines(keepends=True)

    begun = cut_off(service, query)
    last = json.loads(begun[-1])["id"]
    rest = whole(service, f"after={last}{query}").splitlines(keepends=True)

    assert len(begun) > 1000
    assert len(rest) > 1000
    assert begun + rest == whole_one


def test_it_does_so_while_rows_are_posted(service: Service, db_url: str) -> None:
    with closing(open_store(db_url)) as store:
        before = [row for row in raw_rows(store) if row["username"] != "zoe"]

    with posting(service) as posted:
        begun = cut_off(service)
        last = json.loads(begun[-1])["id"]
        rest = whole(service, f"after={last}").splitlines(keepends=True)
        assert posted() > 0

    found = parsed(begun + rest)
    assert [row["id"] for row in found] == sorted({row["id"] for row in found})
    assert [row for row in found if row["username"] != "zoe"] == [
        {name: row[name] for name in found[0]} for row in before
    ]


def test_csv_goes_on_below_another_header(service: Service) -> None:
    whole_one = whole(service, "format=csv").splitlines(keepends=True)

    begun = cut_off(service, "format=csv")
    last = int(begun[-1].partition(b",")[0])
    header, *rest = whole(service, f"format=csv&after={last}").splitlines(keepends=True)

    assert header == begun[0]
    assert begun + rest == whole_one


def test_a_database_that_fails_in_the_middle_breaks_the_connection_visibly(
    service: Service, db_url: str
) -> None:
    with closing(open_store(db_url)) as store:
        with asking(service) as response:
            begun = response.read(100_000)
            store.write(
                lambda connection: connection.exec_driver_sql("ALTER TABLE log_records RENAME TO away")
            )
            with pytest.raises(http.client.IncompleteRead) as broken:
                response.read()
        begun += broken.value.partial
        store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE away RENAME TO log_records"))

        lines = begun.splitlines(keepends=True)
        complete = lines if lines[-1].endswith(b"\n") else lines[:-1]
        last = json.loads(complete[-1])["id"]
        found = parsed(complete + whole(service, f"after={last}").splitlines(keepends=True))
        assert [row["id"] for row in found] == [row["id"] for row in raw_rows(store)]


def test_others_are_served_while_a_client_does_not_read(service: Service, db_url: str) -> None:
    with asking(service) as response:
        response.read(1000)
        with closing(service.open()) as connection:
            assert send(connection, "POST", "/api/log/", body={"username": "zoe"})[0] == 200
        # Once the buffers are full no snapshot is held: the log can be folded back, and cut off.
        deadline = time.monotonic() + 20
        while (held := snapshots(db_url)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert held == []
        assert len(response.read()) > HALF


def snapshots(db_url: str) -> list[str]:
    """Tell of the transactions that others keep for more than a second, which one statement of a reader that
    goes on does not take; of SQLite, only whether anybody reads.
    """
    with closing(open_store(db_url)) as store, store.reading() as connection:
        if store.engine.dialect.name == "postgresql":
            open_ones = (
                "SELECT concat_ws(' ', state, now() - xact_start, wait_event, query) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND backend_type = 'client backend' AND now() - xact_start > interval '1 second'"
            )
            return list(connection.exec_driver_sql(open_ones).scalars())
    with closing(open_store(db_url)) as store:
        store.write(lambda connection: None)
        with store.dialect.turn():
            driver = store.dialect._connection.connection.driver_connection
            is_busy = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return ["somebody reads"] if is_busy else []
