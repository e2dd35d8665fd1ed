"""A question about the log, and the tables that answer it without scanning the log.

A range of time is cut into parts from coarse to fine: the longest buckets answer for what they cover whole,
shorter ones for what is left at both ends, raw rows for the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    FromClause,
    Table,
    bindparam,
    exists,
    func,
    literal_column,
    select,
)

from . import dialects, ids
from . import filters as filtering
from .buckets import HOURLY, OWNERS, QUARTER, SITE, Rollup
from .filters import Filters, FilterShape
from .ids import IdRange, down, up
from .prepared import Reader, prepared
from .scope import Scope, ScopeShape
from .tables import records


@dataclass(frozen=True, slots=True)
class Rung:
    """A table that answers for whole spans of so many seconds; `log_records` answers for any range."""

    table: Table
    seconds: int = 0

    def inside(self, name: str) -> list[ColumnElement[bool]]:
        """Return the condition that a row or bucket lies in the range given by the values of `bounds`."""
        return self.between(bindparam(f"low_{name}"), bindparam(f"high_{name}"))

    def between(self, low: ColumnElement[int], high: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """Return the condition that a row or bucket lies between two bounds, `high` not included."""
        column = self.table.c.bucket if self.seconds else self.table.c.id
        found = [column >= low, column < high]
        if "span" in self.table.c:
            found.insert(0, self.table.c.span == literal_column(str(self.seconds)))
        if self == KEPT:
            found.append(self.table.c.retained > literal_column("0"))
        return found

    def bounds(self, name: str, low: int, high: int) -> dict[str, int]:
        """Return a range of ids, `high` not included, by the names of the parameters of `inside`."""
        if self.seconds:
            low, high = ids.second_of(low), ids.second_of(high)
        return {f"low_{name}": low, f"high_{name}": high}


RAW = Rung(records)
#: Usage that was kept from purged rows, where raw rows answer: it stands in the hourly table.
KEPT = Rung(HOURLY.table, QUARTER)
# The forms of filters that an index of `log_records` serves.
_HAS_USERNAME = (filtering.USERNAME, filtering.equal)
_HAS_REQUEST = (filtering.REQUEST_ID, filtering.equal_and_present)
_BITS: ColumnElement[int] = literal_column(str(ids.SEQUENCE_BITS))
_HOUR: ColumnElement[int] = literal_column(str(ids.HOUR))
# What an index of the hourly buckets finds.
_HAS_USER = ((filtering.USER_ID, filtering.equal), _HAS_USERNAME)


def _rungs(rollup: Rollup) -> tuple[Rung, ...]:
    """Return the buckets of a rollup and of its source, those of the longest span first."""
    finer = () if rollup.source is None else _rungs(rollup.source)
    return (*(Rung(rollup.table, seconds) for seconds in reversed(rollup.spans)), *finer)


_SITE_RUNGS, _OWNER_RUNGS, _HOURLY_RUNGS = map(_rungs, (SITE, OWNERS, HOURLY))


@dataclass(frozen=True, slots=True)
class Shape:
    """What the statements for a query look like, whatever its values."""

    scope: ScopeShape
    filters: FilterShape

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """Return what rows of `table` must satisfy, the range not yet among it."""
        return [*self.scope.conditions(table), *filtering.conditions(self.filters, table)]

    def inside(self, rung: Rung, name: str) -> list[ColumnElement[bool]]:
        """Return what rows of the table of a rung must satisfy, a range that is named among it."""
        return [*self.conditions(rung.table), *self._inside(rung, name)]

    def along(self, rung: Rung, ranges: FromClause) -> list[ColumnElement[bool]]:
        """Return what rows of the table of a rung must satisfy that lie in a row of `ranges`."""
        low, high = ranges.c.low, ranges.c.high
        by_index = rung == RAW and (self.scope != ScopeShape() or _HAS_REQUEST in self.filters)
        inside = [dialects.along_index(records.c.id, low, high)] if by_index else rung.between(low, high)
        return [*self.conditions(rung.table), *inside]

    def each(self, name: str) -> list[list[ColumnElement[bool]]]:
        """Return what rows of `log_records` must satisfy, token by token where the scope is one of tokens."""
        filtered = [*filtering.conditions(self.filters, records), *self._inside(RAW, name)]
        return [[*owned, *filtered] for owned in self.scope.each(records)]

    @property
    def has_index(self) -> bool:
        """Whether an index of `log_records` serves these rows, and not only the range of ids."""
        return self.scope != ScopeShape() or not {_HAS_USERNAME, _HAS_REQUEST}.isdisjoint(self.filters)

    def _inside(self, rung: Rung, name: str) -> list[ColumnElement[bool]]:
        if rung == RAW and self.has_index:
            found: list[ColumnElement[bool]] = [
                dialects.along_index(records.c.id, f"low_{name}", f"high_{name}")
            ]
        else:
            found = rung.inside(name)
        if rung == RAW and _HAS_USERNAME in self.filters:
            found += _owners(name)
        return found


def _owners(name: str) -> list[ColumnElement[bool]]:
    """Narrow rows of a username to the users who bore it in the hours of a range: they have an index."""
    second = [bindparam(f"{edge}_{name}", type_=BigInteger).op(">>")(_BITS) for edge in ("low", "high")]
    bore = HOURLY.table.c.username == bindparam(filtering.USERNAME.parameter)
    hours = [HOURLY.table.c.bucket > second[0] - _HOUR, HOURLY.table.c.bucket <= second[1]]
    return [records.c.user_id.in_(select(HOURLY.table.c.user_id).where(bore, *hours))]


@dataclass(frozen=True, slots=True)
class Query:
    """Whose rows, which of them, and the ids they lie between."""

    scope: Scope
    filters: Filters
    range: IdRange

    @property
    def shape(self) -> Shape:
        """What statements for this query are built from."""
        return Shape(self.scope.shape, self.filters.shape)

    @property
    def values(self) -> dict[str, Any]:
        """What they are run with, the range not yet among it."""
        return {**self.scope.values, **self.filters.values_by_parameter}

    @property
    def in_buckets(self) -> bool:
        """Whether buckets can answer; if not, raw rows must be counted."""
        return self.filters.fit_hourly

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """The buckets that can answer, those of the longest span first."""
        return self.ladder_by(())

    def ladder_by(self, dimensions: Iterable[str]) -> tuple[Rung, ...]:
        """Return the buckets that can answer by some dimensions, those of the longest span first."""
        if not self.in_buckets:
            return ()
        names = {*dimensions, *self.filters.columns}
        if self.scope.is_site and names <= set(SITE.dimensions):
            return _SITE_RUNGS
        # An index leads to the hours of one user: they are fewer than the owners in one bucket.
        of_one = not self.scope.is_site or not set(_HAS_USER).isdisjoint(self.filters.shape)
        return _OWNER_RUNGS if not of_one and names <= set(OWNERS.dimensions) else _HOURLY_RUNGS


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a range, and what answers for it. Bounds are ids, `high` not included."""

    rung: Rung
    low: int
    high: int


