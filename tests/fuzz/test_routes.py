"""Every route under hostile requests on every engine: what is answered is documented, and never a mistake.

LOGSERVICE_TEST_FUZZ_CASES=1000000 tries 14,092 requests on each engine. They are the same ones each time.
"""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from logservice.store.filters import Filters
from logservice.store.ids import between
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.conftest import MakeApp, store_of, with_everybody
from tests.fuzz.test_parsers import CASES, CORPUS, SEED
from tests.rows import ALICE, ALICE_KEY, GATEWAY, NOW, ROOT, Headers, make_event, post
from tests.store_rows import buckets, rebuilt

#: Requests to each operation in a short run, and values that each of its parameters has in turn.
FEW = 8
FEW_VALUES = 5
#: What a request needs beside the parameter that is tried.
NEEDED = {"keyword": "x", "target_timestamp": "1", "key": ALICE_KEY}
TEXTS = (
    *("", " ", "0", "-0", "1", "-1", "+1", "01", "1.5", "1e400", "NaN", "Infinity", "9" * 40, "9" * 5000),
    *(str(2**31), str(2**53), str(2**63 - 1), str(2**63), str(-(2**63) - 1), str(NOW), f"{NOW}000"),
    *("\0", "a\0b", "\ud800", "\ufffd", "\u202e", "é", "Ａ", "١", "ﬁ", "İ", "ß", "x" * 4000),
    *(
        "%",
        "%%",
        "%" * 200,
        "a%b",
        "_",
        "*",
        "?",
        "[",
        "\\",
        "'",
        '"',
        "''",
        "';--",
        "' OR 1=1 --",
        "{}",
        "[]",
    ),
    *(
        "\r\nX: y",
        "../..",
        "<script>",
        "=1+1",
        "null",
        "true",
        "error",
        "错误",
        "consume",
        "model_name",
        "hour",
    ),
    *("model_name,username", "Asia/Shanghai", "../etc/passwd", "UTC\0", "csv", "ndjson", "bytes=0-", "*/*"),
)
texts = st.sampled_from(TEXTS) | st.text(max_size=12)
KINDS = (
    "application/json",
    "application/x-ndjson",
    "application/x-protobuf",
    "application/cloudevents+json",
    "",
)
people = st.sampled_from([*[ROOT] * 6, ALICE, GATEWAY, {}, {"Authorization": f"Bearer {ALICE_KEY}"}])
#: Headers cannot hold line ends: clients refuse to send them, and servers to read them.
header_values = texts.map(lambda text: text.encode("utf-8", "replace").decode("latin-1")).map(
    lambda text: "".join(sign for sign in text if sign.isprintable())
)
headers = st.dictionaries(
    st.sampled_from(
        [
            *(
                "Accept",
                "Accept-Language",
                "Content-Encoding",
                "Content-Type",
                "Cookie",
                "Host",
                "If-None-Match",
            ),
            *("Idempotency-Key", "Origin", "Range", "X-Forwarded-For", "X-Request-ID", "New-API-User"),
            *(
                "ce-specversion",
                "ce-id",
                "ce-source",
                "ce-type",
                "ce-time",
                "Authorization",
                "Transfer-Encoding",
            ),
        ]
    ),
    header_values,
    max_size=3,
)
SEEDS = [path.read_bytes() for path in sorted(CORPUS.rglob("*")) if path.is_file()]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
events = st.dictionaries(
    st.sampled_from([*make_event(), "other", "ip", "use_time", "token_key"]), values, max_size=4
)
bodies = (
    st.sampled_from(SEEDS)
    | st.binary(max_size=40)
    | st.lists(events, max_size=4).map(lambda found: json.dumps(found).encode())
)


@dataclass(frozen=True)
class Operation:
    """One method of one path, the parameters of its query, and the statuses that are documented."""

    method: str
    path: str
    parameters: tuple[str, ...]
    statuses: frozenset[int]


