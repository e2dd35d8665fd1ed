"""The log's side of an archive: what is to be archived, what was, and rows that go once they are.

A day is archived by noting its file here, once that is whole and on disk. From then on exactly the rows of
that file are deleted, whatever was recorded meanwhile; when they are gone the note goes. Whoever is killed in
between leaves either a file that counts for nothing, or a note by which the work is finished.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, case, delete, func, insert, select

from . import archived_usage, dialects, filters, ids, kept_usage, retained, retention
from .buckets import QUARTER
from .dialects import Dialect
from .ids import IdRange
from .jobs import Claim
from .kept_usage import Usage
from .recording import week_claim
from .retained import Trace
from .store import LogStore
from .tables import imports, records, site

#: What is summed to compare a file with the log.
COMPARED = ("rows", "quota", "prompt_tokens", "completion_tokens", "cached_tokens", "use_time_ms")
#: Sums in the order of COMPARED, by type.
Totals = dict[int, tuple[int, ...]]

_KIND, _LOG = "archive", "log"
_CLAIM = Claim("imports")


@dataclass(frozen=True, slots=True)
class Day:
    """A day (UTC) by its first second, how many rows it has, and whether it has usage that no archive has."""

    start: int
    rows: int
    has_usage: bool

    @property
    def range(self) -> IdRange:
        """Its ids."""
        return IdRange(ids.first_id(self.start), ids.first_id(self.start + ids.DAY))


@dataclass(frozen=True, slots=True)
class Begun:
    """A file that counts, while it may have no name yet or its rows are not all deleted.

    `name` is that within `folder`, the folder of the archive.
    """

    file_id: str
    name: str
    folder: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Usage without rows that no archive has, and if they are known the rows it stems from, with types."""

    usage: list[Usage] = field(default_factory=list)
    rows: list[tuple[int, Trace]] = field(default_factory=list)


def days(store: LogStore, before: int) -> list[Day]:
    """Return the days that end by a second and have something to archive, oldest first."""
    kept = case((site.c.retained == retained.KEPT, 1), else_=0)
    present = case((site.c.retained == 0, site.c.rows), else_=0)
    found = select(site.c.bucket, func.sum(present), func.max(kept)).where(
        site.c.span == ids.DAY, site.c.bucket <= before - ids.DAY
    )
    with store.reading() as connection:
        rows = connection.execute(found.group_by(site.c.bucket).order_by(site.c.bucket)).all()
    every = [Day(start, int(number), bool(has_usage)) for start, number, has_usage in rows]
    return [day for day in every if day.rows or day.has_usage]


def totals(store: LogStore, day: Day) -> Totals:
    """Return what the buckets say of the rows of a day."""
    sums = (dialects.total(site.c[name]) for name in COMPARED)
    of_day = [site.c.span == ids.DAY, site.c.bucket == day.start, site.c.retained == 0]
    with store.reading() as connection:
        found = connection.execute(select(site.c.type, *sums).where(*of_day).group_by(site.c.type)).all()
    return {log_type: tuple(map(int, numbers)) for log_type, *numbers in found if numbers[0]}


def kept(store: LogStore, day: Day) -> Kept:
    """Return the usage of a day that stems from rows purged earlier and that no archive has."""
    with store.reading() as connection:
        return _kept(connection, day)


def _kept(connection: Connection, day: Day) -> Kept:
    usage = kept_usage.of(connection, day.start, day.start + ids.DAY)
    return Kept(usage, retained.kept(connection, day.range.low, day.range.high) if usage else [])


def log_id(store: LogStore) -> str:
    """Return what this log is known by in its archives, unlike any other."""
    return store.write(_log_id, claims=[_CLAIM])


def _log_id(connection: Connection) -> str:
    known = connection.scalar(select(imports.c.state).where(imports.c.kind == _LOG))
    if known is None:
        known = orjson.dumps({"begins": secrets.token_hex(16)}).decode()
        _insert(connection, _LOG, known)
    return str(orjson.loads(known)["begins"])


def begin(
    store: LogStore, day: Day, *, rows: Begun | None = None, usage: Begun | None = None, kept: Kept
) -> bool:
    """Note the files of a day; return False, and note nothing, if its kept usage changed meanwhile."""
    work = partial(_begin, dialect=store.dialect, day=day, rows=rows, usage=usage, kept=kept)
    claims = [_CLAIM, retention.CLAIM, week_claim(day.start, shared=False)]
    return store.write(work, claims=claims, is_long=True)


