"""Calls of a service whose machine misbehaves: every answer is looked at as a whole."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from logservice.store import tables
from tests.serving import TOKENS, Service, open_store

#: Reads of every kind that an administrator makes.
READS = ("/api/log/?page_size=5", "/api/log/stat", "/api/log/search?keyword=small", "/api/data/", "/readyz")
#: Characters of a text that no database packs to much less.
LARGE = 5_000
_SIGNS = str.maketrans("0123456789abcdef", "!#$%&()*+,./:;<>")


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer."""

    status: int
    headers: dict[str, str]
    body: Any


def call(
    service: Service, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request over a connection of its own."""
    usual = {"Authorization": f"Bearer {TOKENS['root']}", "Content-Type": "application/json"}
    with closing(service.open()) as connection:
        connection.request(
            method, path, None if body is None else json.dumps(body), {**usual, **(headers or {})}
        )
        return _received(connection.getresponse())


def _received(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, dict(response.headers), json.loads(response.read()))


def text(size: int) -> str:
    """Return a text that was never there before; without words, for those are looked at for secrets."""
    return os.urandom(size // 2).hex().translate(_SIGNS)


def post(service: Service, *names: str, size: int = 0, key: str | None = None) -> Answer:
    """Post an event for each request id, with a text of so many characters; `key` makes it safe to repeat."""
    events = [{"request_id": name, "content": text(size) if size else "small"} for name in names]
    headers = {} if key is None else {"Idempotency-Key": key}
    return call(service, "POST", "/api/log/", events, headers)


def post_at_once(service: Service, names: Sequence[str]) -> dict[str, Answer]:
    """Post an event for each request id, all at the same time."""
    answers: dict[str, Answer] = {}

    def client(name: str) -> None:
        answers[name] = post(service, name)

    clients = [threading.Thread(target=client, args=(name,), daemon=True) for name in names]
    for one in clients:
        one.start()
    for one in clients:
        one.join(60)
    assert len(answers) == len(names)
    return answers


def assert_refused(answer: Answer, said: str = "") -> None:
    """Check that an answer says in the envelope what the cause is, and when to try again."""
    assert answer.status == 503, answer
    assert not answer.body["success"]
    assert said in answer.body["message"]
    assert int(answer.headers["Retry-After"]) > 0


def assert_reading(service: Service) -> None:
    """Check that reads go on."""
    for path in READS:
        answer = call(service, "GET", path)
        assert (answer.status, answer.body["success"]) == (200, True), (path, answer)


def assert_sound(url: str, stored: set[str]) -> None:
    """Check that exactly these events are in a log, once each, and that nothing in it is damaged."""
    with closing(open_store(url)) as store:
        with store.reading() as connection:
            found = list(connection.scalars(select(tables.records.c.request_id)))
        assert sorted(found) == sorted(stored)
        report = store.check(full=True).complete()
        assert report.is_sound, report.to_mapping()
        if store.dialect.path is not None:
            with store.reading() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
