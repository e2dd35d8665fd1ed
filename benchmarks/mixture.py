"""What clients of a busy service ask for: pages, statistics, usage, searches, mixed with posts of events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, cycle

import orjson

from .offering import Request

#: Of so many requests one is a post: as many as there are reads.
POST_EVERY = 2
#: Each post of so many carries a batch.
BATCH_EVERY, BATCH = 20, 50
DAY = 86400

_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "deepseek-chat")


def reads(now: int) -> Sequence[str]:
    """Return the paths that are read in turn, for an administrator."""
    week = f"start_timestamp={now - 7 * DAY}&end_timestamp={now + DAY}"
    return (
        "/api/log/?page_size=20",
        f"/api/log/?{week}&model_name=gpt-4o&page_size=20",
        "/api/log/stat",
        f"/api/log/stat?{week}&model_name=deepseek-chat",
        f"/api/log/?{week}&p=50&page_size=20",
        f"/api/log/usage?{week}&group_by=model_name&interval=day",
        "/api/log/search?keyword=nobody%20ever%20wrote%20this",
        f"/api/data/?start_timestamp={now - DAY}&end_timestamp={now + DAY}",
    )


def mixture(access_token: str, *, now: int, mark: str) -> Iterator[Request]:
    """Yield requests without an end; the request ids of posted events begin with `mark`."""
    paths = cycle(reads(now))
    for number in count():
        if number % POST_EVERY:
            yield read(access_token, next(paths))
        else:
            size = BATCH if number % (POST_EVERY * BATCH_EVERY) == 0 else 1
            yield post(access_token, f"{mark}-{number}", number, size=size)


def read(access_token: str, path: str) -> Request:
    """Return the request for a path."""
    return Request("read", _head("GET", path, access_token))


def post(access_token: str, name: str, number: int, *, size: int = 1) -> Request:
    """Return the post of so many events that have a name and follow from a number."""
    events = [_event(name, number + part) for part in range(size)]
    return Request("post", _post(access_token, orjson.dumps(events)), name)


def _event(name: str, number: int) -> dict[str, object]:
    return {
        "request_id": name,
        "user_id": 1 + number % 200,
        "username": f"user{1 + number % 200:04}",
        "token_name": "server",
        "model_name": _MODELS[number % len(_MODELS)],
        "channel_id": 1 + number % 8,
        "group": "default",
        "quota": number % 5000,
        "prompt_tokens": number % 900,
        "completion_tokens": number % 300,
        "use_time_ms": number % 20_000,
        "content": f"answered by way {number % 40}",
    }


def _head(method: str, path: str, access_token: str, more: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {access_token}\r\n{more}\r\n"
    ).encode()


def _post(access_token: str, body: bytes) -> bytes:
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return _head("POST", "/api/log/", access_token, more) + body
