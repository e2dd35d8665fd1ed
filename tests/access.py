"""Everybody who may call the service, every route it has, and who is to see whose rows there.

Every row has the mark of the token it was made with in all of its texts, and a digit of its own in its quota,
so that whatever is answered tells whose rows it was made of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection
from werkzeug.test import TestResponse

from logservice.store import accounts
from logservice.store.tables import tokens, users
from tests.answers import assert_ok
from tests.conftest import MakeApp, store_of, with_everybody
from tests.rows import (
    ALICE,
    ALICE_ID,
    ALICE_KEY,
    ALICE_TOKEN,
    ALICE_TOKEN_ID,
    BOB,
    BOB_ID,
    BOB_KEY,
    BOB_TOKEN_ID,
    GATEWAY,
    ROOT,
    Headers,
    bearer,
    make_event,
    post,
)

SCRAPER_TOKEN = "the-token-of-prometheus"
TABLET_KEY = "sk-alice-tablet-key-000071"
WATCH_KEY = "sk-carol-watch-key-0000090"
CAROL_TOKEN = "carol-access-token-0010"
BOSS_TOKEN = "boss-access-token-0011"
OLD_TOKEN = "old-access-token-0012"

#: Carol and the boss will be disabled, and Dave's token replaced by another.
PEOPLE = (
    (10, "carol", "user", CAROL_TOKEN),
    (11, "boss", "admin", BOSS_TOKEN),
    (12, "dave", "admin", OLD_TOKEN),
)
#: The tokens with which rows were made: owner, name of the owner, id, key. The tablet's will be disabled.
TOKENS = {
    "laptop": (ALICE_ID, "alice", ALICE_TOKEN_ID, ALICE_KEY),
    "tablet": (ALICE_ID, "alice", 71, TABLET_KEY),
    "phone": (BOB_ID, "bob", BOB_TOKEN_ID, BOB_KEY),
    "watch": (10, "carol", 90, WATCH_KEY),
}
#: Texts of a row that end with its mark.
MARKED = ("model_name", "content", "group", "request_id", "channel_name")

Marks = frozenset[str]
NOTHING: Marks = frozenset()
EVERYTHING: Marks = frozenset(TOKENS)


@dataclass(frozen=True)
class Caller:
    """Somebody who calls: with which credential, as what they are known, and the marks of their own rows."""

    headers: Headers
    role: str = "nobody"
    rows: Marks = NOTHING


CALLERS = {
    "nobody": Caller({}),
    "a wrong token": Caller(bearer("nobody-has-this-token")),
    "two tokens in one header": Caller(bearer(f"{ALICE_TOKEN}, Bearer {OLD_TOKEN}")),
    "a user": Caller(ALICE, "user", frozenset({"laptop", "tablet"})),
    "another user": Caller(BOB, "user", frozenset({"phone"})),
    "an admin": Caller(ROOT, "admin"),
    "a writer": Caller(GATEWAY, "writer"),
    "a key": Caller(bearer(ALICE_KEY), "key", frozenset({"laptop"})),
    "a disabled key": Caller(bearer(TABLET_KEY)),
    "a key of a disabled user": Caller(bearer(WATCH_KEY)),
    "a disabled user": Caller(bearer(CAROL_TOKEN)),
    "a disabled admin": Caller(bearer(BOSS_TOKEN)),
    "a token that was replaced": Caller(bearer(OLD_TOKEN)),
    "prometheus": Caller(bearer(SCRAPER_TOKEN), "scraper"),
}
LOGINS = frozenset({"user", "admin", "writer"})


@dataclass(frozen=True)
class Door:
    """Whom a route lets in, whose rows it shows if any, what a good call sends, and how that is answered."""

    opens_to: frozenset[str]
    shows: str = "no rows"
    query: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    status: int = 200

    def rows_for(self, caller: Caller) -> Marks:
        """Return the marks that a caller sees here."""
        if caller.role not in self.opens_to or self.shows == "no rows":
            return NOTHING
        return caller.rows if self.shows == "own rows" else EVERYTHING


OPEN = Door(LOGINS | {"nobody", "key", "scraper"})
ADMIN = frozenset({"admin"})


def own(**query: Any) -> Door:
    return Door(frozenset({"user", "admin"}), "own rows", query)


def site(**query: Any) -> Door:
    return Door(ADMIN, "all rows", query)


def writing(body: bytes = b"[]", status: int = 200) -> Door:
    return Door(frozenset({"writer", "admin"}), body=body, status=status)


KEY_ROUTE = "/api/log/token"
#: Every route there is. A new one belongs here, with whom it lets in and whose rows it shows.
ROUTES = {
    ("GET", "/"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/api/user/self"): Door(LOGINS),
    ("GET", "/metrics"): Door(ADMIN | {"scraper"}),
    ("GET", KEY_ROUTE): Door(frozenset({"key"}), "own rows"),
    ("GET", "/api/log/self"): own(),
    ("GET", "/api/log/self/stat"): own(),
    ("GET", "/api/log/self/usage"): own(group_by="model_name"),
    ("GET", "/api/log/self/search"): own(keyword="content"),
    ("GET", "/api/log/self/export"): own(),
    ("GET", "/api/data/self"): own(),
    ("GET", "/api/log"): site(),
    ("GET", "/api/log/stat"): site(),
    ("GET", "/api/log/usage"): site(group_by="model_name"),
    ("GET", "/api/log/search"): site(keyword="content"),
    ("GET", "/api/log/export"): site(),
    ("GET", "/api/data"): site(),
    ("GET", "/api/log/purge"): Door(ADMIN),
    ("GET", "/api/log/health"): Door(ADMIN),
    ("DELETE", "/api/log"): Door(ADMIN, query={"target_timestamp": 1}),
    ("POST", "/api/log"): writing(),
    ("POST", "/api/ingest/litellm"): writing(),
    ("POST", "/api/ingest/cliproxyapi"): writing(),
    ("POST", "/api/v1/events"): writing(status=204),
    ("POST", "/v1/traces"): writing(b"{}"),
}
#: Files of pages, open to all, which have no rows in them.
FILES = {("GET", "/static/<version>/<path:name>"), ("GET", "/docs/static/<version>/<path:name>")}
OWN_ROUTES = [path for (_, path), door in ROUTES.items() if door.shows == "own rows"]
#: Those that ask for a credential.
CLOSED = [(method, path) for (method, path), door in ROUTES.items() if door is not OPEN]


def spellings(path: str) -> set[str]:
    """Return a path without and with a slash at its end."""
    return {path, f"{path.rstrip('/')}/"}


def call(client: FlaskClient, method: str, path: str, headers: Headers, **sent: Any) -> TestResponse:
    """Call a route with all that it wants, unless something else is sent."""
    door = ROUTES[method.replace("HEAD", "GET"), path.rstrip("/") or "/"]
    kind = {} if door.body is None else {"content_type": "application/json"}
    wanted = {"query_string": door.query, "data": door.body, **kind}
    return client.open(path, method=method, headers=headers, **{**wanted, **sent})


def seen(answer: TestResponse) -> Marks:
    """Return whose rows an answer was made of. What is refused may repeat what was asked for."""
    if answer.status_code == 400:
        return NOTHING
    marks = set(re.findall(r"of-(\w+)", answer.text))
    data = (answer.get_json(silent=True) or {}).get("data")
    if isinstance(data, dict) and "rpm" in data:
        marks |= {name for place, name in enumerate(TOKENS) if data["quota"] // 10**place % 10}
    return frozenset(marks)


def app_of_everybody(make_app: MakeApp) -> Flask:
    """Make a service with rows of all; who is locked out of it was known to it a moment before."""
    app = with_everybody(make_app(METRICS_TOKEN=SCRAPER_TOKEN))
    store, client = store_of(app), app.test_client()
    store.write(_introduce)
    for place, (name, (user_id, username, token_id, _)) in enumerate(TOKENS.items()):
        owner = {"user_id": user_id, "username": username, "token_id": token_id, "token_name": name}
        texts = {text: f"{text} of-{name}" for text in MARKED} | {"other": {"note": f"of-{name}"}}
        post(client, make_event(**owner, **texts, ip=f"192.0.2.{place + 1}", quota=10**place))
    for token in (CAROL_TOKEN, BOSS_TOKEN, OLD_TOKEN):
        assert_ok(client.get("/api/log/self", headers=bearer(token)))
    for key in (TABLET_KEY, WATCH_KEY):
        assert len(assert_ok(client.get(KEY_ROUTE, headers=bearer(key)))) == 1
    store.write(_lock_out)
    return app


def _introduce(connection: Connection) -> None:
    for user_id, username, role, secret in PEOPLE:
        accounts.add_user(connection, username, role=role, user_id=user_id, secret=secret)
    for name in ("tablet", "watch"):
        user_id, _, token_id, key = TOKENS[name]
        accounts.add_token(connection, name, user_id=user_id, token_id=token_id, key=key)


def _lock_out(connection: Connection) -> None:
    for user_id in (10, 11):
        accounts.disable(connection, users, user_id)
    accounts.disable(connection, tokens, TOKENS["tablet"][2])
    accounts.rotate_user(connection, 12, "new-access-token-0012")
