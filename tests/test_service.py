"""The service as it runs: several gunicorn workers, many clients at once, a real database file."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.postgresql_server import private, required
from tests.serving import LOAD_SECONDS, TOKENS, Service, open_store, send, serving
from tests.store_rows import buckets, rebuilt

CLIENTS = 16
READS = ("/api/log/?page_size=20", "/api/log/stat", "/api/log/self", "/api/log/search?keyword=client")


@dataclass
class Ledger:
    """What the clients saw: the request ids that were acknowledged or not, and every status."""

    acknowledged: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)
    #: When each client saw its last success.
    successes: dict[int, float] = field(default_factory=dict)

    def note(self, number: int, status: int) -> None:
        """Note an answer that a client got."""
        self.statuses[status] += 1
        if status == 200:
            self.successes[number] = time.monotonic()


def _client(service: Service, number: int, ledger: Ledger, until: float) -> None:
    """Post single events and small batches, and read in between, until the time is up."""
    connection, turn = service.open(), 0
    try:
        while time.monotonic() < until:
            turn += 1
            ids = [f"client-{number}-{turn}-{part}" for part in range(1 + turn % 3)]
            events = [
                {"request_id": name, "username": f"user{number}", "content": f"client {name}"} for name in ids
            ]
            status, answer = send(connection, "POST", "/api/log/", user="gateway", body=events)
            ledger.note(number, status)
            stored = status == 200 and answer["data"]["accepted"] == len(ids)
            (ledger.acknowledged if stored else ledger.failed).update(ids)
            status, _ = send(connection, "GET", READS[turn % len(READS)])
            ledger.note(number, status)
    except Exception as error:  # noqa: BLE001  # the test reports it from its own thread
        ledger.errors.append(error)
    finally:
        connection.close()


@contextmanager
def _under_load(service: Service, seconds: float) -> Iterator[Ledger]:
    """Let the clients call for so many seconds, beside the block; both have ended after it."""
    ledger, until = Ledger(), time.monotonic() + seconds
    clients = [
        threading.Thread(target=_client, args=(service, number, ledger, until)) for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    try:
        yield ledger
    finally:
        for client in clients:
            client.join()


def _stored_ids(service: Service) -> list[str]:
    """Return the request id of every row, page by page through the API."""
    found: list[str] = []
    before = ""
    while True:
        page = service.get(f"/api/log/?page_size=100&before={before or 2**53}")
        if not page["items"]:
            assert len(found) == page["total"]
            return found
        found += [row["request_id"] for row in page["items"]]
        before = page["items"][-1]["id"]


def _assert_buckets_are_right(url: str) -> None:
    with closing(open_store(url)) as store:
        assert buckets(store) == rebuilt(store)


@pytest.mark.load
def test_two_workers_lose_nothing_under_sixteen_clients(tmp_path: Path, db_url: str) -> None:
    with serving(tmp_path, workers=2, url=db_url) as service:
        with _under_load(service, LOAD_SECONDS) as ledger:
            pass
        stored = _stored_ids(service)
    assert ledger.errors == []
    assert set(ledger.statuses) == {200}
    assert len(ledger.acknowledged) > CLIENTS * LOAD_SECONDS
    assert len(stored) == len(set(stored))
    assert set(stored) == ledger.acknowledged
    _assert_buckets_are_right(db_url)


@pytest.mark.load
def test_a_restart_of_postgresql_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    """The server ends at once, as if it were killed, and is back two seconds later."""
    with required(private(durable=True)) as server:
        server.create_database("log")
        with serving(tmp_path, workers=2, url=server.url("log")) as service:
            with _under_load(service, 3 * LOAD_SECONDS) as ledger:
                time.sleep(LOAD_SECONDS)
                server.stop(immediate=True)
                time.sleep(2)
                server.start()
                back = time.monotonic()
            stored = _stored_ids(service)
        assert ledger.errors == []
        assert set(ledger.statuses) == {200, 503}
        assert ledger.statuses[503] > CLIENTS
        assert all(ledger.successes[number] > back for number in range(CLIENTS))
        assert len(stored) == len(set(stored))
        assert ledger.acknowledged <= set(stored) <= ledger.acknowledged | ledger.failed
        _assert_buckets_are_right(server.url("log"))


def test_the_rate_limit_counts_across_workers(tmp_path: Path) -> None:
    """Connections spread over both workers, and yet ten requests are let through, not ten for each."""
    environ = {"LOGSERVICE_TOKEN_RATE_LIMIT": "50/hour"}
    with serving(tmp_path, workers=2, environ=environ) as service:
        messages = Counter(_ask_for_unknown_key(service) for _ in range(24))
    assert messages == {"Token不存在或无权限": 10, "too many requests": 14}


def _ask_for_unknown_key(service: Service) -> str:
    connection = service.open()
    try:
        _, answer = send(connection, "GET", "/api/log/token?key=sk-nobody-knows-this-one")
    finally:
        connection.close()
    message: str = answer["message"]
    return message


def test_a_chunked_body_that_is_too_long_is_refused_whole(tmp_path: Path) -> None:
    """Only a real server passes on a body without a length, and its end must not be cut off silently."""
    line = b'{"content": "one of many"}\n'
    with serving(tmp_path, workers=1, environ={"LOGSERVICE_MAX_BODY": "1000"}) as service:
        assert _post_in_chunks(service, [line] * 30) == 200
        assert _post_in_chunks(service, [line] * 40) == 413
        assert service.get("/api/log/")["total"] == 30


def _post_in_chunks(service: Service, lines: list[bytes]) -> int:
    connection = service.open()
    headers = {"Authorization": f"Bearer {TOKENS['gateway']}", "Content-Type": "application/x-ndjson"}
    try:
        connection.request("POST", "/api/log/", iter(lines), headers, encode_chunked=True)
        return connection.getresponse().status
    finally:
        connection.close()
