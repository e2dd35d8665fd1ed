"""What is asked of a log: each verb reads in one snapshot of the database."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from . import accounts, ids, pages, search, sums
from .accounts import User
from .dialects import Dialect
from .filters import Filters
from .largest import Largest, largest
from .pages import Cursor, Page, Rows
from .prepared import Reader
from .queries import Query
from .scope import Scope
from .usage import Grouping, Usage, usage


class Readings(abc.ABC):
    """The verbs that read. `clock` gives the time in epoch seconds."""

    dialect: Dialect
    clock: Callable[[], float]

    @abc.abstractmethod
    def _snapshot(self) -> AbstractContextManager[Reader]:
        """Give what sees one state of the database."""

    def user_of(self, access_token: str) -> User | None:
        """Return the user an access token belongs to, unless disabled."""
        with self._snapshot() as connection:
            return accounts.by_access_token(connection, access_token)

    def scope_of_key(self, key: str) -> Scope | None:
        """Return the scope an API key opens, or None when it is unknown or disabled."""
        with self._snapshot() as connection:
            token_ids = accounts.token_ids_of_key(connection, key)
        return Scope.tokens(token_ids) if token_ids else None

    def page(
        self,
        scope: Scope,
        filters: Filters,
        span: ids.IdRange,
        *,
        fields: Sequence[str],
        page: int,
        page_size: int,
    ) -> Page:
        """Return a page of rows, newest first, and the exact total."""
        query, offset = Query(scope, filters, span), (page - 1) * page_size
        with self._snapshot() as connection:
            return pages.page(connection, query, fields=fields, offset=offset, limit=page_size)

    def beside(
        self,
        scope: Scope,
        filters: Filters,
        span: ids.IdRange,
        cursor: Cursor,
        *,
        fields: Sequence[str],
        limit: int,
    ) -> Page:
        """Return the rows next to a cursor, newest first, and the exact total without regard to it."""
        with self._snapshot() as connection:
            return pages.beside(connection, Query(scope, filters, span), cursor, fields=fields, limit=limit)

    def newest(
        self,
        scope: Scope,
        filters: Filters,
        span: ids.IdRange,
        *,
        fields: Sequence[str],
        limit: int,
        offset: int = 0,
    ) -> Rows:
        """Return the newest rows without a total, for scopes with an index of their own."""
        query = Query(scope, filters, span)
        with self._snapshot() as connection:
            return pages.newest(connection, query, fields=fields, limit=limit, offset=offset)

    def statistics(self, scope: Scope, filters: Filters, span: ids.IdRange, *, asked: int) -> dict[str, int]:
        """Return the stats of `stats.STATS`, and rpm and tpm; `asked` is the type they follow."""
        query = Query(scope, filters.without("type"), span)
        with self._snapshot() as connection:
            return sums.statistics(connection, query, asked=asked, now=int(self.clock()))

    def usage(
        self, query: Query, grouping: Grouping, *, asked: int | None = None, only: Largest | None = None
    ) -> Usage:
        """Return usage by groups; `asked` is the type it follows, None those of the filters.

        With `only` it is that of the largest groups, and of all others together.
        """
        with self._snapshot() as connection:
            ask = partial(usage, connection, asked=asked)
            return ask(query, grouping) if only is None else largest(ask, query, grouping, only)

    def search(
        self,
        scope: Scope,
        filters: Filters,
        span: ids.IdRange,
        keyword: str,
        *,
        fields: Sequence[str],
        limit: int,
    ) -> Rows:
        """Return the newest rows that a keyword finds."""
        query = Query(scope, filters, span)
        with self._snapshot() as connection:
            return search.search(connection, self.dialect, query, keyword, fields=fields, limit=limit)

    def count_all(self) -> int:
        """Return how many rows the log holds."""
        with self._snapshot() as connection:
            return sums.count(connection, Query(Scope.site(), Filters(), ids.between()))
