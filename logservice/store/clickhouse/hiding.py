"""Which rows count as deleted already, written down in the metadata, and how often that has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection, Executable, delete, insert, select

from ...errors import Unavailable
from ..jobs import Claim
from ..prepared import Reader, prepared
from ..tables import marks
from .selecting import Hidden

_NAME = "hidden rows"
#: What whoever changes it has alone.
CLAIM = Claim("hidden rows")


class BeingDeleted(Unavailable):
    """Rows were to be stored among some that are hidden."""

    def __init__(self) -> None:
        super().__init__("rows of that time are being deleted; try again when that is done", retry_after=5)


@dataclass(frozen=True, slots=True)
class Hiding:
    """The rows that are hidden, if any, and how often that has changed and rows were deleted.

    Whoever reads rows compares the `deletions` that were begun before and after, and reads again where there
    was another: what is hidden meanwhile is still there. With the usage of purged rows it is the `number` of
    all changes that counts.
    """

    number: int = 0
    hidden: Hidden | None = None
    deletions: int = 0

    @classmethod
    def read(cls, connection: Reader) -> Hiding:
        """Return what is hidden as a transaction sees it."""
        return cls._of(_noted(connection, {}))

    @classmethod
    def _of(cls, found: Sequence[tuple[Any, ...]]) -> Hiding:
        if not found:
            return cls()
        state = orjson.loads(found[0][0])
        hidden = None if state["hidden"] is None else Hidden(**state["hidden"])
        return cls(state["number"], hidden, state["deletions"])

    def hide(self, connection: Connection, hidden: Hidden | None) -> None:
        """Write down that these rows are hidden from now on, or none."""
        replace(self, number=self.number + 1, hidden=hidden)._note(connection)

    def begin_deletion(self, connection: Connection) -> None:
        """Write down that what is hidden is deleted from now on."""
        replace(self, deletions=self.deletions + 1)._note(connection)

    def _note(self, connection: Connection) -> None:
        state = asdict(self)
        connection.execute(delete(marks).where(marks.c.name == _NAME))
        said = orjson.dumps(state).decode()
        connection.execute(insert(marks).values(name=_NAME, owner="", expires_at=0, progress=said))


def begin_deletion(connection: Connection) -> Hiding:
    """Return what is hidden, and write down that it is deleted from now on, if that is anything."""
    found = Hiding.read(connection)
    if found.hidden is not None:
        found.begin_deletion(connection)
    return found


def hide_nothing(connection: Connection, *, since: int) -> None:
    """Write down that nothing is hidden any more, unless something else is since a number of changes."""
    found = Hiding.read(connection)
    if found.number == since:
        found.hide(connection, None)


@prepared
def _noted() -> Executable:
    return select(marks.c.progress).where(marks.c.name == _NAME)
