"""The statistics: one list, computed from buckets and from rows by the same definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, FromClause, bindparam, case, literal_column

from . import dialects
from .log_types import REQUEST_TYPES, LogType
from .prepared import one_of_constants


@dataclass(frozen=True, slots=True)
class Stat:
    """A sum of one measure; over the rows of `types`, or of the type asked for when that is None."""

    name: str
    measure: str
    types: tuple[int, ...] | None = None


STATS = (
    Stat("quota", "quota"),
    Stat("requests", "requests", REQUEST_TYPES),
    Stat("errors", "requests", (int(LogType.ERROR),)),
    Stat("prompt_tokens", "prompt_tokens"),
    Stat("completion_tokens", "completion_tokens"),
    Stat("cached_tokens", "cached_tokens"),
)
#: What usage says of each group. `rows` counts rows that are present; the rest outlives them.
USAGE = (Stat("rows", "rows"), *STATS, Stat("use_time_ms", "use_time_ms"))
#: How far back `rpm` and `tpm` look, in seconds.
RATE_SECONDS = 60

_ZERO, _ONE = (literal_column(digit, BigInteger) for digit in "01")


def measure(table: FromClause, name: str) -> ColumnElement[int]:
    """Return the column of a bucket table, or what one row of `log_records` adds to it."""
    if name in table.c:
        return table.c[name]
    return (
        _ONE if name == "rows" else case((one_of_constants(table.c.type, REQUEST_TYPES), _ONE), else_=_ZERO)
    )


def types_needed(asked: int) -> tuple[int, ...]:
    """Return the types whose rows some stat needs when `asked` is the type asked for."""
    return tuple(sorted({asked, *(kind for stat in STATS for kind in stat.types or ())}))


def columns(
    table: FromClause, among: Sequence[Stat] = STATS, *, of_all_types: bool = False
) -> list[ColumnElement[int]]:
    """Return one summing column for each stat, over a bucket table or `log_records`.

    The type asked for is the parameter `asked`, unless all types are meant.
    """
    return [
        dialects.total(measure(table, stat.measure), where=_types(table, stat, of_all_types)).label(stat.name)
        for stat in among
    ]


def _types(table: FromClause, stat: Stat, of_all_types: bool) -> ColumnElement[bool] | None:
    if stat.types is None:
        return None if of_all_types else table.c.type == bindparam("asked")
    return one_of_constants(table.c.type, stat.types)
