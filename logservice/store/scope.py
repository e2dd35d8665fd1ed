"""Whose rows may be seen. A scope comes from the caller's identity, never from the query string."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, false, or_


@dataclass(frozen=True, slots=True)
class ScopeShape:
    """What the conditions of a scope look like: whether it is one user's, and how many tokens it names."""

    of_user: bool = False
    tokens: int | None = None

    def conditions(self, table: FromClause) -> list[ColumnElement[bool]]:
        """Return what rows of `log_records` or of the hourly buckets must satisfy to be seen."""
        each = self.each(table)
        return each[0] if len(each) == 1 else [or_(false(), *(and_(*conditions) for conditions in each))]

    def each(self, table: FromClause) -> list[list[ColumnElement[bool]]]:
        """Return the conditions token by token: an index serves the newest rows of one value at a time."""
        found: list[ColumnElement[bool]] = []
        if self.of_user:
            found.append(table.c.user_id == bindparam("scope_user"))
        if self.tokens is None:
            return [found]
        # `<> 0` is there for the partial index, which only serves queries that repeat its condition.
        found.append(table.c.token_id != 0)
        names = [f"scope_token_{position}" for position in range(self.tokens)]
        return [[*found, table.c.token_id == bindparam(name)] for name in names]


@dataclass(frozen=True, slots=True)
class Scope:
    """The whole site, one user's rows, or the rows of some tokens. Every query takes one."""

    user_id: int | None = None
    token_ids: tuple[int, ...] | None = None

    @classmethod
    def site(cls) -> Scope:
        """Return the scope of an administrator."""
        return cls()

    @classmethod
    def user(cls, user_id: int) -> Scope:
        """Return the scope of one user's own rows. Raises TypeError for what is no id, None included."""
        return cls(user_id=_an_id(user_id))

    @classmethod
    def tokens(cls, token_ids: Iterable[int]) -> Scope:
        """Return the scope of an API key: the tokens it is known by. 0, no token, never enters.

        Raises TypeError for what is no id.
        """
        return cls(token_ids=tuple(sorted({_an_id(token_id) for token_id in token_ids} - {0})))

    @property
    def is_site(self) -> bool:
        """Whether this is the whole site, which the site's own buckets can answer for."""
        return self.user_id is None and self.token_ids is None

    @property
    def shape(self) -> ScopeShape:
        """What the conditions of this scope look like, its ids left out."""
        tokens = None if self.token_ids is None else len(self.token_ids)
        return ScopeShape(self.user_id is not None, tokens)

    @property
    def values(self) -> dict[str, Any]:
        """The ids, by the names of their parameters."""
        named = {f"scope_token_{place}": token for place, token in enumerate(self.token_ids or ())}
        return named if self.user_id is None else {**named, "scope_user": self.user_id}


def _an_id(given: int) -> int:
    """Return what was given if it is an id. True would be the id 1, and `"12"` the ids 1 and 2."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"an id is a whole number, not {type(given).__name__}")
    return given
