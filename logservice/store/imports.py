"""What was imported from where, and how far: noted in the transaction of the rows, so that none comes twice.

How a source is known again and what "how far" means is for the importer to say; here it is JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, func, insert, select, update

from ..errors import Conflict
from . import accounts, retention
from .gateway_accounts import GatewayToken, GatewayUser, take_over
from .jobs import Claim
from .recording import week_claims
from .records import Record
from .store import LogStore
from .tables import imports, users

_CLAIM = Claim("imports")
_ELSEWHERE = "the same source is being imported by somebody else; try again when that is done"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a source was imported; `id` is None until its first rows are stored.

    `state["begins"]` tells how the source begins, so that two who import it for the first time notice.
    """

    id: int | None
    kind: str
    state: Mapping[str, Any]
    #: The highest id of an import by the time this one began.
    last: int = 0


class Imports:
    """The imports of a log."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def known(self, kind: str) -> list[Progress]:
        """Return all imports of a kind of source, the oldest first."""
        with self._store.reading() as connection:
            found = connection.execute(select(imports).where(imports.c.kind == kind).order_by(imports.c.id))
            return [Progress(row.id, row.kind, orjson.loads(row.state)) for row in found]

    def holds(self, record: Record) -> bool:
        """Whether the log has a row that says the same as a record."""
        return self._store.holds(record)

    def users(self) -> dict[int, str]:
        """Return the names of the users of gateways that are still users there, by id."""
        with self._store.reading() as connection:
            known = select(users.c.id, users.c.username).where(users.c.gateway != accounts.GONE)
            return {row.id: row.username for row in connection.execute(known)}

    def begin(self, kind: str, state: Mapping[str, Any]) -> Progress:
        """Return the progress of a source that was never imported; it is noted with its first rows."""
        with self._store.reading() as connection:
            last = connection.scalar(select(func.max(imports.c.id))) or 0
        return Progress(None, kind, state, last)

    def advance(
        self, progress: Progress, new: Sequence[Record], state: Mapping[str, Any]
    ) -> tuple[Progress, int]:
        """Store rows and note the state they lead to; return that, and how many rows were stored.

        Rows that keep their ids may be there already. Raises Conflict when somebody else has imported from
        the same source meanwhile, and then nothing is stored.
        """
        work = partial(self._advance, new=new, progress=progress, state=state)
        return self._store.write(work, claims=[_CLAIM, *_claims(new)], is_long=True)

    def store(self, new: Sequence[Record]) -> int:
        """Store rows without a note of where they came from; return how many were stored, as `advance`."""
        return self._store.write(partial(self._store.insert, new=new), claims=_claims(new), is_long=True)

    def take_over(self, people: Sequence[GatewayUser], keys: Sequence[GatewayToken]) -> list[str]:
        """Take over what a gateway says of its users and tokens; return what could not be, in sentences."""
        work = partial(take_over, users=people, tokens=keys)
        return self._store.write(work, claims=[accounts.CLAIM])

    def _advance(
        self, connection: Connection, *, new: Sequence[Record], progress: Progress, state: Mapping[str, Any]
    ) -> tuple[Progress, int]:
        moved = (
            _begin(connection, progress, state) if progress.id is None else _move(connection, progress, state)
        )
        return moved, self._store.insert(connection, new, token=_token(progress, state))


def _claims(new: Sequence[Record]) -> list[Claim]:
    """Return the claims on the weeks of rows: alone if any keeps an id, which nobody else may be given."""
    if all(record.row_id is None for record in new):
        return [*week_claims(new, shared=True)]
    # A row that comes back takes kept usage away, which a purge may be about to drop.
    return [*week_claims(new, shared=False), retention.SHARED]


def _begin(connection: Connection, progress: Progress, state: Mapping[str, Any]) -> Progress:
    """Note a new import, unless somebody else has begun with the same source."""
    since = select(imports).where(imports.c.kind == progress.kind, imports.c.id > progress.last)
    if any(orjson.loads(row.state)["begins"] == state["begins"] for row in connection.execute(since)):
        raise Conflict(_ELSEWHERE)
    new_id = (connection.scalar(select(func.max(imports.c.id))) or 0) + 1
    connection.execute(insert(imports).values(id=new_id, kind=progress.kind, state=_text(state)))
    return Progress(new_id, progress.kind, state)


def _move(connection: Connection, progress: Progress, state: Mapping[str, Any]) -> Progress:
    """Note how far an import is, unless somebody else has moved it."""
    this = imports.c.id == progress.id
    if connection.scalar(select(imports.c.state).where(this)) != _text(progress.state):
        raise Conflict(_ELSEWHERE)
    connection.execute(update(imports).where(this).values(state=_text(state)))
    return Progress(progress.id, progress.kind, state)


def _token(progress: Progress, state: Mapping[str, Any]) -> str:
    """Return what rows are known by that lead to a state, should they be stored and that not be noted."""
    number = progress.last if progress.id is None else progress.id
    return f"import {progress.kind} {number} {_text(state)}"


def _text(state: Mapping[str, Any]) -> str:
    return orjson.dumps(state, option=orjson.OPT_SORT_KEYS).decode()
