"""What the rows of a gateway are to become, said in the plainest way and without the importer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from logservice.store.store import LogStore
from tests.gateways.flavours import Filled
from tests.store_rows import raw_rows

Row = dict[str, Any]

# Our numbers of the kinds that a gateway numbers otherwise.
_NEW_API = {0: 3, 4: 5, 5: 4}
_ONE_API = {0: 3, 4: 5, 5: 3}
#: Names longer than this are cut, so the names of a row do not tell then what it is to become.
_LONGEST = 128


def can_be_stored(row: Row) -> bool:
    """Whether a row has a time: all others can be stored, somehow."""
    return bool(row["created_at"])


def facts(row: Row, user_ids: Mapping[str, int]) -> tuple[Any, ...]:
    """Return what a row of the gateway is to say here; a name alone stands for the user who bears it."""
    kinds, milliseconds = (
        (_ONE_API, row["elapsed_time"])
        if "elapsed_time" in row
        else (_NEW_API, (row["use_time"] or 0) * 1000)
    )
    number = row["type"] or 0
    return (
        row["created_at"],
        kinds.get(number, number),
        row["user_id"] or user_ids.get(row["username"] or "", 0),
        (row["model_name"] or "")[:_LONGEST],
        row["channel_id"] or 0,
        row["quota"] or 0,
        row["prompt_tokens"] or 0,
        row["completion_tokens"] or 0,
        max(milliseconds or 0, 0),
        bool(row["is_stream"]),
        (row["content"] or "")[:1000],
    )


def facts_of(*fillings: Filled) -> list[tuple[Any, ...]]:
    """Return the facts of all rows of a gateway that can be stored, sorted."""
    user_ids = {user["username"]: user["id"] for filled in fillings for user in filled.users}
    rows = (row for filled in fillings for row in filled.logs)
    return sorted(facts(row, user_ids) for row in rows if can_be_stored(row))


def facts_in(store: LogStore) -> list[tuple[Any, ...]]:
    """Return the facts of all rows of a log, sorted."""
    names = (
        *("created_at", "type", "user_id", "model_name", "channel_id", "quota", "prompt_tokens"),
        *("completion_tokens", "use_time_ms", "is_stream"),
    )
    return sorted((*(row[name] for name in names), row["content"][:1000]) for row in raw_rows(store))
