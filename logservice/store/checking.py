"""The self-check: what the log holds, what it takes, and whether its buckets are the sums of its rows.

Everything is read in short snapshots: an hour of many rows at a time, or a day, or a week of buckets. So what
others write meanwhile never looks like drift, and no reader stays for long.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from . import drift, ids, log_types, recent, rollups, schema, stats, vitals
from .dialects import Space
from .drift import Drift, Link
from .tables import metadata, records, site

if TYPE_CHECKING:
    from .store import LogStore

#: How long a check by samples goes on, in seconds, and how many days it looks at.
SECONDS, SAMPLES = 1.5, 10
#: Drifts that are told one by one.
TOLD = 20
#: A day of more rows is compared hour by hour, and by samples only some hours of it.
_MOST_ROWS, _SAMPLED_HOURS = 20_000, 2


@dataclass(frozen=True, slots=True)
class TypeFigures:
    """How many rows of a type there are, and about how many bytes they take: a share of the whole."""

    number: int
    rows: int
    bytes: int

    @property
    def name(self) -> str | None:
        """The name of the type, None for a number that has none here."""
        return log_types.NAMES.get(self.number)


@dataclass(slots=True)
class Report:
    """What a check found. Of a schema that is not `current` nothing is known but that.

    `oldest` and `newest` are the seconds of the first and last row. `faults` counts what is wrong with texts,
    by what it is; of `wrong_seconds` rates are not those of the rows; `damage` is what the engine says of its
    own storage. Where the log `has_sums`, they were compared with the rows.
    """

    version: str | None
    schema: str
    full: bool
    space: Space | None = None
    rows: int = 0
    oldest: int | None = None
    newest: int | None = None
    types: list[TypeFigures] = field(default_factory=list)
    days: int = 0
    days_checked: int = 0
    drifted: int = 0
    cannot_be_mended: int = 0
    drift: list[Drift] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    wrong_seconds: int = 0
    damage: list[str] = field(default_factory=list)
    has_sums: bool = True

    @property
    def is_current(self) -> bool:
        """Whether the database is of this version of the program, so that it could be looked at."""
        return self.schema == "current"

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong with what was looked at."""
        return self.is_current and not (
            self.drifted or self.faults.total() or self.wrong_seconds or self.damage
        )

    def add(self, found: Drift) -> None:
        """Take up a drift."""
        self.drifted += 1
        self.cannot_be_mended += not found.link.can_be_mended
        if len(self.drift) < TOLD:
            self.drift.append(found)

    def to_mapping(self) -> dict[str, Any]:
        """Return all of it as it goes into JSON; sizes are in bytes, times in epoch seconds."""
        space = self.space or Space(0)
        return {
            "sound": self.is_sound,
            "schema_version": self.version,
            "schema": self.schema,
            "rows": self.rows,
            "oldest": self.oldest,
            "newest": self.newest,
            "types": [
                {"type": one.number, "name": one.name, "rows": one.rows, "bytes": one.bytes}
                for one in self.types
            ],
            "database_bytes": space.database,
            "wal_bytes": space.wal,
            "free_bytes": space.free,
            "table_bytes": dict(space.tables),
            "full": self.full,
            "days": self.days,
            "days_checked": self.days_checked,
            "drift": {
                "count": self.drifted,
                "cannot_be_mended": self.cannot_be_mended,
                "first": [_told(one) for one in self.drift],
            },
            "texts": {name: self.faults[name] for name in _TEXTS},
            "wrong_seconds": self.wrong_seconds,
            "damage": self.damage,
        }


def _told(found: Drift) -> dict[str, Any]:
    return {
        "table": found.link.table.name,
        "span": found.link.span,
        "bucket": found.bucket,
        "retained": found.link.retained,
        "dimensions": dict(found.dimensions),
        "expected": found.expected,
        "found": found.found,
    }


#: What may be wrong with texts: rows refer to one that is gone, no row says it, a search does not find it.
_TEXTS: dict[str, Callable[..., int]] = {
    "missing": drift.missing_texts,
    "unused": drift.unsaid_texts,
    "not_found_by_search": drift.unfindable_texts,
}


