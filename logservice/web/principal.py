"""Who is asking."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flask import Request

from ..store.accounts import ROLES


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was recognised. `role` is user (own rows), admin (all rows) or writer (may only post).

    `user_id` is a whole number from 1: rows with 0 are nobody's. Raises TypeError or ValueError for others,
    and for a role or a name that is none.
    """

    user_id: int
    username: str = ""
    role: str = "user"

    def __post_init__(self) -> None:
        # Hosts often fill this in without types; what is no id must not become everybody's.
        if not isinstance(self.user_id, int) or isinstance(self.user_id, bool):
            raise TypeError(f"Principal: user_id is {type(self.user_id).__name__}; it is a whole number")
        if self.user_id < 1:
            raise ValueError(f"Principal: user_id is {self.user_id}; it is a number from 1")
        if not isinstance(self.username, str):
            raise TypeError(f"Principal: username is {type(self.username).__name__}; it is a text")
        if self.role not in ROLES:
            raise ValueError(f"Principal: role is {self.role!r}; it is one of {', '.join(ROLES)}")


#: Tells who sent a request; None for a stranger.
Authenticate = Callable[[Request], Principal | None]

#: Tells which tokens an API key stands for, by their ids in events: one, several, or None for an unknown key.
ResolveKey = Callable[[str], int | Iterable[int] | None]
