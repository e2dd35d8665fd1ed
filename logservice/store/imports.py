"""What was imported from where, and how far: noted in the transaction of the rows, so that none comes twice.

How a source is known again and what "how far" means is for the importer to say; here it is JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, func, insert, select, update

from ..errors import Conflict
from . import accounts, recording
from .gateway_accounts import GatewayToken, GatewayUser, take_over
from .recording import week_claims
from .records import Record
from .store import LogStore
from .tables import imports
from .writer import Claim

_CLAIM = Claim("imports")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a source was imported. `is_new` until its first rows are stored."""

    id: int
    kind: str
    state: Mapping[str, Any]
    is_new: bool = False


class Imports:
    """The imports of a log."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def known(self, kind: str) -> list[Progress]:
        """Return all imports of a kind of source, the oldest first."""
        with self._store.reading() as connection:
            found = connection.execute(select(imports).where(imports.c.kind == kind).order_by(imports.c.id))
            return [Progress(row.id, row.kind, orjson.loads(row.state)) for row in found]

    def begin(self, kind: str, state: Mapping[str, Any]) -> Progress:
        """Return the progress of a source that was never imported; it is noted with its first rows."""
        with self._store.reading() as connection:
            last = connection.scalar(select(func.max(imports.c.id))) or 0
        return Progress(last + 1, kind, state, is_new=True)

    def advance(
        self, progress: Progress, new: Sequence[Record], state: Mapping[str, Any]
    ) -> tuple[Progress, int]:
        """Store rows and note the state they lead to; return that, and how many rows were stored.

        Rows that keep their ids may be there already. Raises Conflict when somebody else has imported from
        the same source meanwhile, and then nothing is stored.
        """
        after = replace(progress, state=state, is_new=False)
        work = partial(self._advance, new=new, before=progress, after=after)
        stored = self._store.write(work, claims=[_CLAIM, *_claims(new)], is_long=True)
        return after, stored

    def store(self, new: Sequence[Record]) -> int:
        """Store rows without a note of where they came from; return how many were stored, as `advance`."""
        insert = partial(recording.insert, dialect=self._store.dialect, new=new)
        return self._store.write(insert, claims=_claims(new), is_long=True)

    def take_over(self, users: Sequence[GatewayUser], tokens: Sequence[GatewayToken]) -> list[str]:
        """Take over what a gateway says of its users and tokens; return what could not be, in sentences."""
        work = partial(take_over, users=users, tokens=tokens)
        return self._store.write(work, claims=[accounts.CLAIM])

    def _advance(
        self, connection: Connection, *, new: Sequence[Record], before: Progress, after: Progress
    ) -> int:
        _move(connection, before, after)
        return recording.insert(connection, self._store.dialect, new)


def _claims(new: Sequence[Record]) -> list[Claim]:
    """Return the claims on the weeks of rows: alone if any keeps an id, which nobody else may be given."""
    return [*week_claims(new, shared=all(record.row_id is None for record in new))]


def _move(connection: Connection, before: Progress, after: Progress) -> None:
    """Note how far an import is, if nobody else has moved it."""
    held = connection.scalar(select(imports.c.state).where(imports.c.id == after.id))
    if before.is_new and held is None:
        new = {"id": after.id, "kind": after.kind, "state": _text(after.state)}
        connection.execute(insert(imports).values(**new))
    elif before.is_new or held != _text(before.state):
        raise Conflict("the same source is being imported by somebody else; try again when that is done")
    else:
        connection.execute(update(imports).where(imports.c.id == after.id).values(state=_text(after.state)))


def _text(state: Mapping[str, Any]) -> str:
    return orjson.dumps(state, option=orjson.OPT_SORT_KEYS).decode()
