"""Who is asking."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flask import Request


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was recognised. `role` is user (own rows), admin (all rows) or writer (may only post)."""

    user_id: int
    username: str = ""
    role: str = "user"


#: Tells who sent a request; None for a stranger.
Authenticate = Callable[[Request], Principal | None]

#: Tells which tokens an API key stands for, by their ids in events: one, several, or None for an unknown key.
ResolveKey = Callable[[str], int | Iterable[int] | None]
