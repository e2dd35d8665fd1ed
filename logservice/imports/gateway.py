"""Taking over the log of a gateway: in batches, each noted in the transaction of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import InvalidValue
from ..sources import gateway_accounts
from ..store.imports import Imports, Progress
from ..store.store import LogStore
from . import reading
from .databases import GatewayDatabase
from .position import Position, digest
from .reading import Batch, Reader

KIND = "gateway"


@dataclass(slots=True)
class Taken:
    """What a batch brought: rows stored, ids passed, rows refused by id, and kinds we have no name for."""

    rows: int
    ids: int
    refused: Mapping[int, str]
    unknown_kinds: Counter[int]


class GatewayImport:
    """The import of one gateway into one log; with `anew` it is taken for one that was never imported."""

    def __init__(self, store: LogStore, database: GatewayDatabase, *, anew: bool = False) -> None:
        """Find out how far this gateway was imported. Raises InvalidValue when it is another than before."""
        self._database = database
        self._imports = Imports(store)
        self._reader = Reader(database, store.clock)
        self._progress = self._recognised(anew)

    @property
    def position(self) -> Position:
        """How far the log was imported."""
        return Position.of(self._progress.state)

    def accounts(self) -> tuple[int, int, list[str]]:
        """Take over users and tokens: how many there are of each, and what could not be taken over."""
        if not self._database.has_accounts:
            return 0, 0, []
        users = [*map(gateway_accounts.user, self._database.users())]
        tokens = [*map(gateway_accounts.token, self._database.tokens())]
        return len(users), len(tokens), self._imports.take_over(users, tokens)

    def rows(self) -> Iterator[Taken]:
        """Take over the rows that are there and were not yet, those that came late first."""
        self._reader.channels = self._database.channels()
        for batch in self._reader.late(self.position):
            yield self._store(batch)
        self._give_up_gaps()
        newest = self._database.newest()
        if newest is not None:
            is_large = newest.id - self.position.last >= reading.MANY
            read = partial(reading.ahead, self._reader) if is_large else self._reader.beyond
            for batch in read(self.position, newest):
                yield self._store(batch)

    def samples(self, number: int) -> list[dict[str, Any]]:
        """Return the next rows as they would be stored; nothing is."""
        self._reader.channels = self._database.channels()
        found = self._reader.first(number, self.position)
        return [{"created_at": record.second, **record.row} for record in found]

    def _store(self, batch: Batch) -> Taken:
        self._progress, rows = self._imports.advance(self._progress, batch.records, batch.position.state())
        return Taken(rows, batch.ids, batch.refused, batch.unknown_kinds)

    def _give_up_gaps(self) -> None:
        """Forget gaps that were looked at for long enough."""
        left = self.position.without((), now=self._reader.clock())
        if left != self.position:
            self._progress, _ = self._imports.advance(self._progress, [], left.state())

    # -- recognising ---------------------------------------------------------------------------------------

    def _recognised(self, anew: bool) -> Progress:
        """Return how far this log was imported: it is known by rows that were, wherever it lies now."""
        known = [] if anew else self._imports.known(KIND)
        for progress in known:
            if self._is_continued(Position.of(progress.state)):
                return progress
        if known:
            raise InvalidValue(
                "this is not the log that was imported before, or it was set back since: its rows differ. "
                "Users would be taken for those of the other gateway, so give each gateway a log of its own; "
                "with --anew all of it is taken, be it here already or not"
            )
        return self._imports.begin(KIND, Position().state())

    def _is_continued(self, position: Position) -> bool:
        """Whether the rows of a log are those that were imported, or come after them.

        The newest of the rows that are still there decides: a log that was set back to an earlier state
        begins like the one that was imported, and goes on differently.
        """
        known = dict(position.witnesses)
        there = {row.id: digest(row) for row in self._database.with_ids(known)}
        oldest, newest = self._database.oldest_id(), self._database.newest()
        if oldest is None or newest is None or oldest > position.last:
            return True
        if newest.id < position.last or not there:
            return False
        return known[max(there)] == there[max(there)]
