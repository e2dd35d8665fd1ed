"""Keys and tokens, sent wherever clients put them, and nothing that the service writes has any of them.

Neither what it prints, be the access log text or JSON and the error log at its most talkative, nor its
figures, nor its files, nor any column of the database: there only hashes stand for them. What events say,
their content and `other`, is the producer's, and kept as it was sent.
"""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask
from sqlalchemy import Connection, inspect, text

from logservice.store import accounts
from logservice.store.store import LogStore
from tests.conftest import Lend
from tests.leaks import SECRETS, assert_no_row_leaks, assert_nothing_leaked
from tests.serving import TOKENS, Service, open_store, serving

#: A key and tokens that are known, and others that are not; all are such as tests.leaks knows again, and
#: tokens as long as those that are issued.
KNOWN_KEY = "sk-known-to-the-service-0001"
STRANGE_KEY = "sk-nobody-knows-this-one-0002"
STRANGE_TOKEN = "strange-access-token-with-43-characters-0003"
OWN_TOKEN = "eve-s-own-access-token-with-43-characters-05"
ADMIN_TOKEN = "an-admin-s-access-token-with-43-characters-6"
METRICS_TOKEN = "metrics-access-token-0004"
SECRETS_SENT = (
    KNOWN_KEY,
    STRANGE_KEY,
    STRANGE_TOKEN,
    METRICS_TOKEN,
    OWN_TOKEN,
    ADMIN_TOKEN,
    *TOKENS.values(),
)


