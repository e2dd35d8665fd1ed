"""The gateway of examples/, between the openai package and an upstream that does as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from logservice.errors import Unavailable
from tests.answers import assert_error, assert_ok
from tests.hosts.examples import load

KEY, OTHER = "sk-of-alice-1", "sk-of-bob-1"
OWNERS = {
    KEY: {"token_id": 11, "token_name": "laptop", "user_id": 7, "username": "alice"},
    OTHER: {"token_id": 12, "token_name": "phone", "user_id": 8, "username": "bob"},
}
UPSTREAM_KEY = "sk-of-the-gateway"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
ASKED = [{"role": "user", "content": "why"}]


class Upstream(BaseHTTPRequestHandler):
    """Answers as the name of the model says."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        assert self.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(question)
        if question["model"] == "refusing":
            self.answer(429, b'{"error": {"message": "slow down", "type": "rate_limit"}}')
        elif question["model"] == "garbling":
            self.answer(200, b'{"half')
        elif question.get("stream"):
            self.stream(question)
        else:
            message = {"role": "assistant", "content": "be cause"}
            choices = [{"index": 0, "finish_reason": "stop", "message": message}]
            answer = {"id": "1", "object": "chat.completion", "created": 1, "model": question["model"]}
            self.answer(200, json.dumps({**answer, "choices": choices, "usage": USAGE}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, question: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        piece = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": question["model"]}
        for text in ("be", " cause"):
            choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            self.say(json.dumps({**piece, "choices": [choice], "usage": None}))
        if question["model"] == "breaking":
            return
        if (question.get("stream_options") or {}).get("include_usage"):
            self.say(json.dumps({**piece, "choices": [], "usage": USAGE}))
        self.say("[DONE]")

    def say(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def in_background(server: Any) -> Iterator[str]:
    """Serve in a thread, and give the address."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    """What the upstream was asked."""
    return []


@pytest.fixture
def gateway(tmp_path: Path, asked: list[dict[str, Any]]) -> Iterator[Flask]:
    """The gateway in front of the upstream."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Told", (Upstream,), {"asked": asked}))
    with in_background(server) as url:
        config = {"UPSTREAM": url, "UPSTREAM_KEY": UPSTREAM_KEY, "KEYS": OWNERS}
        app: Flask = load("gateway").create_app(config, instance_path=str(tmp_path))
        yield app
        app.extensions["logservice"].store.close()


@pytest.fixture
def client(gateway: Flask) -> FlaskClient:
    """Somebody who calls the gateway without the openai package."""
    return gateway.test_client()


def ask(client: FlaskClient, model: str, *, key: str = KEY, **more: Any) -> Any:
    question = {"model": model, "messages": ASKED, **more}
    return client.post("/v1/chat/completions", json=question, headers={"Authorization": f"Bearer {key}"})


def rows(client: FlaskClient, key: str = KEY) -> list[dict[str, Any]]:
    """Return what the holder of a key sees, oldest first."""
    found: list[dict[str, Any]] = assert_ok(client.get(f"/api/log/token?key={key}"))
    return found


def test_the_openai_package_is_answered_and_every_call_recorded(
    gateway: Flask, client: FlaskClient, asked: list[dict[str, Any]]
) -> None:
    with (
        in_background(make_server("127.0.0.1", 0, gateway, threaded=True)) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as model,
    ):
        create: Any = model.chat.completions.create
        whole = create(model="oracle-1", messages=ASKED)
        pieces = list(create(model="oracle-1", messages=ASKED, stream=True))
        told = {"include_usage": True}
        with_usage = list(create(model="oracle-1", messages=ASKED, stream=True, stream_options=told))
        with pytest.raises(openai.RateLimitError, match="slow down"):
            create(model="refusing", messages=ASKED)
        with pytest.raises(openai.AuthenticationError, match="unknown here"):
            model.with_options(api_key="sk-nobody").chat.completions.create(model="oracle-1", messages=ASKED)  # type: ignore[call-overload]  # plain dicts
    assert whole.choices[0].message.content == "be cause"
    assert "".join(piece.choices[0].delta.content for piece in pieces) == "be cause"
    assert [piece.usage.prompt_tokens for piece in with_usage if piece.usage] == [5]
    assert len(asked) == 4
    found = rows(client)
    assert [(row["type"], row["is_stream"]) for row in found] == [
        (2, False),
        (2, True),
        (2, True),
        (4, False),
    ]
    for row in found[:3]:
        assert (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]) == (5, 2, 3)
        assert (row["quota"], row["token_name"], row["username"]) == (5 + 2 * 3, "laptop", "alice")
    assert all(row["first_token_ms"] <= row["use_time_ms"] for row in found)
    assert found[3]["content"] == "upstream answered 429"
    assert rows(client, OTHER) == []


@pytest.mark.parametrize(
    ("model", "stream", "status", "content"),
    [
        ("refusing", False, 429, "upstream answered 429"),
        ("refusing", True, 429, "upstream answered 429"),
        ("garbling", False, 502, "upstream broke off: JSONDecodeError"),
        ("breaking", True, 200, "upstream broke off"),
    ],
)
def test_a_call_that_fails_is_recorded_as_an_error(
    client: FlaskClient, model: str, stream: bool, status: int, content: str
) -> None:
    answer = ask(client, model, stream=stream)
    assert (answer.status_code, bool(answer.data)) == (status, True)
    [row] = rows(client)
    assert (row["type"], row["content"], row["quota"], row["model_name"]) == (4, content, 0, model)


def test_a_caller_who_leaves_is_recorded(client: FlaskClient) -> None:
    answer = ask(client, "oracle-1", stream=True)
    assert b"be" in next(answer.iter_encoded())
    answer.close()
    [row] = rows(client)
    assert (row["type"], row["content"]) == (4, "the caller left")


def test_an_upstream_that_is_away_is_recorded(gateway: Flask, client: FlaskClient) -> None:
    gateway.config["UPSTREAM"] = "http://127.0.0.1:9"
    assert ask(client, "oracle-1").status_code == 502
    [row] = rows(client)
    assert (row["type"], row["content"]) == (4, "upstream cannot be reached: URLError")


def test_a_log_that_fails_takes_nobodys_answer(
    gateway: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    store = gateway.extensions["logservice"].store
    store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE log_contents RENAME TO away"))
    store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE log_records RENAME TO gone"))
    assert ask(client, "oracle-1").get_json()["choices"]
    assert [record.message.partition(":")[0] for record in caplog.records if record.name == "gateway"] == [
        "a call was not recorded"
    ]
    assert Unavailable.__name__ not in caplog.text


def test_keys_of_others_and_of_nobody_show_nothing(client: FlaskClient) -> None:
    ask(client, "oracle-1", key=OTHER)
    assert rows(client) == []
    assert len(rows(client, OTHER)) == 1
    assert ask(client, "oracle-1", key="sk-nobody").status_code == 401
    assert_error(client.get("/api/log/token?key=sk-nobody"), 200, "Token")
    assert_error(client.get(f"/api/log/token?key={UPSTREAM_KEY}"), 200, "Token")
