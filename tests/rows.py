"""The people of the tests and the events they cause."""

from __future__ import annotations

import json
from typing import Any

from flask.testing import FlaskClient

from tests.answers import assert_ok

#: What the clock of every test says, in epoch seconds: 12:34:56 of a day in 2025, UTC.
NOW = 1_760_013_296

Headers = dict[str, str]


def bearer(token: str) -> Headers:
    """Return the header that carries an access token or a key."""
    return {"Authorization": f"Bearer {token}"}


ROOT_TOKEN = "root-access-token-0001"
ALICE_TOKEN = "alice-access-token-0007"
BOB_TOKEN = "bob-access-token-0008"
GATEWAY_TOKEN = "gateway-access-token-0009"

ROOT = bearer(ROOT_TOKEN)
ALICE = bearer(ALICE_TOKEN)
BOB = bearer(BOB_TOKEN)
GATEWAY = bearer(GATEWAY_TOKEN)

ALICE_ID = 7
BOB_ID = 8

#: Who has a login: name, role, id, access token.
PEOPLE = (
    ("root", "admin", 1, ROOT_TOKEN),
    ("alice", "user", ALICE_ID, ALICE_TOKEN),
    ("bob", "user", BOB_ID, BOB_TOKEN),
    ("gateway", "writer", 9, GATEWAY_TOKEN),
)

ALICE_KEY = "sk-alice-laptop-key-000070"
BOB_KEY = "sk-bob-phone-key-000000080"
ALICE_TOKEN_ID = 70
BOB_TOKEN_ID = 80

#: The API keys that exist: name, owner, id, key.
KEYS = (
    ("laptop", ALICE_ID, ALICE_TOKEN_ID, ALICE_KEY),
    ("phone", BOB_ID, BOB_TOKEN_ID, BOB_KEY),
)


def make_event(**fields: Any) -> dict[str, Any]:
    """Return an event: a call of Alice's that went well ten seconds ago, unless told otherwise."""
    return {
        "created_at": NOW - 10,
        "type": "consume",
        "user_id": ALICE_ID,
        "username": "alice",
        "token_id": ALICE_TOKEN_ID,
        "token_name": "laptop",
        "model_name": "gpt-4o",
        "channel_id": 3,
        "channel_name": "east",
        "group": "default",
        "quota": 100,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "content": "answered",
        **fields,
    }


def make_bobs_event(**fields: Any) -> dict[str, Any]:
    """Return an event of Bob's, from his phone."""
    owner = {"user_id": BOB_ID, "username": "bob", "token_id": BOB_TOKEN_ID, "token_name": "phone"}
    return make_event(**{**owner, **fields})


def post(client: FlaskClient, *events: dict[str, Any]) -> None:
    """Have the gateway record events, every one of them."""
    data = assert_ok(client.post("/api/log/", json=list(events), headers=GATEWAY))
    assert data == {"accepted": len(events), "rejected": []}


def post_contents(client: FlaskClient, *contents: str, **fields: Any) -> None:
    """Record one event of Alice's for each content, a second apart, the last one newest."""
    start = NOW - 10 - len(contents)
    post(
        client,
        *(
            make_event(created_at=start + place, content=text, **fields)
            for place, text in enumerate(contents)
        ),
    )


def contents(rows: list[dict[str, Any]]) -> list[str]:
    """Return what tells the rows of a test apart."""
    return [row["content"] for row in rows]


def only_row(client: FlaskClient, path: str = "/api/log/", headers: Headers = ROOT) -> dict[str, Any]:
    """Return the one row that a list shows, as an array or as a page."""
    data = assert_ok(client.get(path, headers=headers))
    [row] = data if isinstance(data, list) else data["items"]
    assert isinstance(row, dict)
    return row


def compact(value: Any) -> str:
    """Return JSON text as this service writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
