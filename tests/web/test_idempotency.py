"""`Idempotency-Key`: a repeated post stores nothing twice."""

from __future__ import annotations

import gzip
import json
import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import GATEWAY, ROOT, Headers, make_event

PAYLOAD = {"endTime": 1_700_000_000.0, "status": "success", "model": "gpt-4o"}
RECORD = {"timestamp": "2023-11-14T22:13:20Z", "model": "gpt-4o"}
CLOUD_EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {"model": "gpt-4o"}}
CALL = [
    {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}},
    {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1"}},
]
SPAN = {"endTimeUnixNano": "1700000000000000000", "attributes": CALL}
TRACES = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}


def send(
    client: FlaskClient, event: Any, key: str, headers: Headers = GATEWAY, path: str = "/api/log/"
) -> Any:
    """Post an event with an Idempotency-Key."""
    return client.post(path, json=event, headers={**headers, "Idempotency-Key": key})


def test_a_repeat_stores_nothing_and_returns_the_first_answer(client: FlaskClient, store: LogStore) -> None:
    events = [make_event(), {"nonsense": 1}]
    first = send(client, events, "k")
    repeat = send(client, events, "k")
    assert assert_ok(first)["accepted"] == 1
    assert repeat.data == first.data
    assert repeat.status_code == first.status_code
    assert store.count_raw() == 1


def test_without_a_key_a_repeat_is_stored_again(client: FlaskClient, store: LogStore) -> None:
    for _ in range(2):
        assert_ok(client.post("/api/log/", json=make_event(), headers=GATEWAY))
    assert store.count_raw() == 2


def test_another_key_is_another_post(client: FlaskClient, store: LogStore) -> None:
    for key in ("a", "b", "A"):
        assert_ok(send(client, make_event(), key))
    assert store.count_raw() == 3


def test_a_key_with_another_body_is_a_conflict(client: FlaskClient, store: LogStore) -> None:
    assert_ok(send(client, make_event(content="first"), "k"))
    assert_error(send(client, make_event(content="second"), "k"), 409, "Idempotency-Key")
    assert store.count_raw() == 1


def test_the_same_body_packed_is_the_same_body(client: FlaskClient, store: LogStore) -> None:
    body = json.dumps(make_event()).encode()
    headers = {**GATEWAY, "Idempotency-Key": "k"}
    assert_ok(client.post("/api/log/", data=body, headers=headers))
    packed = {**headers, "Content-Encoding": "gzip"}
    assert_ok(client.post("/api/log/", data=gzip.compress(body), headers=packed))
    assert store.count_raw() == 1


def test_a_key_counts_per_principal(client: FlaskClient, store: LogStore) -> None:
    assert_ok(send(client, make_event(content="the gateway's"), "k", GATEWAY))
    assert_ok(send(client, make_event(content="the administrator's"), "k", ROOT))
    assert store.count_raw() == 2


def test_a_key_counts_per_route(client: FlaskClient, store: LogStore) -> None:
    assert_ok(send(client, make_event(), "k"))
    for _ in range(2):
        assert assert_ok(send(client, [PAYLOAD], "k", path="/api/ingest/litellm"))["accepted"] == 1
        assert assert_ok(send(client, [RECORD], "k", path="/api/ingest/cliproxyapi"))["accepted"] == 1
        assert send(client, [CLOUD_EVENT], "k", path="/api/v1/events").status_code == 204
        assert send(client, TRACES, "k", path="/v1/traces").status_code == 200
    assert store.count_raw() == 5


def test_the_slash_at_the_end_makes_no_other_route(client: FlaskClient, store: LogStore) -> None:
    assert_ok(send(client, make_event(), "k", path="/api/log"))
    assert_ok(send(client, make_event(), "k", path="/api/log/"))
    assert store.count_raw() == 1


def test_a_key_is_remembered_over_a_restart(client: FlaskClient, client_with, store: LogStore) -> None:
    assert_ok(send(client, make_event(), "k"))
    store.close()
    again = client_with()
    assert_ok(send(again, make_event(), "k"))
    assert assert_ok(again.get("/api/log/", headers=ROOT))["total"] == 1


def test_a_post_that_was_refused_leaves_its_key_free(client: FlaskClient, store: LogStore) -> None:
    assert_error(send(client, {"nonsense": 1}, "k"), 400, "nonsense")
    assert_ok(send(client, make_event(), "k"))
    assert store.count_raw() == 1


@pytest.mark.parametrize("key", ["", " ", "k" * 256])
def test_a_key_that_is_none_is_refused(client: FlaskClient, store: LogStore, key: str) -> None:
    assert_error(send(client, make_event(), key), 400, "Idempotency-Key")
    assert store.count_raw() == 0


def test_concurrent_posts_with_one_key_store_once_and_answer_alike(app: Flask, store: LogStore) -> None:
    events = [make_event(), {"nonsense": 1}]
    together = threading.Barrier(8)
    answers: list[Any] = []

    def call() -> None:
        together.wait()
        answers.append(send(app.test_client(), events, "k"))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len(answers) == 8
    assert len({answer.data for answer in answers}) == 1
    assert store.count_raw() == 1
