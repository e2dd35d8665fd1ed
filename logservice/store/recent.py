"""Rates of the whole site and of its models, without reading the rows of the last minute one by one.

Whoever stores rows adds them up by seconds here, in the same transaction. The table is complete from some
second on; what is older is not added. That second moves on with the newest rows, and what lies before it
goes; only rows with times in the future stand there for longer. It stands in the table as well, negated, so
that it comes before all others. No clock is trusted: who asks for more than is complete reads the rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from . import dialects, ids
from .buckets import bucket_of, second_of_row
from .dialects import Dialect
from .prepared import Reader, prepared
from .queries import Query, Shape
from .stats import RATE_SECONDS
from .tables import RECENT_DIMENSIONS, recent, records

#: Seconds that stay at least, for clocks of readers may be behind those of writers; up to twice as many do.
KEPT = 2 * RATE_SECONDS
_FIRST = select(func.min(recent.c.second))
_TOKENS = records.c.prompt_tokens + records.c.completion_tokens
_LOW, _HIGH = bindparam("low", type_=BigInteger), bindparam("high", type_=BigInteger)


def begin(connection: Connection, *, now: int) -> None:
    """See to it that the table says from when on it is complete: behind all rows but those in the future.

    Nobody else may write meanwhile.
    """
    if not has_begun(connection):
        newest = connection.scalar(select(func.max(records.c.id)))
        since = ids.MIN_SECOND if newest is None else min(ids.second_of(newest), now) + 1
        connection.execute(insert(recent).values(second=-since, writer=0, type=0, model_name=""))
        recount(connection, since, ids.MAX_SECOND + 1)


def has_begun(connection: Reader) -> bool:
    """Whether the table says from when on it is complete; if not, nothing is added to it."""
    return _since(connection) is not None


def add(connection: Connection, dialect: Dialect, rows: Sequence[Mapping[str, Any]], *, now: int) -> None:
    """Add new rows of `log_records`, ids assigned, to their seconds, as far as those are kept."""
    since = _since(connection)
    if since is None:
        return
    newest = ids.second_of(max(row["id"] for row in rows))
    moved = min(newest, now) - KEPT
    # Two that write to the same row would wait for each other's commit.
    writer, told = dialect.session(connection), list[tuple[Any, ...]]()
    if moved >= since + KEPT:
        _forget(connection, moved)
        told, since = [(-moved, writer, 0, "", 0, 0)], moved
    dialect.add_up(connection, recent, [*told, *sorted(_by_second(rows, since, writer))])


def _forget(connection: Connection, since: int) -> None:
    """Delete the seconds before one, and who told that the table is complete from one of them on.

    What others delete or add to just now is left for the next time, and what tells of later seconds stays.
    """
    key = list(recent.primary_key)
    before = select(*key).where(recent.c.second < since, recent.c.second > -since)
    before = before.with_for_update(skip_locked=True)
    connection.execute(delete(recent).where(tuple_(*key).in_(before)))


def _by_second(rows: Sequence[Mapping[str, Any]], since: int, writer: int) -> Iterator[tuple[Any, ...]]:
    first = ids.first_id(since)
    found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        if row["id"] >= first:
            names = (row[name] for name in RECENT_DIMENSIONS)
            sums = found[ids.second_of(row["id"]), writer, *names]
            sums[0] += 1
            sums[1] += row["prompt_tokens"] + row["completion_tokens"]
    for key, sums in found.items():
        yield *key, *sums


def recount(connection: Connection, low: int, high: int) -> None:
    """Count the seconds from `low` to before `high` anew, as far as they are kept: rows of them are gone.

    Nobody else may add rows to them meanwhile.
    """
    since = _since(connection)
    if since is None or high <= since:
        return
    low = max(low, since)
    forget(connection, low, high)
    values = {"low": ids.first_id(low), "high": ids.first_id(high)}
    connection.execute(
        insert(recent).from_select([column.name for column in recent.c], _of_rows(records.c.id < _HIGH)),
        values,
    )


def forget(connection: Connection, low: int, high: int) -> None:
    """Take the seconds from `low`, which is above 0, to before `high` out of the table."""
    connection.execute(delete(recent).where(recent.c.second >= low, recent.c.second < high))


def _of_rows(*where: ColumnElement[bool]) -> Select[Any]:
    """Select what rows make up, in the columns of the table."""
    keys = [second_of_row.label("second"), *(records.c[name] for name in RECENT_DIMENSIONS)]
    no_writer = literal_column("0", BigInteger).label("writer")
    sums = func.count().label("rows"), dialects.total(_TOKENS).label("tokens")
    found = select(keys[0], no_writer, *keys[1:], *sums).where(records.c.id >= _LOW, *where)
    return found.group_by(*keys)


def days(connection: Connection) -> set[int]:
    """Return the starts of the days that have seconds here."""
    day = bucket_of(recent.c.second, ids.DAY)
    return set(connection.scalars(select(day).where(recent.c.second > 0).distinct()))


def rates(connection: Reader, query: Query, *, asked: int, now: int) -> tuple[int, int] | None:
    """Return requests and tokens of a type in the last minute, or None where only the rows tell."""
    if not query.scope.is_site or not query.filters.columns <= set(RECENT_DIMENSIONS):
        return None
    low = now - RATE_SECONDS + 1
    values = {**query.values, "low": low, "high": now + 1, "asked": asked}
    [(first, rows, tokens)] = _rates(connection, values, query.shape)
    since = _complete(first)
    return None if since is None or since > low else (rows, tokens)


@prepared
def _rates(shape: Shape) -> Executable:
    asked = [recent.c.type == bindparam("asked"), recent.c.second >= _LOW, recent.c.second < _HIGH]
    sums = (dialects.total(recent.c[name]) for name in ("rows", "tokens"))
    return select(_FIRST.scalar_subquery(), *sums).where(*shape.conditions(recent), *asked)


def wrong(connection: Connection, low: int = 0, high: int = ids.MAX_SECOND + 1) -> int:
    """Return of how many seconds from `low` to before `high` the rows make up something else."""
    since = _since(connection)
    if since is None or high <= since:
        return 0
    low = max(low, since)
    values = {"low": ids.first_id(low), "high": ids.first_id(high), "from": low, "to": high}
    return int(_wrong(connection, values)[0][0])


@prepared
def _wrong() -> Executable:
    keys, sums = ["second", *RECENT_DIMENSIONS], ["rows", "tokens"]
    of_rows = _of_rows(records.c.id < _HIGH).subquery()
    from_on, to = (bindparam(name, type_=BigInteger) for name in ("from", "to"))
    expected = select(*(of_rows.c[name] for name in (*keys, *sums)))
    kept = select(*(recent.c[name] for name in keys), *((-recent.c[name]).label(name) for name in sums))
    both = union_all(expected, kept.where(recent.c.second >= from_on, recent.c.second < to)).subquery()
    differing = or_(*(dialects.total(both.c[name]) != literal_column("0") for name in sums))
    wrong_keys = select(both.c.second).group_by(*(both.c[name] for name in keys)).having(differing).subquery()
    return select(func.count(wrong_keys.c.second.distinct()))


def _since(connection: Reader) -> int | None:
    """Return from which second on the table is complete; None where it does not say."""
    [(first,)] = _first(connection, {})
    return _complete(first)


def _complete(first: int | None) -> int | None:
    return None if first is None or first >= 0 else -int(first)


@prepared
def _first() -> Executable:
    return _FIRST
