"""The log's side of an archive: what is to be archived, what was, and rows that go once they are.

A day is archived by noting its file here, once that is whole and on disk. From then on exactly the rows of
that file are deleted, whatever was recorded meanwhile; when they are gone the note goes. Whoever is killed in
between leaves either a file that counts for nothing, or a note by which the work is finished.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, case, delete, func, insert, select

from . import archived_usage, dialects, filters, ids, kept_usage, retained, retention
from .dialects import Dialect
from .ids import IdRange
from .kept_usage import Usage
from .recording import week_claim
from .retained import Trace
from .store import LogStore
from .tables import imports, records, site
from .writer import Claim

#: What is summed to compare a file with the log.
COMPARED = ("rows", "quota", "prompt_tokens", "completion_tokens", "cached_tokens", "use_time_ms")
#: Sums in the order of COMPARED, by type.
Totals = dict[int, tuple[int, ...]]

_KIND = "archive"
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
    """A file whose rows are being deleted: its id, its name, and the folder of the archive."""

    file_id: str
    name: str
    folder: str


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


def usage(store: LogStore, day: Day) -> list[Usage]:
    """Return the usage of a day that stems from rows purged earlier and that no archive has."""
    with store.reading() as connection:
        return kept_usage.of(connection, day.start, day.start + ids.DAY)


def begin(
    store: LogStore,
    day: Day,
    *,
    rows: Begun | None = None,
    usage: Sequence[Usage] = (),
    usage_id: str = "",
) -> bool:
    """Note the files of a day; return False, and note nothing, if its usage changed meanwhile."""
    work = partial(_begin, dialect=store.dialect, day=day, rows=rows, usage=list(usage), usage_id=usage_id)
    claims = [_CLAIM, retention.CLAIM, week_claim(day.start, shared=False)]
    return store.write(work, claims=claims, is_long=True)


def _begin(
    connection: Connection,
    *,
    dialect: Dialect,
    day: Day,
    rows: Begun | None,
    usage: list[Usage],
    usage_id: str,
) -> bool:
    if kept_usage.of(connection, day.start, day.start + ids.DAY) != usage:
        return False
    if usage:
        kept_usage.move_to_archive(connection, dialect, usage)
        archived_usage.note(connection, usage_id)
    if rows is not None:
        new_id = (connection.scalar(select(func.max(imports.c.id))) or 0) + 1
        state = orjson.dumps({"begins": rows.file_id, **asdict(rows)}).decode()
        connection.execute(insert(imports).values(id=new_id, kind=_KIND, state=state))
    return True


def begun(store: LogStore) -> list[Begun]:
    """Return the files whose rows are not all deleted yet."""
    with store.reading() as connection:
        states = connection.scalars(
            select(imports.c.state).where(imports.c.kind == _KIND).order_by(imports.c.id)
        )
        return [_read(orjson.loads(state)) for state in states]


def _read(state: Mapping[str, Any]) -> Begun:
    return Begun(state["file_id"], state["name"], state["folder"])


def is_noted(store: LogStore, file_id: str) -> bool:
    """Whether a file of usage was noted."""
    with store.reading() as connection:
        return archived_usage.held(connection, file_id) is not None


def delete_rows(store: LogStore, archived: Sequence[Trace]) -> int:
    """Delete rows of one week that lie in an archive, those that are still there; their usage stays."""
    work = partial(_delete_rows, dialect=store.dialect, archived=archived)
    week = week_claim(ids.second_of(archived[0][0]), shared=False)
    return store.write(work, claims=[week], is_long=True)


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


def restore_usage(store: LogStore, file_id: str, usage: Sequence[Usage]) -> int:
    """Bring the usage of a file back, as far as the log does not have it; return the number of its parts."""
    weeks = {row[0] // ids.WEEK for row in usage}
    claims = [_CLAIM, retention.CLAIM, *(week_claim(week * ids.WEEK, shared=False) for week in weeks)]
    work = partial(_restore_usage, dialect=store.dialect, file_id=file_id, usage=usage)
    return store.write(work, claims=claims, is_long=True)


def _restore_usage(connection: Connection, *, dialect: Dialect, file_id: str, usage: Sequence[Usage]) -> int:
    held = archived_usage.held(connection, file_id)
    new = [row for row in usage if held is None or not held.has(row[0], row[1])]
    if new:
        kept_usage.restore(connection, dialect, new)
        archived_usage.note(connection, file_id)
    return len(new)


def finish(store: LogStore, one: Begun) -> None:
    """Note that the rows of a file are deleted."""
    store.write(partial(_finish, file_id=one.file_id), claims=[_CLAIM])


def _finish(connection: Connection, *, file_id: str) -> None:
    rows = connection.execute(select(imports.c.id, imports.c.state).where(imports.c.kind == _KIND)).all()
    done = [row.id for row in rows if orjson.loads(row.state)["file_id"] == file_id]
    connection.execute(delete(imports).where(imports.c.id.in_(done)))
