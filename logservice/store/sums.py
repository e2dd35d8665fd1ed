"""Exact sums over any range of time and any filters, without scanning the log.

A range is cut into at most five parts: raw rows up to the first full hour, hourly buckets up to the first
full day, daily buckets where the filters allow them, hourly buckets again, raw rows of the last partial hour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, select, union_all

from . import dialects, ids, stats
from .filters import Filters
from .ids import IdRange
from .rollups import QUARTER
from .scope import Scope
from .tables import daily, hourly, records

_HOUR_IDS = ids.first_id(ids.HOUR)
_DAY_IDS = ids.first_id(ids.DAY)


@dataclass(frozen=True, slots=True)
class Query:
    """Whose rows, which of them, and the ids they lie between."""

    scope: Scope
    filters: Filters
    range: IdRange

    @property
    def in_buckets(self) -> bool:
        """Whether buckets can answer; if not, raw rows must be counted."""
        return self.filters.fit_hourly

    @property
    def in_daily(self) -> bool:
        """Whether the daily buckets can answer for whole days."""
        return self.scope.is_site and self.filters.fit_daily

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """Return what rows of `table` must satisfy, the range not yet among it."""
        return [*self.scope.conditions(table), *self.filters.conditions(table)]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a range, and the table that answers for it. Bounds are ids, `high` not included."""

    table: Table
    low: int
    high: int

    def inside(self) -> list[ColumnElement[bool]]:
        """Return the condition that a row or bucket lies in this part."""
        if self.table is records:
            return [records.c.id >= self.low, records.c.id < self.high]
        bucket = self.table.c.bucket
        return [bucket >= ids.second_of(self.low), bucket < ids.second_of(self.high)]


def parts(query: Query) -> list[Part]:
    """Cut the range of a query into parts, oldest first; only raw rows where no bucket can answer."""
    low, high = query.range.low, query.range.high
    if not query.in_buckets:
        return [Part(records, low, high)] if query.range else []
    first, last = _up(low, _HOUR_IDS), _down(high, _HOUR_IDS)
    if first >= last:
        cuts = [Part(records, low, high)]
    else:
        cuts = [Part(records, low, first), *_whole_hours(query, first, last), Part(records, last, high)]
    return [part for part in cuts if part.low < part.high]


def _whole_hours(query: Query, low: int, high: int) -> list[Part]:
    first, last = _up(low, _DAY_IDS), _down(high, _DAY_IDS)
    if not query.in_daily or first >= last:
        return [Part(hourly, low, high)]
    return [Part(hourly, low, first), Part(daily, first, last), Part(hourly, last, high)]


def _up(row_id: int, span: int) -> int:
    return -(-row_id // span) * span


def _down(row_id: int, span: int) -> int:
    return row_id // span * span


def over(
    connection: Connection, query: Query, columns: Callable[[Table], Sequence[ColumnElement[int]]]
) -> list[int]:
    """Return the sums that `columns` gives for a table, over the whole query."""
    selects = [
        select(*columns(part.table)).where(*query.conditions(part.table), *part.inside())
        for part in parts(query)
    ]
    selects += _kept_at_edges(query, columns)
    if not selects:
        return [0] * len(columns(records))
    if len(selects) == 1:
        return list(connection.execute(selects[0]).one())
    rows = connection.execute(union_all(*selects)).all()
    return [sum(values) for values in zip(*rows, strict=True)]


def _kept_at_edges(
    query: Query, columns: Callable[[Table], Sequence[ColumnElement[int]]]
) -> list[Select[*tuple[Any, ...]]]:
    """Return what adds the usage kept from purged rows where raw rows answer for part of an hour.

    It stands at quarter hours: an edge inside one is moved back to its start, at both ends of a range
    alike, so that adjoining ranges neither overlap nor leave a gap.
    """
    selects: list[Select[*tuple[Any, ...]]] = []
    for part in parts(query) if query.in_buckets else []:
        low, high = (_down(edge, ids.first_id(QUARTER)) for edge in (part.low, part.high))
        if part.table is records and low < high:
            kept = Part(hourly, low, high)
            conditions = [*query.conditions(hourly), *kept.inside(), hourly.c.retained == 1]
            selects.append(select(*columns(hourly)).where(*conditions))
    return selects


def count(connection: Connection, query: Query) -> int:
    """Return how many rows of the log the query matches, exactly."""
    return over(connection, query, lambda table: [dialects.total(stats.measure(table, "rows"))])[0]


def statistics(connection: Connection, query: Query, *, asked: int, now: int) -> dict[str, int]:
    """Return every stat of the list over the query, and `rpm` and `tpm` over the last minute.

    `asked` is the type that stats without types of their own follow; `query` carries no type filter.
    Requests per minute count rows, tokens per minute sum prompt and completion tokens, both from raw rows
    newer than a minute.
    """
    typed = Query(query.scope, query.filters.also(types=stats.types_needed(asked)), query.range)
    found = over(connection, typed, lambda table: stats.columns(table, asked))
    rates = _rates(connection, query, asked=asked, now=now)
    return dict(zip((stat.name for stat in stats.STATS), found, strict=True)) | rates


def _rates(connection: Connection, query: Query, *, asked: int, now: int) -> dict[str, int]:
    recent = Part(records, ids.first_id(now - stats.RATE_SECONDS + 1), ids.first_id(now + 1))
    used = dialects.total(records.c.prompt_tokens + records.c.completion_tokens)
    conditions = [*query.conditions(records), *recent.inside(), records.c.type == asked]
    rpm, tpm = connection.execute(select(func.count(), used).where(*conditions)).one()
    return {"rpm": rpm, "tpm": tpm}
