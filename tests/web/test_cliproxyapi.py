"""`POST /api/ingest/cliproxyapi`: usage records in every form, and a key that leaves no trace."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.failing import everything
from tests.rows import ALICE_KEY, ALICE_TOKEN_ID, GATEWAY, NOW, only_row

PATH = "/api/ingest/cliproxyapi"
NEW_KEY = "sk-never-seen-before-0001"


def make_record(**changes: Any) -> dict[str, Any]:
    record = {
        "timestamp": "2025-10-09T12:34:46.123456789Z",
        "latency_ms": 2000,
        "tokens": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        "failed": False,
        "provider": "claude",
        "model": "claude-opus-4-6",
        "api_key": ALICE_KEY,
        "request_id": "a1b2c3d4",
    }
    return record | changes


def send(client: FlaskClient, body: Any, kind: str = "application/json", **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(PATH, data=data, content_type=kind, headers={**GATEWAY, **named})


def lines(*records: Any) -> bytes:
    return b"\n".join(json.dumps(record).encode() for record in records)


def test_a_record_is_a_row_of_the_key_it_came_with(client: FlaskClient) -> None:
    assert assert_ok(send(client, make_record())) == {"accepted": 1, "rejected": []}
    row = only_row(client)
    assert (row["created_at"], row["use_time_ms"], row["type"]) == (NOW - 8, 2000, 2)
    assert (row["prompt_tokens"], row["completion_tokens"], row["channel_name"]) == (10, 5, "claude")
    assert (row["token_id"], row["username"]) == (ALICE_TOKEN_ID, "alice")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (make_record(), "application/json"),
        ([make_record(), make_record()], "application/json"),
        (lines(make_record(), make_record()), "application/json"),
        (lines(make_record(), make_record()), "application/x-ndjson"),
        ([], "application/json"),
    ],
)
def test_one_record_an_array_or_lines_are_stored(
    client: FlaskClient, store: LogStore, body: Any, kind: str
) -> None:
    accepted = assert_ok(send(client, body, kind))["accepted"]
    assert store.count_raw() == accepted == (1 if isinstance(body, dict) else 2 if body else 0)


def test_gzip_is_unpacked(client: FlaskClient) -> None:
    body = gzip.compress(lines(make_record()))
    assert assert_ok(send(client, body, Content_Encoding="gzip"))["accepted"] == 1


def test_a_failure_is_an_error_row(client: FlaskClient) -> None:
    fail = {"status_code": 529, "body": "overloaded"}
    assert_ok(send(client, make_record(failed=True, fail=fail)))
    row = only_row(client)
    assert (row["type"], row["content"], row["other"]) == (4, "overloaded", '{"fail":{"status_code":529}}')


def test_one_bad_record_alone_is_refused_by_index(client: FlaskClient, store: LogStore) -> None:
    bad = make_record(tokens={"input_tokens": -1})
    data = assert_ok(send(client, [make_record(), bad, make_record(), 7]))
    assert (data["accepted"], [entry["index"] for entry in data["rejected"]]) == (2, [1, 3])
    assert "tokens.input_tokens" in data["rejected"][0]["message"]
    assert store.count_raw() == 2


@pytest.mark.parametrize("key", [NEW_KEY, NEW_KEY.removeprefix("sk-")])
def test_a_new_key_opens_its_rows_and_is_stored_nowhere(
    client: FlaskClient, store: LogStore, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = f"invalid key {key}"
    failure = make_record(api_key=key, failed=True, fail={"status_code": 401, "body": said})
    refused = make_record(api_key=key, latency_ms=said)
    answer = send(client, [make_record(api_key=key), failure, refused])
    assert assert_ok(answer)["accepted"] == 2
    bare = NEW_KEY.removeprefix("sk-")
    assert bare not in answer.text + caplog.text + str(everything(store))
    assert len(assert_ok(client.get(f"/api/log/token?key={NEW_KEY}"))) == 2


@pytest.mark.parametrize(
    "body",
    [
        f'{{"api_key": "{NEW_KEY}"',
        f'[{{"api_key": "{NEW_KEY}"}}, {NEW_KEY}]',
        f'{{"api_key": ["{NEW_KEY}"]}}',
        f'{{"api_key": "{NEW_KEY}", "timestamp": "{NEW_KEY}"}}',
        f'{{"api_key": "{NEW_KEY}", "timestamp": 1, "tokens": {{"input_tokens": "{NEW_KEY}"}}}}',
        f'"{NEW_KEY}"',
    ],
)
def test_no_refusal_repeats_a_key(client: FlaskClient, body: str) -> None:
    answer = send(client, body.encode())
    assert NEW_KEY not in assert_error(answer, 400, "")


def test_a_key_repeats_safely(client: FlaskClient, store: LogStore) -> None:
    for _ in range(2):
        assert_ok(send(client, [make_record()], Idempotency_Key="k"))
    assert_error(send(client, [make_record(model="other")], Idempotency_Key="k"), 409, "Idempotency-Key")
    assert store.count_raw() == 1
