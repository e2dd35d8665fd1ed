"""A live gateway: keeps writing rows as one does, and says at the end what it committed.

    python -m tests.gateways.writer URL FLAVOUR --rows 2000 --seconds 5

Several connections write at once. On PostgreSQL and MySQL a part of the transactions is committed later than
it got its ids, so that lower ids become visible after higher ones, and a part is rolled back, which leaves
gaps. SQLite lets one write at a time and takes ids back: there, rows are simply committed steadily. SIGTERM
ends it early; it tells what it did all the same. Into a database without users it first writes the people of
its seed; into another it writes for the people that `fill` invents with the same seed and number of users.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from operator import itemgetter
from random import Random
from typing import Any

from sqlalchemy import Engine

from tests.gateways.columns import Table
from tests.gateways.flavours import FLAVOURS, engine_of, fill, insertion
from tests.gateways.people import Row, invent
from tests.gateways.rows import LogRows

CONNECTIONS = 6
#: The parts of transactions that commit late, and that are rolled back.
LATE, BROKEN = 0.15, 0.1
#: How long a late one waits, in seconds.
DELAYS = (0.05, 0.4)
SUMS = ("quota", "prompt_tokens", "completion_tokens")


@dataclass
class Account:
    """What was committed, counted by all connections together."""

    committed: int = 0
    rolled_back: int = 0
    #: Rows that were committed after a row with a higher id.
    late: int = 0
    last_id: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def commit(self, rows: list[Row]) -> None:
        """Count rows that were committed just now."""
        with self.lock:
            self.late += sum(row["id"] < self.last_id for row in rows)
            self.last_id = max(self.last_id, rows[-1]["id"])
            self.committed += len(rows)
            for row in rows:
                self.types[str(row["type"])] += 1
                for name in SUMS:
                    self.sums[name] += row[name] or 0

    def told(self) -> dict[str, Any]:
        """Return it as what is printed."""
        return {
            "committed": self.committed,
            "rolled_back": self.rolled_back,
            "late": self.late,
            "last_id": self.last_id,
            **{name: self.sums[name] for name in SUMS},
            "types": dict(sorted(self.types.items())),
        }


class Writer:
    """Writes the rows of a gateway through several connections, evenly over a time."""

    def __init__(self, engine: Engine, table: Table, *, seconds: float, seed: int) -> None:
        self._engine = engine
        self._table = table
        self._statement = insertion(table, engine.name, without=("id",))
        self._values = itemgetter(*(name for name in table.names if name != "id"))
        self._seconds = seconds
        self._random = Random(f"writer {seed}")
        self.account = Account()
        self.stopped = threading.Event()

    def write(self, rows: LogRows) -> None:
        """Write the rows, each at its time; returns when all is committed or rolled back."""
        begin = time.monotonic()
        connections = 1 if self._engine.name == "sqlite" else CONNECTIONS
        slots = threading.Semaphore(connections)
        with ThreadPoolExecutor(connections) as pool:
            jobs = []
            for done, some in self._transactions(rows):
                due = begin + self._seconds * done / len(rows)
                if self.stopped.wait(max(0.0, due - time.monotonic())):
                    break
                slots.acquire()
                fate = self._random.random()
                job = pool.submit(self._transaction, some, fate, self._random.uniform(*DELAYS))
                job.add_done_callback(lambda job: slots.release())
                jobs.append(job)
            for job in jobs:
                job.result()

    def _transactions(self, rows: LogRows) -> Iterator[tuple[int, list[Row]]]:
        """Yield the rows of each transaction, mostly one, with the number of those before."""
        done, some = 0, []
        for row in rows:
            some.append(row)
            if self._random.random() < 0.8 or len(some) == 4:
                yield done, some
                done, some = done + len(some), []
        if some:
            yield done, some

    def _transaction(self, rows: list[Row], fate: float, delay: float) -> None:
        steady = self._engine.name == "sqlite"
        with closing(self._engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            for row in rows:
                row["created_at"] = int(time.time())
                row["id"] = self._insert(cursor, row)
            if not steady and fate < LATE + BROKEN:
                time.sleep(delay)
            if not steady and fate < BROKEN:
                connection.rollback()
                with self.account.lock:
                    self.account.rolled_back += len(rows)
                return
            connection.commit()
        self.account.commit(rows)

    def _insert(self, cursor: Any, row: Row) -> int:
        if self._engine.name == "postgresql":
            cursor.execute(f"{self._statement} RETURNING id", self._values(row))
            return int(cursor.fetchone()[0])
        cursor.execute(self._statement, self._values(row))
        return int(cursor.lastrowid)


def main(arguments: list[str] | None = None) -> None:
    """Write, and print what was committed as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateways.writer", description=__doc__)
    parser.add_argument("url", help="an existing database with the tables of the flavour")
    parser.add_argument("flavour", choices=FLAVOURS)
    parser.add_argument("--rows", type=int, default=1000, help="how many rows to try")
    parser.add_argument("--seconds", type=float, default=5.0, help="over which time")
    parser.add_argument("--users", type=int, default=40, help="how many people there are")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    engine = engine_of(given.url)
    people = invent(FLAVOURS[given.flavour], users=given.users, seed=given.seed)
    if not _is_inhabited(engine):
        fill(engine, given.flavour, rows=0, seed=given.seed, users=given.users)
    table = FLAVOURS[given.flavour]["logs"]
    rows = LogRows(table, people, rows=given.rows, seed=given.seed, end=int(time.time()), first_id=10**6)
    writer = Writer(engine, table, seconds=given.seconds, seed=given.seed)
    signal.signal(signal.SIGTERM, lambda number, frame: writer.stopped.set())
    writer.write(rows)
    engine.dispose()
    json.dump(writer.account.told(), sys.stdout)
    print()


def _is_inhabited(engine: Engine) -> bool:
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT id FROM users LIMIT 1").first() is not None


if __name__ == "__main__":
    main()
