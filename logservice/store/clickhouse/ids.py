"""Ids without a sequence: each process has a number of its own, and with it a slice of every second.

The number is leased in the metadata. What a process gave out of the seconds since, it knows; of older ones,
which another process of the same number may have used, it asks for the highest id of its slice.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    update,
)

from ...errors import InvalidValue, Unavailable
from .. import ids
from ..dialects import Dialect
from ..filters import chunks
from ..jobs import Claim
from ..prepared import prepared
from ..tables import marks
from .sessions import ANSWER_SECONDS, Sessions
from .tables import records

PROCESS_BITS = 4
PROCESSES = 1 << PROCESS_BITS
_SLICE_BITS = ids.SEQUENCE_BITS - PROCESS_BITS
#: Ids of one second and process.
SLICE = 1 << _SLICE_BITS
#: Seconds that a lease lasts, and those that have to be left of it for a block to be stored.
LEASE_SECONDS, _LEFT_SECONDS = 240, 60 + ANSWER_SECONDS
# Seconds that are looked up in one statement, of which each makes it longer.
_AT_ONCE = 10_000
#: For so many seconds a process knows what it gave out itself.
KNOWN_SECONDS = 600


class Ids:
    """The ids of one process, whose threads may write at once: one of them assigns at a time."""

    def __init__(self, sessions: Sessions, metadata: Dialect) -> None:
        self._sessions = sessions
        self._metadata = metadata
        self._owner = secrets.token_hex(8)
        self._number: int | None = None
        self._since = 0
        self._lock = threading.Lock()
        # The next free place in the slice of a second.
        self._next: dict[int, int] = {}

    def assign(
        self, connection: Connection, seconds: Sequence[int], *, beside: Collection[int] = (), now: int
    ) -> list[int]:
        """Return an unused id for each second, in order. Raises InvalidValue when a second is full.

        `connection` is one to the metadata, in a transaction that ends after the rows are stored; `beside`
        are ids that others of these rows keep.
        """
        with self._lock:
            return self._assigned(connection, seconds, beside, now)

    def _assigned(
        self, connection: Connection, seconds: Sequence[int], beside: Collection[int], now: int
    ) -> list[int]:
        number = self._lease(connection, now)
        self._forget(now)
        self._look_up({second for second in seconds if second < self._since}, number)
        for row_id in beside:
            if process_of_id(row_id) == number:
                self._know(ids.second_of(row_id), row_id)
        places = {
            second: self._places(second, wanted, number, beside)
            for second, wanted in Counter(seconds).items()
        }
        found = []
        for second in seconds:
            place = next(places[second])
            self._next[second] = max(self._next.get(second, 0), place + 1)
            found.append(ids.first_id(second) + (number << _SLICE_BITS) + place)
        return found

    def _places(self, second: int, wanted: int, number: int, beside: Collection[int]) -> Iterator[int]:
        """Return free places in our slice of a second, in order: behind those that are taken, or between.

        Rows that keep the id they had elsewhere may lie anywhere. Raises InvalidValue if there are too few.
        """
        following = self._next.get(second, 0)
        if following + wanted <= SLICE:
            return iter(range(following, SLICE))
        values = {"second": second, "number": number}
        taken = {row_id for (row_id,) in self._sessions.read(partial(_ids_of, values=values))}
        taken |= {row_id for row_id in beside if ids.second_of(row_id) == second}
        free = sorted(
            {*range(SLICE)} - {_place(row_id) for row_id in taken if process_of_id(row_id) == number}
        )
        if len(free) < wanted:
            raise InvalidValue(f"created_at: second {second} has no room for more rows of one process")
        return iter(free)

    @property
    def is_leased(self) -> bool:
        """Whether this process has a number."""
        return self._number is not None

    def give_back(self, connection: Connection) -> None:
        """Give the number back, for another process."""
        if self._number is not None:
            mine = (marks.c.name == _name(self._number)) & (marks.c.owner == self._owner)
            connection.execute(update(marks).where(mine).values(expires_at=0))
            self._number = None

    def _lease(self, connection: Connection, now: int) -> int:
        """Return the number of this process, which nobody else takes for as long as a block may take."""
        if self._number is not None:
            mine = (marks.c.name == _name(self._number)) & (marks.c.owner == self._owner)
            left = connection.scalar(select(marks.c.expires_at).where(mine))
            if left is not None and left >= now + _LEFT_SECONDS:
                return self._number
            if left is not None and left > now:
                renewed = mine & (marks.c.expires_at > now)
                if connection.execute(
                    update(marks).where(renewed).values(expires_at=now + LEASE_SECONDS)
                ).rowcount:
                    return self._number
        self._number = self._taken(connection, now)
        self._since = now
        self._next = self._ahead(self._number, now)
        return self._number

    def _taken(self, connection: Connection, now: int) -> int:
        """Take a number that nobody has."""
        self._metadata.claim(connection, [Claim("processes")])
        every = connection.execute(select(marks.c.name, marks.c.expires_at))
        known = {row.name: row.expires_at for row in every}
        lease = {"owner": self._owner, "expires_at": now + LEASE_SECONDS}
        # From the last one down: ids of SQLite begin with the first, and can mostly be kept beside ours.
        for number in reversed(range(PROCESSES)):
            name = _name(number)
            expires = known.get(name)
            if expires is None:
                connection.execute(insert(marks).values(name=name, **lease))
                return number
            # A lease that would last longer than any is one of a clock that was put back since.
            if not now < expires <= now + 2 * LEASE_SECONDS:
                free = (marks.c.name == name) & (marks.c.expires_at == expires)
                if connection.execute(update(marks).where(free).values(**lease)).rowcount:
                    return number
        raise Unavailable(
            f"all {PROCESSES} numbers of writing processes are taken; fewer workers can write, or one that "
            f"was killed is waited for, up to {LEASE_SECONDS} seconds",
            retry_after=10,
        )

    def _forget(self, now: int) -> None:
        """Know no more than the seconds of the last minutes: the rest is looked up."""
        edge = now - KNOWN_SECONDS
        if edge > self._since:
            self._since = edge
        if len(self._next) > 2 * KNOWN_SECONDS:
            self._next = {second: place for second, place in self._next.items() if second >= self._since}

    def _ahead(self, number: int, now: int) -> dict[int, int]:
        """Return what was given out of the seconds to come, to which events may belong already."""
        values = {"low": now, "number": number}
        found = self._sessions.read(partial(_highest_since, values=values))
        return {int(second): _place(row_id) + 1 for second, row_id in found}

    def _know(self, second: int, row_id: int) -> None:
        """Give out no id of a second any more that is not behind one of our slice."""
        self._next[second] = max(self._next.get(second, 0), _place(row_id) + 1)

    def _look_up(self, seconds: set[int], number: int) -> None:
        for some in chunks(seconds, size=_AT_ONCE):
            values = {"seconds": tuple(some), "low": some[0], "high": some[-1], "number": number}
            for second, row_id in self._sessions.read(partial(_highest_of, values=values)):
                self._know(second, row_id)


def process_of_id(row_id: int) -> int:
    """Return the number of the process that an id would be one of."""
    return row_id % ids.SEQUENCES >> _SLICE_BITS


def leased(connection: Connection, now: int) -> frozenset[int]:
    """Return the numbers that processes have."""
    names = {_name(number): number for number in range(PROCESSES)}
    lasting = select(marks.c.name).where(marks.c.name.in_(names), marks.c.expires_at > now)
    return frozenset(names[name] for name in connection.scalars(lasting))


def _name(number: int) -> str:
    return f"process {number}"


def _place(row_id: int) -> int:
    return row_id % SLICE


def process_of(row_id: ColumnElement[int]) -> ColumnElement[int]:
    """Return the number of the process that gave a row its id."""
    sliced = func.bitShiftRight(row_id, literal_column(str(_SLICE_BITS)))
    return func.bitAnd(sliced, literal_column(str(PROCESSES - 1)))


def _highest(*where: ColumnElement[bool]) -> Executable:
    second, row_id = records.c.created_at, records.c.id
    mine: Any = process_of(row_id) == bindparam("number", type_=BigInteger)
    return select(second, func.max(row_id)).where(*where, mine).group_by(second)


@prepared
def _highest_since() -> Executable:
    return _highest(records.c.created_at >= bindparam("low", type_=BigInteger))


@prepared
def _highest_of() -> Executable:
    """Select them of a list of seconds, which is one parameter however many they are."""
    second = records.c.created_at
    inside = (second >= bindparam("low"), second <= bindparam("high"))
    return _highest(*inside, second.op("IN", is_comparison=True)(bindparam("seconds")))


@prepared
def _ids_of() -> Executable:
    mine: Any = process_of(records.c.id) == bindparam("number", type_=BigInteger)
    return select(records.c.id).where(records.c.created_at == bindparam("second"), mine)
