"""Rows that come with an id of ours, as exported rows do: they keep it, and are stored once.

An id alone does not prove that a row is there already: another service gives out the same ones. What a row is
about decides; who it belongs to does not, for that may have been learned meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Connection, select

from . import ids
from .contents import content_of_row
from .filters import chunks
from .identities import Row
from .records import Record
from .tables import contents, records

#: What tells a row from another one, besides its content.
TOLD_APART = (
    *("type", "model_name", "quota", "prompt_tokens", "completion_tokens", "cached_tokens", "use_time_ms"),
    *("request_id", "first_token_ms", "is_stream", "group"),
)
facts_of = itemgetter(*TOLD_APART, "content")

#: What is known of a row, in the order of TOLD_APART, then its content.
Facts = tuple[Any, ...]


class There(Protocol):
    """The rows that are there already."""

    def taken(self, row_ids: Iterable[int]) -> dict[int, Facts]:
        """Return what is known of rows by their ids, and () for an id that is not free otherwise."""

    def of_second(self, second: int) -> Counter[Facts]:
        """Count what the rows of a second say."""


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


def sorted_out(
    there: There, new: Sequence[Record], rows: Sequence[Row], *, there_too: bool = False
) -> Sorted:
    """Sort rows by the ids they are stored under.

    Rows that are there already are left out; so are those that a batch holds twice. With `there_too` they are
    among those that are back: what was to be done with those may have been lost.
    """
    wanted = {record.row_id for record in new if record.row_id is not None}
    if not wanted:
        return Sorted([], list(rows), [record.second for record in new], [], set())
    taken = there.taken(wanted)
    wanted -= taken.keys()
    kept, others, seconds, displaced, again = [], [], [], [], []
    for record, row in zip(new, rows, strict=True):
        facts = facts_of(row)
        if record.row_id is None:
            others.append(row)
            seconds.append(record.second)
        elif taken.setdefault(record.row_id, facts) != facts:
            displaced.append((record.second, row | {"id": record.row_id}))
        elif record.row_id in wanted:
            wanted.discard(record.row_id)
            kept.append(row | {"id": record.row_id})
        elif there_too:
            again.append(row | {"id": record.row_id})
    back = [*kept, *again]
    for second, row in _not_there(there, displaced):
        back.append(row)
        others.append(row.copy())
        seconds.append(second)
    return Sorted(kept, others, seconds, back, {row["id"] for _, row in displaced})


def is_there(there: There, record: Record) -> bool:
    """Whether a row of the same second says the same."""
    return there.of_second(record.second)[facts_of(record.row)] > 0


def _not_there(there: There, displaced: Sequence[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    """Yield those rows whose id belongs to another one and that were not given another id before.

    As many rows of their second that say the same are taken for them.
    """
    known: dict[int, Counter[Facts]] = {}
    for second, row in displaced:
        if second not in known:
            known[second] = there.of_second(second)
        facts = facts_of(row)
        if known[second][facts] > 0:
            known[second][facts] -= 1
        else:
            yield second, row


@dataclass(frozen=True, slots=True)
class InTables:
    """The rows of `log_records`."""

    connection: Connection

    def taken(self, row_ids: Iterable[int]) -> dict[int, Facts]:
        """Return what is known of rows, and nothing of an id by which a text goes whose row is gone."""
        wanted, found = {*row_ids}, dict[int, Facts]()
        for some in chunks(wanted):
            there = select(records.c.id, *_columns()).where(records.c.id.in_(some))
            found |= {row_id: tuple(facts) for row_id, *facts in self.connection.execute(there)}
        return found | dict.fromkeys(self._of_contents(wanted - found.keys()), ())

    def of_second(self, second: int) -> Counter[Facts]:
        """Count what the rows of a second say."""
        low, high = ids.first_id(second), ids.first_id(second + 1)
        inside = select(*_columns()).where(records.c.id >= low, records.c.id < high)
        return Counter(tuple(facts) for facts in self.connection.execute(inside))

    def _of_contents(self, row_ids: Iterable[int]) -> Iterator[int]:
        """Yield ids by which a text goes whose row is gone: no other text can go by them."""
        for some in chunks(row_ids):
            yield from self.connection.scalars(select(contents.c.id).where(contents.c.id.in_(some)))


def _columns() -> list[ColumnElement[Any]]:
    return [*(records.c[name] for name in TOLD_APART), content_of_row]