def _begin(
    connection: Connection,
    *,
    dialect: Dialect,
    day: Day,
    rows: Begun | None,
    usage: Begun | None,
    kept: Kept,
) -> bool:
    if _kept(connection, day) != kept:
        return False
    if usage is not None:
        kept_usage.move_to_archive(connection, dialect, kept.usage)
        archived_usage.note(connection, usage.file_id)
    for file in (rows, usage):
        if file is not None:
            state = orjson.dumps({"begins": file.file_id, **asdict(file)}).decode()
            _insert(connection, _KIND, state)
    return True


def _insert(connection: Connection, kind: str, state: str) -> None:
    new_id = (connection.scalar(select(func.max(imports.c.id))) or 0) + 1
    connection.execute(insert(imports).values(id=new_id, kind=kind, state=state))


def begun(store: LogStore) -> list[Begun]:
    """Return the files that count and are not finished, in the order they were begun."""
    with store.reading() as connection:
        wanted = select(imports.c.state).where(imports.c.kind == _KIND).order_by(imports.c.id)
        states = [orjson.loads(state) for state in connection.scalars(wanted)]
    return [Begun(state["file_id"], state["name"], state["folder"]) for state in states]


def delete_rows(store: LogStore, archived: Sequence[Trace]) -> int:
    """Delete rows of one week that lie in an archive, those that are still there; their usage stays."""
    work = partial(_delete_rows, dialect=store.dialect, archived=archived)
    week = week_claim(ids.second_of(archived[0][0]), shared=False)
    return store.write(work, claims=[week, retention.SHARED], is_long=True)


def _delete_rows(connection: Connection, *, dialect: Dialect, archived: Sequence[Trace]) -> int:
    span = IdRange(archived[0][0], archived[-1][0] + 1)
    gone, values = retention.inside(span), dict[str, Any]()
    known = set(archived)
    there = [trace for _, trace in retained.traces(connection, gone, {})]
    strangers = [trace[0] for trace in there if trace not in known]
    if len(strangers) == len(there):
        return 0
    for place, some in enumerate(filters.chunks(strangers)):
        form, name = filters.OneOf.fitting(some), f"stranger_{place}"
        gone.append(~form(records.c.id, name))
        values |= form.values(name, some)
    return retention.take_away(connection, dialect, gone, values, span=span, mark=retained.ARCHIVED)


def restore_usage(store: LogStore, file_id: str, found: Kept) -> int:
    """Bring the usage of a file back, as far as the log does not have it; return the number of its parts."""
    weeks = {row[0] // ids.WEEK for row in found.usage}
    claims = [_CLAIM, retention.CLAIM, *(week_claim(week * ids.WEEK, shared=False) for week in weeks)]
    work = partial(_restore_usage, dialect=store.dialect, file_id=file_id, found=found)
    return store.write(work, claims=claims, is_long=True)


def _restore_usage(connection: Connection, *, dialect: Dialect, file_id: str, found: Kept) -> int:
    held = archived_usage.held(connection, file_id)
    new = [row for row in found.usage if held is None or not held.has(row[0], row[1])]
    if new:
        kept_usage.restore(connection, dialect, new)
        came = ((log_type, trace) for log_type, trace in found.rows)
        kept_usage.settle(
            connection,
            dialect,
            [one for one in came if held is None or not held.has(_quarter(one[1]), one[0])],
        )
        archived_usage.note(connection, file_id)
    return len(new)


def _quarter(trace: Trace) -> int:
    second = ids.second_of(trace[0])
    return second - second % QUARTER


def finish(store: LogStore, one: Begun) -> None:
    """Note that a file has its name and its rows are deleted, or that it is given up."""
    store.write(partial(_finish, file_id=one.file_id), claims=[_CLAIM])


def _finish(connection: Connection, *, file_id: str) -> None:
    rows = connection.execute(select(imports.c.id, imports.c.state).where(imports.c.kind == _KIND)).all()
    done = [row.id for row in rows if orjson.loads(row.state)["file_id"] == file_id]
    connection.execute(delete(imports).where(imports.c.id.in_(done)))
