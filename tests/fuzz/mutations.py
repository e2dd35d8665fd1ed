"""How inputs are bent: bytes as any fuzzer bends them, and values inside JSON put where other ones stood."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

#: Values that went wrong somewhere, sometime.
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, -0.0, 0.5, 1500.0, 1e300, -1e300, 1e301, 1e-320),
    *(float("nan"), float("inf"), float("-inf"), 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30),
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\ud800",
        "\udc00x",
        "\ufeff",
        "NaN",
        "1e400",
        "9" * 5000,
        "x" * 70_000,
        "é" * 40_000,
    ),
    *(
        "%",
        "'",
        '"',
        "=1+1",
        "{}",
        "[]",
        "null",
        '{"a":1}',
        '{"a":NaN}',
        "2025-01-01T00:00:00Z",
        "2025-06-30T23:59:60Z",
    ),
    *(
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:60Z",
        "2025-01-01",
        "sk-abcdefgh",
        "success",
        "failure",
        "1.0",
    ),
    *([], {}, [[]], [None], {"": ""}, {"a": {"b": {"c": []}}}, {"\0": "\0"}, {"\ud800": 1}, ["x"] * 40),
)


def bent(data: bytes, most: int, seed: int, by_bytes: Callable[[bytes, int], bytes]) -> bytes:
    """Return an input made of another one, at most so long: every other time one value of its JSON is new."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        return by_bytes(data, most)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return by_bytes(data, most)
    changed = json.dumps(_changed(document, chance)).encode()
    return changed if len(changed) <= most else by_bytes(data, most)


def _changed(document: Any, chance: random.Random) -> Any:
    """Return a JSON value with another one at a place somewhere inside it."""
    if isinstance(document, dict) and document and chance.random() < 0.9:
        key = chance.choice(list(document))
        return {**document, key: _changed(document[key], chance)}
    if isinstance(document, list) and document and chance.random() < 0.9:
        place = chance.randrange(len(document))
        return [*document[:place], _changed(document[place], chance), *document[place + 1 :]]
    return chance.choice(HOSTILE)