def parts(span: IdRange, ladder: Sequence[Rung]) -> list[Part]:
    """Cut a range into parts, oldest first; only raw rows where no bucket can answer."""
    if not span:
        return []
    if not ladder:
        return [Part(RAW, span.low, span.high)]
    coarsest, *finer = ladder
    width = ids.first_id(coarsest.seconds)
    first, last = up(span.low, width), down(span.high, width)
    if first >= last:
        return parts(span, finer)
    older, newer = IdRange(span.low, first), IdRange(last, span.high)
    return [*parts(older, finer), Part(coarsest, first, last), *parts(newer, finer)]


def kept_beside(cut: Iterable[Part]) -> list[Part]:
    """Return what adds the usage kept from purged rows where raw rows answer for part of a bucket.

    It stands at quarter hours: an edge inside one is moved back to its start, at both ends of a range
    alike, so that adjoining ranges neither overlap nor leave a gap.
    """
    quarter = ids.first_id(QUARTER)
    raw = (part for part in cut if part.rung == RAW)
    kept = [Part(KEPT, down(part.low, quarter), down(part.high, quarter)) for part in raw]
    return [part for part in kept if part.low < part.high]


def with_open_end(connection: Reader, query: Query) -> Query:
    """Open the end of a range that nothing lies behind: then buckets answer up to there, and not rows.

    Most ranges end now, in the middle of a bucket.
    """
    if not query.in_buckets or not query.range.high < ids.OPEN_END:
        return query
    quarter = down(query.range.high, ids.first_id(SITE.spans[0]))
    values = {"quarter": ids.second_of(quarter)}
    [(newest, is_kept)] = _newest(connection, values)
    if is_kept or (newest or 0) >= query.range.high:
        return query
    return replace(query, range=IdRange(query.range.low, ids.OPEN_END))


@prepared
def _newest() -> Executable:
    """Select the newest id, and whether usage without rows is kept from a quarter of an hour on."""
    site = SITE.table
    span = site.c.span == literal_column(str(SITE.spans[0]))
    kept = select(site.c.bucket).where(
        span, site.c.bucket >= bindparam("quarter"), site.c.retained > literal_column("0")
    )
    return select(func.max(records.c.id), exists(kept))


def bounds(cut: Sequence[Part]) -> dict[str, int]:
    """Return the bounds of parts by the names of their parameters: each is named by its place."""
    return {
        name: value
        for place, part in enumerate(cut)
        for name, value in part.rung.bounds(str(place), part.low, part.high).items()
    }
