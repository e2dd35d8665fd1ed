"""Taking over the log of a gateway: in batches, each noted in the transaction of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidValue
from ..sources import gateway_accounts, gateways
from ..sources.gateways import GatewayRow
from ..store.imports import Imports, Progress
from ..store.records import Record
from ..store.store import LogStore
from .databases import GatewayDatabase
from .position import Position, digest

#: Rows in one transaction: a tenth of a second, so that the posts of others hardly notice.
BATCH = 2_000
KIND = "gateway"


@dataclass(slots=True)
class Taken:
    """What a batch brought: rows stored, ids passed, rows refused by id, and kinds we have no name for."""

    rows: int = 0
    ids: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    unknown_kinds: Counter[int] = field(default_factory=Counter)


class GatewayImport:
    """The import of one gateway into one log; with `anew` it is taken for one that was never imported."""

    def __init__(self, store: LogStore, database: GatewayDatabase, *, anew: bool = False) -> None:
        """Find out how far this gateway was imported. Raises InvalidValue when it is another than before."""
        self._database = database
        self._imports = Imports(store)
        self._clock: Callable[[], float] = store.clock
        self._channels: dict[int, str] = {}
        self._progress = self._recognised(anew)

    @property
    def position(self) -> Position:
        """How far the log was imported."""
        return Position.of(self._progress.state)

    def accounts(self) -> tuple[int, int, list[str]]:
        """Take over users and tokens: how many there are of each, and what could not be taken over."""
        self._channels = self._database.channels()
        if not self._database.has_accounts:
            return 0, 0, []
        users = [*map(gateway_accounts.user, self._database.users())]
        tokens = [*map(gateway_accounts.token, self._database.tokens())]
        return len(users), len(tokens), self._imports.take_over(users, tokens)

    def rows(self) -> Iterator[Taken]:
        """Take over the rows that are there and were not yet, those that came late first."""
        yield from self._late_rows()
        newest = self._database.newest()
        if newest is not None:
            yield from self._new_rows(newest)

    def _late_rows(self) -> Iterator[Taken]:
        """Take over rows that lie in gaps."""
        for rows in self._database.among(self.position.gaps, limit=BATCH):
            taken, new = self._read(rows)
            self._store(taken, new, self.position.without((row.id for row in rows), now=self._clock()))
            yield taken
        position = self.position
        given_up = position.without((), now=self._clock())
        if given_up != position:
            self._store(Taken(), [], given_up)

    def _new_rows(self, newest: GatewayRow) -> Iterator[Taken]:
        """Take over rows beyond the last one; the next are read and mapped while some are stored."""
        position = self.position
        with ThreadPoolExecutor(max_workers=1) as reader:
            reading = reader.submit(self._next, position, newest)
            while batch := reading.result():
                taken, new, position = batch
                reading = reader.submit(self._next, position, newest)
                self._store(taken, new, position)
                yield taken

    def _next(self, position: Position, newest: GatewayRow) -> tuple[Taken, list[Record], Position] | None:
        """Read the rows beyond a position, and return them with the position they lead to."""
        rows = self._database.after(position.last, limit=BATCH)
        if not rows:
            return None
        taken, new = self._read(rows)
        taken.ids = rows[-1].id - position.last
        return taken, new, position.beyond(rows, newest=newest, now=self._clock())

    def _read(self, rows: Sequence[GatewayRow]) -> tuple[Taken, list[Record]]:
        taken, new, now = Taken(), [], self._clock()
        for row in rows:
            try:
                found = gateways.record(row, self._database.flavour, channels=self._channels, now=now)
            except InvalidValue as error:
                taken.refused[row.id] = str(error)
                continue
            if not gateways.is_known(found.row["type"]):
                taken.unknown_kinds[found.row["type"]] += 1
            new.append(found)
        return taken, new

    def _store(self, taken: Taken, new: Sequence[Record], position: Position) -> None:
        self._progress, taken.rows = self._imports.advance(self._progress, new, position.state())

    def samples(self, number: int) -> list[dict[str, Any]]:
        """Return the next rows as they would be stored; nothing is."""
        self._channels = self._database.channels()
        rows = self._database.after(self.position.last, limit=number)
        _, new = self._read(rows)
        return [{"created_at": record.second, **record.row} for record in new]

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
