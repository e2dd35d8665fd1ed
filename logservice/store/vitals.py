"""A few figures about a log that are cheap to read, however large it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
)

from . import ids, purging
from .buckets import SITE, between
from .dialects import Space
from .log_types import NAMES
from .prepared import prepared
from .purging import Progress
from .tables import records, site

if TYPE_CHECKING:
    from .store import LogStore


@dataclass(frozen=True, slots=True)
class TypeRows:
    """How many rows a type has, and the second (UTC) at which the week of the oldest one begins."""

    rows: int
    week: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """Rows in the log, the second of the oldest one of each type, bytes on disk, and how far a purge is.

    Types go by their names, and one without a name by its number.
    """

    rows: int
    oldest: Mapping[str, int]
    space: Space
    purge: Progress | None


def read(store: LogStore) -> Vitals:
    """Read them, in milliseconds: no table of rows is scanned. Raises Unavailable."""
    with store.reading() as connection:
        types = rows_of_types(connection)
        found = _oldest(connection, {number: held.week for number, held in types.items()})
    oldest = {NAMES.get(number, str(number)): second for number, second in found.items()}
    rows = sum(held.rows for held in types.values())
    return Vitals(rows, oldest, store.space(), purging.under_way(store))


def rows_of_types(connection: Connection) -> dict[int, TypeRows]:
    """Return what rows there are by the number of their type, as the longest buckets tell."""
    figures = (func.sum(site.c.rows), func.min(site.c.bucket))
    weeks = select(site.c.type, *figures).where(
        site.c.span == ids.WEEK, site.c.retained == 0, site.c.rows > 0
    )
    found = connection.execute(weeks.group_by(site.c.type).order_by(site.c.type))
    return {number: TypeRows(int(rows), week) for number, rows, week in found}


def _oldest(connection: Connection, weeks: Mapping[int, int]) -> dict[int, int]:
    """Return the second of the oldest row of each type, which is known to lie in a week.

    The first bucket of each span that has such rows leads to the first one in it of the next shorter span,
    for all types at once. A type whose rows and sums differ may be missing.
    """
    starts, seconds = dict(weeks), SITE.spans[-1]
    for span in reversed(SITE.spans[:-1]):
        starts = _first(connection, _first_buckets, starts, seconds, span)
        seconds = span
    starts = {number: ids.first_id(start) for number, start in starts.items()}
    found = _first(connection, _first_rows, starts, ids.first_id(seconds))
    return {number: ids.second_of(row_id) for number, row_id in found.items()}


def _first(
    connection: Connection, statement: prepared[...], starts: Mapping[int, int], width: int, *shape: int
) -> dict[int, int]:
    """Return what a statement finds of each type from its start on."""
    values: dict[str, int] = {}
    for place, (number, start) in enumerate(starts.items()):
        values |= {f"type_{place}": number, f"low_{place}": start, f"high_{place}": start + width}
    rows = statement(connection, values, len(starts), *shape) if starts else []
    return {number: found for number, found in rows if found is not None}


@prepared
def _first_buckets(types: int, span: int) -> Executable:
    """Select of each type the start of its first bucket of a span, between two seconds, that has rows."""
    return union_all(*(_first_bucket(str(place), span) for place in range(types)))


def _first_bucket(name: str, span: int) -> Select[*tuple[Any, ...]]:
    number = bindparam(f"type_{name}", type_=BigInteger)
    inside = between(site, bindparam(f"low_{name}"), bindparam(f"high_{name}"), span)
    return select(number, func.min(site.c.bucket)).where(*inside, site.c.type == number, site.c.rows > 0)


@prepared
def _first_rows(types: int) -> Executable:
    """Select of each type its first id between two."""
    return union_all(*(_first_row(str(place)) for place in range(types)))


def _first_row(name: str) -> Select[*tuple[Any, ...]]:
    number, row_id = bindparam(f"type_{name}", type_=BigInteger), records.c.id
    inside = [
        row_id >= bindparam(f"low_{name}"),
        row_id < bindparam(f"high_{name}"),
        records.c.type == number,
    ]
    first = select(row_id).where(*inside).order_by(row_id).limit(literal_column("1"))
    return select(number, first.scalar_subquery())