class Check:
    """A check of a log, by samples or in `full`. It changes nothing, not even an older schema.

    Samples are the newest day, the oldest and some in between; they take about `seconds` at most, SECONDS if
    that is not given.
    """

    def __init__(self, store: LogStore, *, full: bool = False, seconds: float | None = None) -> None:
        self._store = store
        self._deadline = None if full else time.monotonic() + (SECONDS if seconds is None else seconds)
        version = store.version()
        self.report = Report(version, standing(version), full, has_sums=store.has_sums)
        self.days: list[int] = []
        self._weeks: set[int] = set()
        if self.report.is_current:
            self._look()

    def run(self) -> Iterator[int]:
        """Compare day after day, yielding the start of each that is done; the report grows with it."""
        for day in self.days:
            if not self._compare_day(day):
                return
            self.report.days_checked += 1
            yield day
        if self.report.full and self.report.is_current:
            self._ask_engine()

    def complete(self) -> Report:
        """Compare all that is to be compared, and return the report."""
        for _ in self.run():
            pass
        return self.report

    # -- figures -------------------------------------------------------------------------------------------

    def _look(self) -> None:
        found = self.report
        found.space, now = self._store.dialect.space(), int(self._store.clock())
        with self._store.reading() as connection:
            found.oldest, found.newest = _ends(connection)
            of_types = vitals.rows_of_types(connection)
            minute = () if found.full else (now - stats.RATE_SECONDS + 1, now + 1)
            found.wrong_seconds = recent.wrong(connection, *minute)
            days = rollups.days(connection) if found.full else _site_days(connection)
        found.rows = sum(held.rows for held in of_types.values())
        found.types = [
            TypeFigures(number, held.rows, held.rows * found.space.database // found.rows)
            for number, held in of_types.items()
        ]
        seconds = {second for second in (found.oldest, found.newest) if second is not None}
        days = sorted({*days, *(second - second % ids.DAY for second in seconds)})
        found.days = len(days)
        self.days = days if found.full else _samples(days)

    # -- comparisons ---------------------------------------------------------------------------------------

    def _compare_day(self, day: int) -> bool:
        """Compare all that belongs to a day; return False where the time is up before."""
        for low, high in self._pieces(day):
            if self._deadline is not None and time.monotonic() > self._deadline:
                return False
            self._compare(drift.OF_HOURS, low, high)
            self._look_at_texts(low, high)
        self._compare(drift.OF_DAYS, day, day + ids.DAY)
        week = day - day % ids.WEEK
        if week not in self._weeks:
            self._weeks.add(week)
            self._compare(drift.OF_WEEKS, week, week + ids.WEEK)
        return True

    def _pieces(self, day: int) -> list[tuple[int, int]]:
        """Return what is compared of a day, each in one snapshot: all of it, or hours of many rows."""
        end = day + ids.DAY
        with self._store.reading() as connection:
            rows = drift.count_rows(connection, day, end, most=_MOST_ROWS)
        if rows < _MOST_ROWS:
            return [(day, end)]
        hours = [(low, low + ids.HOUR) for low in range(day, end, ids.HOUR)]
        return hours if self.report.full else random.sample(hours, _SAMPLED_HOURS)  # nosec B311 # any will do

    def _compare(self, links: tuple[Link, ...], low: int, high: int) -> None:
        with self._store.reading(much=True) as connection:
            for link in links:
                for found in drift.drifted(connection, link, low, high):
                    self.report.add(found)

    def _look_at_texts(self, low: int, high: int) -> None:
        with self._store.reading(much=True) as connection:
            for name, look in _TEXTS.items():
                self.report.faults[name] += look(connection, self._store.dialect, low, high)

    def _ask_engine(self) -> None:
        """Ask the engine about its storage, table by table, so that each reader stays for one alone."""
        for table in metadata.sorted_tables:
            with self._store.reading(much=True) as connection:
                self.report.damage += self._store.dialect.damage(connection, table.name)


def standing(version: str | None) -> str:
    """Return how a version of the schema compares to this program's."""
    newest = schema.newest_version()
    if version is None:
        return "empty"
    if version == newest:
        return "current"
    return "older" if version < newest else "newer"


def _ends(connection: Connection) -> tuple[int | None, int | None]:
    """Return the seconds of the first and the last row."""
    first, last = (connection.scalar(select(end(records.c.id))) for end in (func.min, func.max))
    return _second(first), _second(last)


def _second(row_id: int | None) -> int | None:
    return None if row_id is None else ids.second_of(row_id)


def _site_days(connection: Connection) -> list[int]:
    """Return the days that have a bucket of their own: quickly, where not all of them are needed."""
    return list(connection.scalars(select(site.c.bucket).where(site.c.span == ids.DAY).distinct()))


def _samples(days: list[int]) -> list[int]:
    """Return some days: the newest, the oldest, and others in any order."""
    ends = list(dict.fromkeys([*days[-1:], *days[:1]]))
    between = days[1:-1]
    return ends + random.sample(between, min(len(between), SAMPLES - len(ends)))  # nosec B311 # any will do