def routes(app: Flask) -> list[tuple[str, str]]:
    """Return every method and path of the service."""
    return sorted(
        (method, rule.rule.replace("<version>", "0").replace("<path:name>", "app.js"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    )


def ways(secret: str) -> list[tuple[str, dict[str, str]]]:
    """Return queries and headers with a secret in each place where a client may put it."""
    quoted = quote(secret)
    return [
        (f"?key={quoted}", {}),
        (f"?token={quoted}&keyword={quoted}", {"X-Request-ID": secret}),
        ("", {"Authorization": f"Bearer {secret}"}),
        (f"/{quoted}", {"Authorization": secret}),
        (f"/?key={quoted}", {"Authorization": f"Basic {secret}", "User-Agent": f"client {secret}"}),
        ("?type=abc&p=x", {"Authorization": f"Bearer {secret}", "Referer": f"https://x.example/?{quoted}"}),
        ("", {"X-Api-Key": secret, "New-Api-User": secret, "Cookie": f"session={secret}"}),
        ("", {"Authorization": f"Bearer {secret}", "Idempotency-Key": secret}),
    ]


WAYS = len(ways(""))

#: Bodies: good ones, with keys where they belong, and bad ones, with keys anywhere.
EVENTS: tuple[Any, ...] = (
    {"username": "alice", "token_key": KNOWN_KEY, "model_name": "gpt-4o"},
    {"username": "alice", "token_key": STRANGE_KEY.removeprefix("sk-"), "request_id": "new"},
    {"username": "alice", KNOWN_KEY: STRANGE_KEY},
    {"username": "alice", "token_hash": STRANGE_KEY},
    {"username": "alice", "created_at": STRANGE_TOKEN},
    [{"token_key": KNOWN_KEY, "quota": STRANGE_KEY}],
    STRANGE_KEY,
    {"specversion": "1.0", "id": "1", "source": "x", "type": "y", "data": {"key": STRANGE_KEY}},
    {"resourceSpans": STRANGE_KEY},
    {
        "id": "litellm",
        "call_type": "completion",
        "model": "gpt-4o",
        "status": "success",
        "metadata": {"user_api_key": KNOWN_KEY, "headers": {"authorization": STRANGE_KEY}},
    },
    {"timestamp": "2026-01-01T00:00:00Z", "model": "gpt-4o", "api_key": KNOWN_KEY},
)


def bodies() -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield bodies with their headers."""
    for event in EVENTS:
        yield json.dumps(event).encode(), {"Content-Type": "application/json"}
    yield f'{{"token_key": "{KNOWN_KEY}"'.encode(), {"Content-Type": "application/json"}
    yield f"token_key={STRANGE_KEY}".encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    yield STRANGE_KEY.encode(), {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    yield gzip.compress(KNOWN_KEY.encode()), {"Content-Type": STRANGE_KEY, "Content-Encoding": "gzip"}


def call(service: Service, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> int:
    connection = service.open()
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def call_raw(service: Service, sent: str) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(sent.encode())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def use(service: Service, known: list[tuple[str, str]]) -> set[int]:
    """Call every route with secrets everywhere, and return the statuses that were seen."""
    seen = {call(service, "PUT", f"/api/log/?key={KNOWN_KEY}", {})}
    # Five secrets and eight ways: each in every one of them, over the routes.
    secrets = cycle((STRANGE_KEY, KNOWN_KEY, STRANGE_TOKEN, OWN_TOKEN, ADMIN_TOKEN))
    for method, path in known:
        for number in range(WAYS):
            query, headers = ways(next(secrets))[number]
            seen.add(call(service, method, path + query, headers))
    for path in sorted({path for method, path in known if method == "POST"}):
        for body, headers in bodies():
            sent = {**headers, "Authorization": f"Bearer {TOKENS['gateway']}"}
            seen.add(call(service, "POST", path, sent, body))
    for version in ("1.1\r\nBad Header: x", "9.9", "1.1\r\nTransfer-Encoding: x"):
        call_raw(
            service,
            f"GET /api/log/token?key={KNOWN_KEY} HTTP/{version}\r\nAuthorization: {STRANGE_KEY}\r\n\r\n",
        )
    return seen


def fail(service: Service, store: LogStore) -> set[int]:
    """Have the database fail, and call what needs it."""
    moves = (("log_records", "away"), ("log_tokens", "away_too"), ("log_users", "away_as_well"))
    for name, other in moves:
        store.write(
            lambda connection, a=name, b=other: connection.execute(text(f"ALTER TABLE {a} RENAME TO {b}"))
        )
    root = {"Authorization": f"Bearer {TOKENS['root']}"}
    seen = {
        call(service, "GET", f"/api/log/token?key={KNOWN_KEY}", {}),
        call(service, "GET", "/api/log/", root),
        call(service, "GET", "/readyz", {}),
        call(service, "POST", "/api/log/", root, json.dumps(EVENTS[0]).encode()),
    }
    for name, other in moves:
        store.write(
            lambda connection, a=name, b=other: connection.execute(text(f"ALTER TABLE {b} RENAME TO {a}"))
        )
    return seen


def figures(service: Service) -> bytes:
    connection = service.open()
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        response = connection.getresponse()
        assert response.status == 200
        return response.read()
    finally:
        connection.close()


def introduce(connection: Connection) -> None:
    """Make the secrets known that are to be known, beside those of every service of the tests."""
    eve = accounts.add_user(connection, "eve", role="user", secret=OWN_TOKEN)
    accounts.add_user(connection, "boss", role="admin", secret=ADMIN_TOKEN)
    accounts.add_token(connection, "known", user_id=eve.id, key=KNOWN_KEY)


def test_the_secrets_of_this_test_would_be_found() -> None:
    for secret in SECRETS_SENT:
        assert SECRETS.findall(secret.encode()) == [secret.encode()]


def test_nothing_that_is_written_holds_a_key_or_a_token(
    app: Flask, tmp_path: Path, engine_name: str, lend: Lend
) -> None:
    known = routes(app)
    folder = tmp_path / "service"
    folder.mkdir()
    environ = {
        # That does not depend on the engine: each has one of both.
        "LOGSERVICE_ACCESS_LOG": {"sqlite": "text", "postgresql": "json"}[engine_name],
        "LOGSERVICE_LOG_LEVEL": "debug",
        "LOGSERVICE_METRICS_TOKEN": METRICS_TOKEN,
        "LOGSERVICE_TOKEN_RATE_LIMIT": "200/minute",
    }
    with (
        lend(folder) as url,
        serving(folder, environ=environ, url=url) as service,
        closing(open_store(url)) as store,
    ):
        store.write(introduce)
        seen = use(service, known) | fail(service, store)
        assert {200, 400, 401, 403, 404, 405, 415, 503} <= seen
        assert 500 not in seen
        assert store.count_all() > 2
        told = figures(service)
        with store.reading() as connection:
            names = inspect(connection).get_table_names()
            # Tables of an index are no columns of ours; the file is looked into as a whole.
            ours = [name for name in names if name.startswith("log_") and "index" not in name]
            rows = [row for name in ours for row in connection.execute(text(f'SELECT * FROM "{name}"'))]
        assert len(rows) > 10
        assert_no_row_leaks(rows)
        assert_nothing_leaked(folder, told, service.output.read_bytes())
        assert service.printed().count("\n") > 100
