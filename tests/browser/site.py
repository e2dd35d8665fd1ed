"""What the log of the browser tests holds: calls of two people, errors, and a row that means harm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from tests.serving import Service, send

ALICES_KEY = "sk-alices-laptop-key-000001"
#: In every text of one row: if any is taken for HTML, the window of the page says so.
HARM = '<img src=x onerror="window.broken = true">'
ALICES_CALLS, BOBS_CALLS, ERRORS = 130, 20, 3
#: Those of `alices_call`, as its ratios make it: (1000 + 200 * 4) * 1.25.
QUOTA = 2250
MODEL = "gpt-4o"


def call(**fields: Any) -> dict[str, Any]:
    """Return a call of Alice's, billed by ratios."""
    other = {"model_ratio": 1.25, "completion_ratio": 4, "group_ratio": 1, "cache_ratio": 0.5, "frt": 310}
    return {
        "type": "consume",
        "username": "alice",
        "token_key": ALICES_KEY,
        "token_name": "laptop",
        "model_name": MODEL,
        "channel_id": 3,
        "channel_name": "east",
        "group": "default",
        "quota": QUOTA,
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "use_time_ms": 2400,
        "first_token_ms": 310,
        "is_stream": True,
        "content": "a call that went well",
        "other": other,
        **fields,
    }


def events(now: int) -> Iterator[dict[str, Any]]:
    """Yield all events, the newest a minute old."""
    for place in range(ALICES_CALLS):
        yield call(created_at=now - 60 - place * 300, request_id=f"call-{place:04d}")
    bob = {"username": "bob", "token_key": "sk-bobs-own-key-00000000001", "token_name": "phone"}
    for place in range(BOBS_CALLS):
        yield call(
            created_at=now - 90 - place * 1800, model_name="claude-sonnet-4", quota=9000, channel_id=4, **bob
        )
    for place in range(ERRORS):
        yield call(
            created_at=now - 120 - place * 600,
            type="error",
            quota=0,
            content="upstream: Too Many Requests",
            other="",
        )
    texts = ("model_name", "channel_name", "group", "content", "request_id", "ip")
    harm = dict.fromkeys(texts, HARM)
    yield call(
        created_at=now - 75,
        **{**harm, "username": HARM, "token_name": HARM, "other": json.dumps({HARM: HARM})},
    )


def record(service: Service, *wanted: dict[str, Any]) -> None:
    """Have the gateway record events, every one of them."""
    connection = service.open()
    try:
        status, answer = send(connection, "POST", "/api/log/", user="gateway", body=list(wanted))
    finally:
        connection.close()
    assert (status, answer["data"]) == (200, {"accepted": len(wanted), "rejected": []}), answer


def fill(service: Service) -> None:
    """Record all events."""
    record(service, *events(int(time.time())))
