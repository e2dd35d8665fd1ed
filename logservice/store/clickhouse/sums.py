"""Statistics, added up from the rows by the server, or from its own sums of quarter hours."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Executable, Subquery, case, func, literal_column, select

from .. import dialects, ids, stats
from ..ids import IdRange
from ..log_types import REQUEST_TYPES
from ..prepared import Reader, one_of_constants, prepared
from ..tables import MEASURES
from .selecting import Selection, Shape
from .tables import records


def statistics(reader: Reader, rows: Selection, *, asked: int) -> list[int]:
    """Return every stat of `stats.STATS` over some rows; `asked` is the type that most of them follow."""
    typed = rows.also(types=stats.types_needed(asked))
    found = [0] * len(stats.STATS)
    for part in typed.parts():
        [more] = _statistics(reader, part.values | {"asked": asked}, part.shape)
        found = [one + other for one, other in zip(found, more, strict=True)]
    return found


@prepared
def _statistics(shape: Shape) -> Executable:
    return select(*stats.columns(by_type(shape)))


def by_type(shape: Shape, *keys: ColumnElement[Any]) -> Subquery:
    """Return the measures of rows by some keys and their type, as a bucket table has them.

    Types are told apart afterwards: the engine's own sums are those of a type.
    """
    kind = records.c.type
    names = [name for name in MEASURES if name not in ("rows", "requests")]
    sums = [func.count().label("rows"), *(func.sum(records.c[name]).label(name) for name in names)]
    grouped = [*keys, *([] if any(key.name == "type" for key in keys) else [kind])]
    found = select(*grouped, *sums).where(*shape.conditions()).group_by(*grouped).subquery("summed")
    asked = case((one_of_constants(found.c.type, REQUEST_TYPES), found.c.rows), else_=literal_column("0"))
    return select(*found.c, asked.label("requests")).subquery("found")


def rates(reader: Reader, rows: Selection, *, asked: int, now: int) -> dict[str, int]:
    """Return requests and tokens of the last minute, without regard to the range of the rows."""
    recent = IdRange(ids.first_id(now - stats.RATE_SECONDS + 1), ids.first_id(now + 1))
    typed = rows.anywhere_in(recent).also(type=asked)
    [(rpm, tpm)] = _rates(reader, typed.values, typed.shape)
    return {"rpm": rpm, "tpm": tpm}


@prepared
def _rates(shape: Shape) -> Executable:
    used = dialects.total(records.c.prompt_tokens + records.c.completion_tokens)
    return select(func.count(), used).where(*shape.conditions())
