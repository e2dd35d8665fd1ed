"""Rows that come with an id of ours, as exported rows do: they keep it, and are stored once.

An id alone does not prove that a row is there already: another service gives out the same ones. What a row is
about decides; who it belongs to does not, for that may have been learned meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from . import ids
from .contents import content_of_row
from .filters import chunks
from .identities import Row
from .records import Record
from .tables import contents, records

_TOLD_APART = (
    *("type", "model_name", "quota", "prompt_tokens", "completion_tokens", "cached_tokens", "use_time_ms"),
    *("request_id", "first_token_ms", "is_stream", "group"),
)
_facts = itemgetter(*_TOLD_APART, "content")


class Sorted(NamedTuple):
    """Rows to be stored: those that keep their ids, and those that need new ones, with their seconds.

    `back` are all that came with an id of ours, each with that id, for they may have been here before.
    """

    kept: list[Row]
    others: list[Row]
    seconds: list[int]
    back: list[Row]
    #: The ids that rows came with and that belong to others.
    displaced: set[int]


def sorted_out(connection: Connection, new: Sequence[Record], rows: Sequence[Row]) -> Sorted:
    """Sort rows by the ids they are stored under.

    Rows that are there already are left out; so are those that a batch holds twice.
    """
    wanted = {record.row_id for record in new if record.row_id is not None}
    if not wanted:
        return Sorted([], list(rows), [record.second for record in new], [], set())
    taken = _taken(connection, wanted)
    kept, others, seconds, displaced = [], [], [], []
    for record, row in zip(new, rows, strict=True):
        facts = _facts(row)
        if record.row_id is None:
            others.append(row)
            seconds.append(record.second)
        elif taken.setdefault(record.row_id, facts) != facts:
            displaced.append((record.second, row | {"id": record.row_id}))
        elif record.row_id in wanted:
            wanted.discard(record.row_id)
            kept.append(row | {"id": record.row_id})
    back = kept.copy()
    for second, row in _not_there(connection, displaced):
        back.append(row)
        others.append(row.copy())
        seconds.append(second)
    return Sorted(kept, others, seconds, back, {row["id"] for _, row in displaced})


def is_there(connection: Connection, record: Record) -> bool:
    """Whether a row of the same second says the same."""
    return _of_second(connection, record.second)[_facts(record.row)] > 0


def _not_there(connection: Connection, displaced: Sequence[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    """Yield those rows whose id belongs to another one and that were not given another id before.

    As many rows of their second that say the same are taken for them.
    """
    there: dict[int, Counter[tuple[Any, ...]]] = {}
    for second, row in displaced:
        if second not in there:
            there[second] = _of_second(connection, second)
        facts = _facts(row)
        if there[second][facts] > 0:
            there[second][facts] -= 1
        else:
            yield second, row


def _of_second(connection: Connection, second: int) -> Counter[tuple[Any, ...]]:
    """Count what the rows of a second say."""
    columns = (records.c[name] for name in _TOLD_APART)
    low, high = ids.first_id(second), ids.first_id(second + 1)
    inside = select(*columns, content_of_row).where(records.c.id >= low, records.c.id < high)
    return Counter(tuple(facts) for facts in connection.execute(inside))


def _taken(connection: Connection, wanted: set[int]) -> dict[int, tuple[Any, ...]]:
    """Return what is known of the rows that have some ids; these ids are no longer wanted."""
    taken: dict[int, tuple[Any, ...]] = {}
    for some in chunks(wanted.copy()):
        columns = (records.c[name] for name in _TOLD_APART)
        there = select(records.c.id, *columns, content_of_row).where(records.c.id.in_(some))
        taken |= {row_id: tuple(facts) for row_id, *facts in connection.execute(there)}
    wanted.difference_update(taken)
    return taken | dict.fromkeys(_of_contents(connection, wanted), ())


def _of_contents(connection: Connection, row_ids: set[int]) -> Iterable[int]:
    """Return those of some ids by which a text goes whose row is gone: no other text can go by them."""
    found: set[int] = set()
    for some in chunks(row_ids.copy()):
        found |= set(connection.scalars(select(contents.c.id).where(contents.c.id.in_(some))))
    row_ids -= found
    return found
