"""Ids on PostgreSQL: numbers from a cycling sequence, of which old rows of the same second may have some."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Executable,
    bindparam,
    column,
    func,
    literal_column,
    select,
    union,
)
from sqlalchemy import table as sql_table

from ...errors import InvalidValue
from .. import ids
from ..prepared import prepared

#: Numbers taken from the sequence in one go; far fewer than it has, so that few batches meet its end.
_MOST_NUMBERS = 100_000
#: How often other numbers are tried for rows whose ids are taken.
_ATTEMPTS = 50


def new_ids(connection: Connection, seconds: Sequence[int]) -> list[int]:
    """Return an unused id for each second, in order. Raises InvalidValue when a second is full."""
    found: list[int] = []
    for start in range(0, len(seconds), _MOST_NUMBERS):
        some = seconds[start : start + _MOST_NUMBERS]
        numbers = _numbers(connection, len(some))
        assigned = [ids.first_id(second) + number for second, number in zip(some, numbers, strict=True)]
        found += _free(connection, assigned, others=found)
    return found


def _numbers(connection: Connection, count: int) -> list[int]:
    """Return so many numbers from the sequence, rising: those on both sides of its end are not mixed."""
    while True:
        found = [number for (number,) in _next_numbers(connection, {"count": count})]
        if found[0] <= found[-1]:
            return found


def _free(connection: Connection, assigned: list[int], *, others: Sequence[int]) -> list[int]:
    """Replace ids that old rows of the same seconds have taken, keeping the order within each second.

    The sequence gives a number out again after two million rows, to which a second may have been added long
    ago. Others are drawn at random, for those that follow are likely taken too.
    """
    draw = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        taken = {row_id for (row_id,) in _taken(connection, {"wanted": assigned})}
        if not taken:
            return assigned
        used = {*others, *assigned}
        for second in {ids.second_of(row_id) for row_id in taken}:
            places = [place for place, row_id in enumerate(assigned) if ids.second_of(row_id) == second]
            if len(places) > ids.SEQUENCES // 2:
                # Too many to be drawn in reasonable time.
                break
            kept = [assigned[place] for place in places if assigned[place] not in taken]
            while len(kept) < len(places):
                drawn = ids.first_id(second) + draw.randrange(ids.SEQUENCES)
                if drawn not in used:
                    used.add(drawn)
                    kept.append(drawn)
            for place, row_id in zip(places, sorted(kept), strict=True):
                assigned[place] = row_id
    raise InvalidValue(f"created_at: second {ids.second_of(min(taken))} has no room for more rows")


@prepared
def _next_numbers() -> Executable:
    series = func.generate_series(1, bindparam("count", type_=BigInteger)).alias()
    return select(func.nextval(literal_column("'log_sequence'"))).select_from(series)


@prepared
def _taken() -> Executable:
    """Select ids that rows have, or texts that outlived the row whose id they go by."""
    wanted = func.any(bindparam("wanted", type_=ARRAY(BigInteger)))
    tables = (sql_table(name, column("id", BigInteger)) for name in ("log_records", "log_contents"))
    return union(*(select(table.c.id).where(table.c.id == wanted) for table in tables))
