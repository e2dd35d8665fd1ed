"""Whose rows may be seen. A scope comes from the caller's identity, never from the query string."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause


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
        """Return the scope of one user's own rows."""
        return cls(user_id=user_id)

    @classmethod
    def tokens(cls, token_ids: Iterable[int]) -> Scope:
        """Return the scope of an API key: the tokens it is known by. 0, no token, never enters."""
        return cls(token_ids=tuple(sorted({token_id for token_id in token_ids if token_id})))

    @property
    def is_site(self) -> bool:
        """Whether this is the whole site, which the daily buckets can answer for."""
        return self.user_id is None and self.token_ids is None

    def each(self) -> list[Scope]:
        """Return scopes of one token each, for an index serves the newest rows of one value at a time."""
        if self.token_ids is None or len(self.token_ids) < 2:
            return [self]
        return [Scope(self.user_id, (token_id,)) for token_id in self.token_ids]

    def conditions(self, table: FromClause) -> list[ColumnElement[bool]]:
        """Return what rows of `log_records` or of the hourly buckets must satisfy to be seen."""
        found: list[ColumnElement[bool]] = []
        if self.user_id is not None:
            found.append(table.c.user_id == self.user_id)
        if self.token_ids is not None:
            # `<> 0` is there for the partial index, which only serves queries that repeat its condition.
            found.append(table.c.token_id != 0)
            column = table.c.token_id
            found.append(
                column == self.token_ids[0] if len(self.token_ids) == 1 else column.in_(self.token_ids)
            )
        return found
