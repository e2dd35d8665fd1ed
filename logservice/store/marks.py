"""Marks in the database for work of which only one may be under way, whichever process does it.

A mark expires, so that work that was killed does not stand in the way for ever; work that goes on renews it.
It can say how far the work is.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select

from ..errors import Conflict
from .tables import marks

#: Seconds after which a mark that was not renewed is taken for that of a killed process.
LIFETIME = 60
#: A mark that would last for longer than so many seconds is taken for it as well: the clock was set back
#: since, and whoever lives soon renews it. The clock of another machine may be ahead by less.
MOST_AHEAD = 15 * 60


def new_owner() -> str:
    """Return a name for one piece of work, unlike any other."""
    return secrets.token_hex(8)


def hold(
    connection: Connection, name: str, owner: str, *, now: int, progress: Mapping[str, Any] | None = None
) -> None:
    """Take or renew a mark, saying how far the work is. Raises Conflict while somebody else holds it."""
    held = connection.execute(select(marks).where(marks.c.name == name)).one_or_none()
    if held is not None and held.owner != owner and now < held.expires_at <= now + MOST_AHEAD:
        raise Conflict(
            f"a {name} is running already; try again when it is done, or in a minute if it was killed"
        )
    said = None if progress is None else orjson.dumps(progress).decode()
    connection.execute(delete(marks).where(marks.c.name == name))
    connection.execute(insert(marks).values(name=name, owner=owner, expires_at=now + LIFETIME, progress=said))


def progress(connection: Connection, name: str, *, now: int) -> dict[str, Any] | None:
    """Return how far work is that is under way; None where none is, or none that says so."""
    lasts = marks.c.expires_at.between(now + 1, now + MOST_AHEAD)
    said = connection.scalar(select(marks.c.progress).where(marks.c.name == name, lasts))
    return None if said is None else dict(orjson.loads(said))


def release(connection: Connection, name: str, owner: str) -> None:
    """Give a mark back; one that somebody else holds by now stays."""
    connection.execute(delete(marks).where(marks.c.name == name, marks.c.owner == owner))