@pytest.fixture(scope="module")
def app(make_shared_app: MakeApp) -> Flask:
    """One service for all requests, with a few rows."""
    app = with_everybody(make_shared_app(TOKEN_RATE_LIMIT="0"))
    post(app.test_client(), *(make_event(created_at=NOW - 1000 * number) for number in range(20)))
    return app


def operations(client: FlaskClient) -> list[Operation]:
    """Return all that the OpenAPI document tells of."""
    document: dict[str, Any] = client.get("/openapi.json").json
    known = document["components"].get("parameters", {})
    return [
        Operation(
            method.upper(),
            path,
            tuple(
                known.get(one.get("$ref", "").rpartition("/")[2], one)["name"]
                for one in told.get("parameters", [])
            ),
            frozenset(map(int, told["responses"])),
        )
        for path, methods in document["paths"].items()
        for method, told in methods.items()
        if isinstance(told, dict)
    ]


def test_no_request_finds_a_mistake(app: Flask) -> None:
    client = app.test_client()
    found = operations(client)
    assert len(found) > 20
    chance = random.Random(SEED)
    for operation in found:
        for name in operation.parameters:
            for value in TEXTS if CASES else chance.sample(TEXTS, FEW_VALUES):
                _ask(client, operation, name, value)
        _try(client, operation, max(FEW, CASES // 200 // len(found)))
    # What was stored counts, whatever came.
    store = store_of(app)
    assert buckets(store) == rebuilt(store)


def _sent(client: FlaskClient, operation: Operation, path: str, **sent: Any) -> None:
    """Send a request, and check its answer, and that nothing is there of what was refused."""
    store = store_of(client.application)
    before = _total(store)
    answer = client.open(path, method=operation.method, **sent)
    _check(operation, answer)
    if answer.status_code >= 400:
        assert _total(store) == before, (operation, sent)


def _total(store: LogStore) -> int:
    return store.page(Scope.site(), Filters(), between(), fields=("id",), page=1, page_size=1).total


def _ask(client: FlaskClient, operation: Operation, name: str, value: str) -> None:
    """Give one parameter a value, and all else as it should be, so that nothing is refused before it."""
    needed = {other: text for other, text in NEEDED.items() if other in operation.parameters}
    query = {**needed, name: value}
    encoded = {name: text.encode("utf-8", "surrogatepass") for name, text in query.items()}
    _sent(client, operation, operation.path, query_string=encoded, headers=ROOT)


def _try(client: FlaskClient, operation: Operation, requests: int) -> None:
    names = st.sampled_from([*operation.parameters, "unknown"])

    # A seed of its own for each, or all would be asked the same.
    @seed(SEED + zlib.crc32(f"{operation.method} {operation.path}".encode()))
    @settings(max_examples=requests, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.dictionaries(names, texts, max_size=4),
        people,
        headers,
        bodies,
        st.sampled_from(KINDS),
        st.booleans(),
    )
    def request(
        query: dict[str, str], who: Headers, more: Headers, body: bytes, kind: str, slash: bool
    ) -> None:
        encoded = {name: value.encode("utf-8", "surrogatepass") for name, value in query.items()}
        _sent(
            client,
            operation,
            operation.path + "/" * slash,
            query_string=encoded,
            headers={**who, "Content-Type": kind, **more},
            data=body if operation.method == "POST" else None,
        )

    request()


def _check(operation: Operation, answer: TestResponse) -> None:
    shown = (operation.method, operation.path, answer.status_code, answer.data[:200])
    assert answer.status_code in operation.statuses, shown
    assert answer.status_code < 500, shown
    if operation.path == "/v1/traces" or (answer.status_code < 300 and answer.mimetype != "application/json"):
        return
    if operation.path == "/openapi.json":
        return
    told = json.loads(answer.data)
    assert isinstance(told["success"], bool), shown
    assert ("data" in told) == told["success"], shown
    assert bool(told["message"]) != told["success"], shown
