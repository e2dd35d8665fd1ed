"""Taking over the log of a gateway: in batches, each noted in the transaction of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import InvalidValue
from ..sources import gateway_people
from ..store.imports import Imports, Progress
from ..store.records import Record
from ..store.store import LogStore
from . import reading
from .databases import GatewayDatabase
from .harvest import Harvest
from .position import Position, digest
from .reading import Batch, Reader

KIND = "gateway"


@dataclass(slots=True)
class Taken:
    """What was taken over: how many rows were stored, how many ids were passed, and what was found there."""

    rows: int
    ids: int
    found: Harvest


@dataclass(frozen=True, slots=True)
class People:
    """How many users and tokens a gateway has, what could not be taken over, and a hash of them all."""

    users: int = 0
    tokens: int = 0
    refused: tuple[str, ...] = ()
    state: int = 0


class GatewayImport:
    """The import of one gateway into one log; with `anew` it is taken for one that was never imported."""

    def __init__(self, store: LogStore, database: GatewayDatabase, *, anew: bool = False) -> None:
        """Find out how far this gateway was imported. Raises InvalidValue when it is another than before."""
        self._database = database
        self._imports = Imports(store)
        self._reader = Reader(database, store.clock)
        # Rows up to here only: whoever they belong to is read after them.
        self._newest = database.newest()
        self._progress, self.position = self._begun() if anew else self._recognised()

    @property
    def ids_to_go(self) -> int:
        """How many ids lie between what was imported and the end of the log."""
        return 0 if self._newest is None else max(self._newest.id - self.position.last, 0)

    def accounts(self, before: People | None = None) -> People:
        """Take over users and tokens, unless they are as they were `before`."""
        if not self._database.has_accounts:
            return People()
        users, tokens = self._database.users(), self._database.tokens()
        state = hash((*users, *tokens))
        if before is not None and before.state == state:
            return before
        refused = self._imports.take_over(
            [*map(gateway_people.user, users)], [*map(gateway_people.token, tokens)]
        )
        return People(len(users), len(tokens), tuple(refused), state)

    def rows(self) -> Iterator[Taken]:
        """Take over the rows that are there and were not yet, those that came late first."""
        self._reader.channels = self._database.channels()
        for batch in self._reader.late(self.position):
            yield self._store(batch)
        self._give_up_gaps()
        if self._newest is not None:
            is_large = self.ids_to_go >= reading.MANY
            read = partial(reading.ahead, self._reader) if is_large else self._reader.beyond
            for batch in read(self.position, self._newest):
                yield self._store(batch)

    def samples(self, number: int) -> list[dict[str, Any]]:
        """Return the next rows as they would be stored; nothing is."""
        self._reader.channels = self._database.channels()
        found = self._reader.first(number, self.position)
        return [record.shown() for record in found]

    def _store(self, batch: Batch) -> Taken:
        rows = self._advance(batch.found.records, batch.position)
        return Taken(rows, batch.ids, batch.found)

    def _give_up_gaps(self) -> None:
        """Forget gaps that were looked at for long enough."""
        left = self.position.without((), now=self._reader.clock())
        if left != self.position:
            self._advance([], left)

    def _advance(self, records: Sequence[Record], position: Position) -> int:
        state = {**position.state(), "begins": self._progress.state["begins"]}
        self._progress, stored = self._imports.advance(self._progress, records, state)
        self.position = position
        return stored

    # -- recognising ---------------------------------------------------------------------------------------

    def _begun(self) -> tuple[Progress, Position]:
        """Return the beginning of an import."""
        oldest = self._database.after(0, limit=1)
        begins = f"{oldest[0].id} {digest(oldest[0])}" if oldest else ""
        return self._imports.begin(KIND, {"begins": begins}), Position()

    def _recognised(self) -> tuple[Progress, Position]:
        """Return how far this log was imported: it is known by rows that were, wherever it lies now.

        Of several imports of the same the latest counts.
        """
        known = self._imports.known(KIND)
        for progress in reversed(known):
            position = self._continued(Position.of(progress.state))
            if position is not None:
                return progress, position
        if known:
            raise InvalidValue(
                "this is not the log that was imported before, or it was set back since: its rows differ. "
                "Users would be taken for those of the other gateway, so give each gateway a log of its own; "
                "with --anew all of it is taken, be it here already or not"
            )
        return self._begun()

    def _continued(self, position: Position) -> Position | None:
        """Return where to go on if this is the log that was imported up to a position, else None.

        The newest of the noted rows that are still there decides: a log that was set back to an earlier state
        begins like the one that was imported, and goes on differently. Where the log just ends earlier, its
        next rows are those to take.
        """
        noted = dict(position.witnesses)
        there = {row.id: digest(row) for row in self._database.with_ids(noted)}
        if there:
            is_same = noted[max(there)] == there[max(there)]
        else:
            oldest = self._database.oldest_id()
            is_same = (oldest is None or oldest > position.last) and self._knows_its_users()
        if not is_same or self._newest is None or self._newest.id >= position.last:
            return position if is_same else None
        # Its last rows are gone. If the one that is the last now was imported, nothing has followed it yet.
        last = self._reader.first(1, Position(self._newest.id - 1))
        return position.up_to(self._newest.id) if all(map(self._imports.holds, last)) else None

    def _knows_its_users(self) -> bool:
        """Whether most of the users that were imported are users here: nothing else tells an empty log."""
        if not self._database.has_accounts:
            return True
        names = {row.id: row.username or "" for row in self._database.users()}
        imported = self._imports.users()
        same = [user_id for user_id, username in imported.items() if names.get(user_id) == username]
        return 2 * len(same) >= len(imported)
