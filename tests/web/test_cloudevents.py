"""`POST /api/v1/events`: CloudEvents in three modes, and what each is answered."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import GATEWAY, NOW, ROOT, only_row

PATH = "/api/v1/events"
ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
DATA = {"model": "gpt-4o", "cost": 0.01, "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def make_event(**changes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "type": "litellm_tokens", "source": "litellm-proxy", "id": "chatcmpl-1"}
    return event | {"subject": "alice", "time": "2025-10-09T12:34:50Z", "data": DATA} | changes


def send(client: FlaskClient, body: Any, kind: str = ONE, **headers: str) -> TestResponse:
    """Post bytes, or a value as JSON; header names with `_` for `-`."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(PATH, data=data, content_type=kind, headers={**GATEWAY, **named})


def assert_stored(answer: TestResponse) -> None:
    """Check that an answer is what OpenMeter would say."""
    assert (answer.status_code, answer.data) == (204, b""), answer.text
    assert "Content-Type" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


def as_headers(event: dict[str, Any]) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in event.items() if name != "data"}


def send_binary(client: FlaskClient, event: dict[str, Any], kind: str = "application/json") -> TestResponse:
    return send(client, event["data"], kind, **as_headers(event))


def test_an_event_is_a_row(client: FlaskClient) -> None:
    assert_stored(send(client, make_event()))
    row = only_row(client)
    assert (row["username"], row["model_name"], row["quota"], row["type"]) == ("alice", "gpt-4o", 5000, 2)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (10, 5)
    assert row["created_at"] == NOW - 6


def test_the_three_modes_make_the_same_row(client: FlaskClient, store: LogStore) -> None:
    assert_stored(send(client, make_event()))
    assert_stored(send(client, [make_event()], BATCH))
    assert_stored(send_binary(client, make_event()))
    rows = assert_ok(client.get("/api/log/", headers=ROOT))["items"]
    ids = {row.pop("id") for row in rows}
    assert (len(ids), rows[0]) == (3, rows[1])
    assert rows[1] == rows[2]


def test_a_header_is_percent_decoded(client: FlaskClient) -> None:
    assert_stored(send_binary(client, make_event(subject="%E7%88%B1%E4%B8%BD%E4%B8%9D")))
    assert only_row(client)["username"] == "爱丽丝"


def test_a_label_of_cloudevents_counts_more_than_headers(client: FlaskClient) -> None:
    assert_stored(send(client, make_event(subject="bob"), ONE, **as_headers(make_event())))
    assert only_row(client)["username"] == "bob"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ([make_event(), make_event(id="2")], BATCH),
        ([make_event(), make_event(id="2")], "application/json"),
        ([make_event(), make_event(id="2")], f"{BATCH}; charset=utf-8"),
        (make_event(), "application/json"),
        ([], BATCH),
    ],
)
def test_a_batch_or_one_event_is_stored(client: FlaskClient, store: LogStore, body: Any, kind: str) -> None:
    assert_stored(send(client, body, kind))
    assert store.count_raw() == (len(body) if isinstance(body, list) else 1)


def test_gzip_is_unpacked(client: FlaskClient, store: LogStore) -> None:
    assert_stored(send(client, gzip.compress(json.dumps(make_event()).encode()), Content_Encoding="gzip"))
    assert store.count_raw() == 1


def test_one_bad_event_alone_is_refused_by_index(client: FlaskClient) -> None:
    bad = make_event(data=DATA | {"prompt_tokens": -1})
    data = assert_ok(send(client, [make_event(), bad, make_event(id="3"), 7], BATCH))
    assert data["accepted"] == 2
    assert [entry["index"] for entry in data["rejected"]] == [1, 3]
    assert "data.prompt_tokens" in data["rejected"][0]["message"]


@pytest.mark.parametrize(
    "event", [make_event(specversion="0.3"), make_event(source=""), make_event(data="no json"), [], None]
)
def test_nothing_good_is_400(client: FlaskClient, store: LogStore, event: Any) -> None:
    assert_error(send(client, [event, event], BATCH), 400, "none of 2 events was valid; the first, index 0")
    assert store.count_raw() == 0


@pytest.mark.parametrize(
    ("headers", "data", "named"),
    [
        ({"ce-subject": "%ff"}, DATA, "ce-subject"),
        ({"ce-id": ""}, DATA, "id"),
        ({"ce-specversion": "0.3"}, DATA, "specversion"),
        ({}, b"", "data"),
        ({}, b"{", "data"),
        ({}, [DATA], "data"),
        ({}, b"\xff\xfe", "data"),
    ],
)
def test_in_binary_mode_what_is_bad_is_named(
    client: FlaskClient, headers: dict[str, str], data: Any, named: str
) -> None:
    sent = as_headers(make_event()) | headers
    answer = send(client, data, "application/json", **sent)
    assert_error(answer, 400, named)


@pytest.mark.parametrize("kind", ["application/cloudevents+avro", "application/cloudevents", "text/plain"])
def test_another_format_is_415(client: FlaskClient, kind: str) -> None:
    assert_error(send(client, make_event(), kind), 415, kind)


# Repeats


def test_an_event_sent_again_is_stored_once(client: FlaskClient, store: LogStore) -> None:
    for _ in range(3):
        assert_stored(send(client, make_event()))
        assert_stored(send(client, [make_event(id="2"), make_event(id="3")], BATCH))
        assert_stored(send_binary(client, make_event(id="4")))
    assert store.count_raw() == 4


def test_another_call_with_the_same_id_is_another_event(client: FlaskClient, store: LogStore) -> None:
    # LiteLLM gives the id of the provider's response, which repeats: in answers from a cache, for instance.
    for second in range(3):
        assert_stored(send(client, make_event(time=f"2025-10-09T12:34:0{second}Z")))
        assert_stored(send_binary(client, make_event(time=f"2025-10-09T12:34:1{second}Z")))
    assert store.count_raw() == 6


def test_an_event_sent_again_after_a_day_is_a_new_one(
    client: FlaskClient, store: LogStore, clock: Any
) -> None:
    assert_stored(send(client, make_event()))
    clock.now += 24 * 3600 + 1
    assert_stored(send(client, make_event()))
    assert store.count_raw() == 2


def test_a_repeat_is_told_what_was_refused(client: FlaskClient, store: LogStore) -> None:
    batch = [make_event(), make_event(type="")]
    first, again = (send(client, batch, BATCH) for _ in range(2))
    assert assert_ok(first)["accepted"] == 1
    assert again.data == first.data
    assert store.count_raw() == 1


def test_a_key_counts_more_than_the_words(client: FlaskClient, store: LogStore) -> None:
    assert_stored(send(client, make_event(), Idempotency_Key="a"))
    assert_stored(send(client, make_event(), Idempotency_Key="b"))
    assert_error(send(client, make_event(id="2"), Idempotency_Key="a"), 409, "Idempotency-Key")
    assert store.count_raw() == 2


def test_in_binary_mode_the_attributes_belong_to_what_a_key_stands_for(client: FlaskClient) -> None:
    def send_as(name: str) -> TestResponse:
        return send(client, DATA, "application/json", **as_headers(make_event(id=name)), Idempotency_Key="k")

    assert_stored(send_as("1"))
    assert_stored(send_as("1"))
    assert_error(send_as("2"), 409, "Idempotency-Key")
