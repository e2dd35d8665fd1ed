"""The rows that both sides hold: made up, seeded, streamed, and cut to the columns of a gateway's table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

import orjson

from logservice.demo import generate
from logservice.store.ids import DAY

Row = dict[str, Any]
Values = tuple[Any, ...]

#: What a gateway keeps of a call, its own id aside. Neither side gets anything else to store.
COLUMNS = (
    "user_id",
    "created_at",
    "type",
    "content",
    "username",
    "token_name",
    "model_name",
    "quota",
    "prompt_tokens",
    "completion_tokens",
    "use_time",
    "is_stream",
    "channel_id",
    "token_id",
    "group",
    "ip",
    "other",
)

#: The values of a row in the order of the columns.
values_of = itemgetter(*COLUMNS)


def history(count: int, *, end: int) -> Iterator[Row]:
    """Yield the rows of the thirty days before `end`, oldest first; the same every time."""
    return map(_cut, generate(count, end=end))


def following(count: int, *, end: int) -> Iterator[Row]:
    """Yield rows of the day after `end`, by the same people: what is written while things are measured."""
    return map(_cut, generate(count, end=end + DAY, days=1))


def batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yield the rows in lists of `size`, the last one shorter."""
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


def ndjson(rows: Sequence[Row]) -> bytes:
    """Return rows as one JSON object a line."""
    return b"\n".join(map(orjson.dumps, rows))


def _cut(event: Row) -> Row:
    # A gateway counts whole seconds; milliseconds would be a column more to store, and only for one side.
    event["use_time"] = event["use_time_ms"] // 1000 if event["use_time_ms"] else 0
    return {name: event[name] for name in COLUMNS}
