"""Clients of a service that goes down and comes back: writers, readers, and one who purges."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import quote

from tests.reliability.ledger import Batch, Ledger
from tests.serving import send

WRITERS, READERS = 16, 8
DAY = 86400
CONSUME, ERROR, REFUND = 2, 5, 6
#: The types of events; purges leave nothing but the usage of refunds, which are all old.
TYPES = (CONSUME, ERROR, REFUND)
MODELS = ("gpt-4o", "claude")
USERS = ("alice", "bob", "carol")
#: Of a hundred requests that fail, so many are not sent again.
GIVEN_UP = 15


class Client:
    """Somebody who calls the service on a connection of his own, and begins another when that one ends."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._port = port
        self._ledger = ledger
        self._connection: http.client.HTTPConnection | None = None
        self._connected = 0.0

    def ask(self, method: str, path: str, *, fine: tuple[int, ...] = (200,), **sent: Any) -> Any:
        """Return the data of a success; None when there is no answer, or one of no use."""
        began = time.monotonic()
        try:
            status, answer = send(self._open(began), method, path, **sent)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self._ledger.answers["no answer"] += 1
            failure = f"{method} {path}: {error!r}"
            self._ledger.note_failure(failure, connected=self._connected, began=began)
            return None
        self._ledger.answers[f"answer {status}"] += 1
        if status == 503:
            failure = f"{method} {path}: 503 {answer['message']}"
            self._ledger.note_failure(failure, connected=began, began=began)
        elif status not in fine:
            self._ledger.unexpected.append(f"{method} {path}: {status} {answer}")
        return answer["data"] if status == 200 else None

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _open(self, now: float) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connected = now
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        return self._connection


class Traffic:
    """All clients together; they begin with `under_way` and end with its block."""

    def __init__(self, port: int, ledger: Ledger, *, seed: int) -> None:
        self._port = port
        self._ledger = ledger
        self._seed = seed
        self._ended = threading.Event()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Have everybody at work during the block; afterwards nothing is under way any more."""
        works = [self._write] * WRITERS + [self._read] * READERS + [self._purge]
        threads = [
            threading.Thread(target=self._work, args=(work, f"{work.__name__[1:]}-{number}"))
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(120)
            if any(thread.is_alive() for thread in threads):
                raise TimeoutError("a client did not come to an end")

    def _work(self, work: Callable[[Client, random.Random, str], None], name: str) -> None:
        client = Client(self._port, self._ledger)
        try:
            work(client, random.Random(f"{self._seed} {name}"), name)
        except Exception as error:  # noqa: BLE001  # the thread of the test has to hear of it
            self._ledger.unexpected.append(f"{name} failed: {error!r}")
        finally:
            client.close()

    def _write(self, client: Client, draw: random.Random, name: str) -> None:
        for number in count():
            if self._ended.wait(draw.uniform(0, 0.15)):
                return
            batch = _batch(draw, f"{name}-{number}")
            self._ledger.batches.append(batch)
            while not self._delivered(client, batch):
                # Of rows that are gone, nobody can see whether they were there: those are never given up.
                if not batch.may_go and (self._ended.is_set() or draw.randrange(100) < GIVEN_UP):
                    break
                time.sleep(draw.uniform(0.02, 0.2))

    def _delivered(self, client: Client, batch: Batch) -> bool:
        batch.attempts += 1
        body = batch.body[0] if len(batch.body) == 1 else batch.body
        data = client.ask("POST", "/api/log/", user="gateway", body=body, key=batch.key)
        if data is None:
            return False
        batch.acknowledged = time.monotonic()
        if data != {"accepted": len(batch.body), "rejected": []}:
            self._ledger.unexpected.append(f"{batch.key}: {data}")
        return True

    def _read(self, client: Client, draw: random.Random, _name: str) -> None:
        paths = (
            lambda: f"/api/log/?p={draw.randint(1, 50)}&page_size=100",
            lambda: f"/api/log/?username={draw.choice(USERS)}&model_name={draw.choice(MODELS)}",
            lambda: f"/api/log/stat?start_timestamp={int(time.time()) - 3600}",
            lambda: f"/api/log/usage?group_by={draw.choice(('username', 'model_name'))}&interval=day",
            lambda: f"/api/log/search?keyword={quote(f'text {draw.randrange(50)}')}",
        )
        while not self._ended.wait(draw.uniform(0, 0.2)):
            client.ask("GET", draw.choice(paths)())

    def _purge(self, client: Client, draw: random.Random, _name: str) -> None:
        while not self._ended.wait(draw.uniform(0.1, 0.5)):
            began, before = time.monotonic(), int(time.time()) - DAY
            path = f"/api/log/?target_timestamp={before}&type={REFUND}&keep_usage=1"
            # One that was killed keeps others out for a while, which is promised too.
            if client.ask("DELETE", path, fine=(200, 409)) is not None:
                self._ledger.purges.append((began, time.monotonic()))


def _batch(draw: random.Random, name: str) -> Batch:
    may_go = draw.random() < 0.2
    events = [_event(draw, f"{name}-{place}", may_go=may_go) for place in range(draw.choice((1, 1, 2, 5, 8)))]
    return Batch(name, events, may_go)


def _event(draw: random.Random, name: str, *, may_go: bool) -> dict[str, Any]:
    # Weeks apart, so that a purge is many transactions; of few days, which are quickly built anew.
    weeks = draw.randint(1, 15) if may_go else 0
    return {
        "request_id": name,
        "type": REFUND if may_go else draw.choice((CONSUME, CONSUME, ERROR)),
        "created_at": int(time.time()) - weeks * 7 * DAY - draw.randint(0, 3600),
        "username": draw.choice(USERS),
        "model_name": draw.choice(MODELS),
        "quota": draw.randrange(1000),
        "content": f"text {draw.randrange(50)}",
    }
