"""Exact sums over any range of time and any filters, without scanning the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    Table,
    bindparam,
    func,
    select,
    union_all,
)

from . import dialects, ids, recent, stats
from .prepared import Reader, prepared
from .queries import RAW, Part, Query, Rung, Shape, bounds, kept_beside, parts, with_open_end
from .tables import records

#: Gives the sums that are asked of a table.
Columns = Callable[[Table], Sequence[ColumnElement[int]]]


def count(connection: Reader, query: Query) -> int:
    """Return how many rows of the log the query matches, exactly."""
    return _over(connection, query, _row_count)[0]


def statistics(connection: Reader, query: Query, *, asked: int, now: int) -> dict[str, int]:
    """Return every stat of the list over the query, and `rpm` and `tpm` over the last minute.

    `asked` is the type that stats without types of their own follow; `query` carries no type filter.
    Requests per minute count the rows of the last minute, tokens per minute sum their prompt and completion
    tokens.
    """
    typed = replace(query, filters=query.filters.also(types=stats.types_needed(asked)))
    found = _over(connection, typed, stats.columns, asked=asked)
    rates = recent.rates(connection, query, asked=asked, now=now)
    rpm, tpm = rates or _rates_of_rows(connection, query, asked=asked, now=now)
    return {
        **dict(zip((stat.name for stat in stats.STATS), found, strict=True)),
        "rpm": rpm,
        "tpm": tpm,
    }


def _row_count(table: Table) -> list[ColumnElement[int]]:
    return [dialects.total(stats.measure(table, "rows"))]


def _over(connection: Reader, query: Query, columns: Columns, **values: Any) -> list[int]:
    """Return the sums that `columns` asks of a table, over the whole query."""
    query = with_open_end(connection, query)
    cut = parts(query.range, query.ladder)
    cut += kept_beside(cut) if query.in_buckets else []
    if not cut:
        return [0] * len(columns(records))
    values |= query.values | bounds(cut)
    rows = _sums(connection, values, query.shape, tuple(part.rung for part in cut), columns)
    return [sum(column) for column in zip(*rows, strict=True)]


@prepared
def _sums(shape: Shape, rungs: tuple[Rung, ...], columns: Columns) -> Executable:
    selects = [_sums_of(shape, rung, str(place), columns) for place, rung in enumerate(rungs)]
    return selects[0] if len(selects) == 1 else union_all(*selects)


def _sums_of(shape: Shape, rung: Rung, name: str, columns: Columns) -> Select[*tuple[Any, ...]]:
    return select(*columns(rung.table)).where(*shape.inside(rung, name))


def _rates_of_rows(connection: Reader, query: Query, *, asked: int, now: int) -> tuple[int, int]:
    minute = Part(RAW, ids.first_id(now - stats.RATE_SECONDS + 1), ids.first_id(now + 1))
    values = query.values | bounds([minute]) | {"asked": asked}
    [(rpm, tpm)] = _rate_sums(connection, values, query.shape)
    return rpm, tpm


@prepared
def _rate_sums(shape: Shape) -> Executable:
    used = dialects.total(records.c.prompt_tokens + records.c.completion_tokens)
    of_type = records.c.type == bindparam("asked")
    return select(func.count(), used).where(*shape.inside(RAW, "0"), of_type)
