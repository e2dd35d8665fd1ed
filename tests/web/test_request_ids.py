"""`X-Request-ID`: what a client sends comes back if it is plain and short; everybody else gets a new one."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from logservice import LogService, Principal
from logservice.store.store import LogStore
from tests.rows import ALICE_KEY, GATEWAY, ROOT, make_event

HEADER = "X-Request-ID"
MADE = re.compile(r"[0-9a-f]{16}")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/log/", ROOT, 200),
        ("GET", "/api/log/", {}, 401),
        ("GET", "/api/log/token", {}, 200),
        ("GET", "/api/log/?type=abc", ROOT, 400),
        ("PUT", "/api/log/", {}, 405),
        ("POST", "/v1/traces", {}, 401),
        ("GET", "/nowhere", {}, 404),
        ("GET", "/healthz", {}, 200),
        ("GET", "/readyz", {}, 200),
        ("GET", "/metrics", {}, 401),
        ("GET", "/", {}, 200),
    ],
)
def test_every_answer_has_one(
    client: FlaskClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    given = client.open(path, method=method, headers={**headers, HEADER: "gateway-42.7_a"})
    made = [client.open(path, method=method, headers=headers) for _ in range(2)]
    assert given.status_code == status
    assert given.headers.getlist(HEADER) == ["gateway-42.7_a"]
    assert all(MADE.fullmatch(answer.headers[HEADER]) for answer in made)
    assert made[0].headers[HEADER] != made[1].headers[HEADER]


@pytest.mark.parametrize(
    "sent",
    ["", " ", "two words", "a" * 65, "a,b", "naïve", "<b>", ALICE_KEY, "A1-" * 15],
    ids=["empty", "blank", "words", "long", "list", "not ASCII", "markup", "a key", "like a token"],
)
def test_what_is_not_plain_and_short_is_replaced(client: FlaskClient, sent: str) -> None:
    answer = client.get("/healthz", headers={HEADER: sent})
    assert MADE.fullmatch(answer.headers[HEADER])


def test_pages_of_other_origins_may_read_it(client: FlaskClient) -> None:
    answer = client.get(f"/api/log/token?key={ALICE_KEY}", headers={"Origin": "https://elsewhere.example"})
    assert HEADER in answer.headers["Access-Control-Expose-Headers"].split(", ")


def test_what_is_logged_during_a_request_says_it(
    client: FlaskClient, store: LogStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(store, "record", fail)
    with caplog.at_level(logging.ERROR, "logservice"):
        answer = client.post("/api/log/", json=make_event(), headers={**GATEWAY, HEADER: "seen-again"})
    assert answer.status_code == 500
    assert caplog.messages == ["[seen-again] POST '/api/log/' failed"]


def test_no_path_begins_a_line_of_the_log(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    client.application.view_functions["logservice_docs.file"] = fail
    with caplog.at_level(logging.ERROR, "logservice"):
        answer = client.get("/docs/static/x/%0Aforged%0D%1B[2J", headers={HEADER: "one"})
    assert answer.status_code == 500
    assert caplog.messages == [r"[one] GET '/docs/static/x/\nforged\r\x1b[2J' failed"]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Flask]:
    """An application with a page of its own, and the log below /usage."""
    app = Flask("host", instance_path=str(tmp_path))
    app.add_url_rule("/own", view_func=lambda: "the host's own page")
    LogService(
        app,
        authenticate=lambda _: Principal(1, "root", "admin"),
        url_prefix="/usage",
        ingest=True,
        data=True,
        page=True,
        docs=True,
        metrics=True,
    )
    yield app
    app.extensions["logservice"].store.close()


def test_every_route_of_ours_in_a_host_has_one(host: Flask) -> None:
    client = host.test_client()
    ours = [rule for rule in host.url_map.iter_rules() if rule.endpoint.startswith("logservice")]
    assert {"/usage/openapi.json", "/usage/page/", "/usage/ingest/v1/traces"} <= {rule.rule for rule in ours}
    for rule in ours:
        path = re.sub("<[^>]+>", "x", rule.rule)
        for method in rule.methods or ():
            answer = client.open(path, method=method, headers={HEADER: "one"})
            assert answer.headers.getlist(HEADER) == ["one"], (method, path)


def test_a_host_s_own_answers_have_none(host: Flask) -> None:
    client = host.test_client()
    assert client.get("/usage/self", headers={HEADER: "one"}).headers[HEADER] == "one"
    assert HEADER not in client.get("/own", headers={HEADER: "one"}).headers
    assert HEADER not in client.get("/nowhere", headers={HEADER: "one"}).headers
