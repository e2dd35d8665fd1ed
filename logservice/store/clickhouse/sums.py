"""Statistics, added up from the rows by the server."""

from __future__ import annotations

from sqlalchemy import Executable, func, select

from .. import dialects, ids, stats
from ..ids import IdRange
from ..prepared import Reader, prepared
from .selecting import Selection, Shape
from .tables import records


def statistics(reader: Reader, rows: Selection, *, asked: int) -> list[int]:
    """Return every stat of `stats.STATS` over some rows; `asked` is the type that most of them follow."""
    if not rows.range:
        return [0] * len(stats.STATS)
    typed = rows.also(types=stats.types_needed(asked))
    [found] = _statistics(reader, typed.values | {"asked": asked}, typed.shape)
    return list(found)


@prepared
def _statistics(shape: Shape) -> Executable:
    return select(*stats.columns(records)).where(*shape.conditions())


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
