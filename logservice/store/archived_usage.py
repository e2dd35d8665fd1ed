"""Which archived usage the log has: what lies in a file of an archive may stand in the statistics already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, Row, func, insert, select, update

from .tables import imports

_KIND = "usage"
_ALL = "0"


@dataclass(frozen=True, slots=True)
class Held:
    """From which second (UTC) on the log holds the usage of a file, by type; "0" stands for all."""

    since: Mapping[str, int]

    def has(self, bucket: int, log_type: int) -> bool:
        """Whether the usage of a type in the quarter hour that begins at a second is there."""
        return bucket >= max(self.since.get(_ALL, 0), self.since.get(str(log_type), 0))


def held(connection: Connection, file_id: str) -> Held | None:
    """Return what the log has of a file, or None when it has nothing."""
    for row in _files(connection):
        state = orjson.loads(row.state)
        if state["begins"] == file_id:
            return Held(state["since"])
    return None


def note(connection: Connection, file_id: str) -> None:
    """Note that all usage of a file is there."""
    state = orjson.dumps({"begins": file_id, "since": {}}).decode()
    for row in _files(connection):
        if orjson.loads(row.state)["begins"] == file_id:
            connection.execute(update(imports).where(imports.c.id == row.id).values(state=state))
            return
    new_id = (connection.scalar(select(func.max(imports.c.id))) or 0) + 1
    connection.execute(insert(imports).values(id=new_id, kind=_KIND, state=state))


def forget(connection: Connection, before: int, *, log_type: int | None) -> None:
    """Note that usage before a second, of one type or of all, is no longer there."""
    name = _ALL if log_type is None else str(log_type)
    for row in _files(connection):
        state = orjson.loads(row.state)
        state["since"][name] = max(before, state["since"].get(name, 0))
        text = orjson.dumps(state).decode()
        connection.execute(update(imports).where(imports.c.id == row.id).values(state=text))


def _files(connection: Connection) -> Sequence[Row[int, str]]:
    return connection.execute(select(imports.c.id, imports.c.state).where(imports.c.kind == _KIND)).all()
