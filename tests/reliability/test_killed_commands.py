"""Commands that are killed at any moment, beside a service that goes on: no drift, and nothing lost."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from sqlalchemy import select as sql_select

from logservice.store import records, tables
from logservice.store.filters import Filters
from logservice.store.ids import between
from logservice.store.retention import Purge
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.conftest import Lend
from tests.reliability.waiting import let_marks_expire
from tests.serving import Service, open_store, send, serving

#: How often each command is killed.
KILLS = int(os.environ.get("LOGSERVICE_TEST_KILLS", "1"))
CLIENTS = 3
DAY = 86400
#: Rows that are there before each run at least, so that it has something to do.
OLD_ROWS = 4_000
#: What is older than this goes. Events are recent, or older by far.
KEPT_DAYS = 1


@dataclass(frozen=True)
class Work:
    """A command, whether old rows go by it, and whether their usage does; `{folder}` is one of its own.

    It is killed within so many `seconds` after it has begun, which the progress bar tells, or sooner where it
    ends before.
    """

    command: str
    seconds: float
    rows_go: bool = True
    usage_goes: bool = False

    def __str__(self) -> str:
        return self.command


WORKS = [
    Work("maintain", seconds=3),
    # Whole hours go in few transactions, rows of a type in many.
    Work(f"purge --before {KEPT_DAYS}d", seconds=0.4, usage_goes=True),
    Work(f"purge --before {KEPT_DAYS}d --type consume", seconds=3, usage_goes=True),
    Work(f"archive {{folder}} --older-than {KEPT_DAYS}d", seconds=4),
    Work("rebuild", seconds=2, rows_go=False),
]


#: Every command is killed on one engine, and on both where somebody asks for a number.
ON_ONE = [
    *(("sqlite", work) for work in WORKS[::2]),
    *(("postgresql", work) for work in WORKS[1::2]),
]
ON_BOTH = [(name, work) for name in ("sqlite", "postgresql") for work in WORKS]


@dataclass
class Ledger:
    """The quota of every acknowledged event, by request id, and the usage that is kept of those that went."""

    recent: dict[str, int] = field(default_factory=dict)
    old: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    refused: list[object] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def event(self, draw: random.Random, *, is_old: bool) -> dict[str, object]:
        """Return an event that was not there before."""
        age = draw.uniform(2 * KEPT_DAYS * DAY, 20 * DAY) if is_old else 0
        number = next(self.numbers)
        return {
            "request_id": f"{'old' if is_old else 'recent'}-{number}",
            "created_at": int(time.time() - age),
            "username": draw.choice(("alice", "bob")),
            "model_name": draw.choice(("gpt-4o", "claude")),
            "quota": draw.randrange(1000),
            "content": f"text {number % 50}",
        }

    def note(self, events: list[dict[str, object]]) -> None:
        """Note events that were acknowledged."""
        for event in events:
            name = str(event["request_id"])
            (self.old if name.startswith("old") else self.recent)[name] = int(str(event["quota"]))

    def note_done(self, work: Work) -> None:
        """Note that a command was done to its end."""
        if work.rows_go:
            self.kept = 0 if work.usage_goes else self.kept + sum(self.old.values())
            self.old.clear()


@dataclass
class Log:
    """A service on a database, the same database beside it, and what is known to be in it."""

    url: str
    folder: Path
    service: Service
    store: LogStore
    ledger: Ledger = field(default_factory=Ledger)

    def start(self, work: Work, **how: object) -> subprocess.Popen[bytes]:
        """Start a command in a group of its own."""
        environ = {
            **os.environ,
            "LOGSERVICE_DATABASE_URL": self.url,
            "LOGSERVICE_INSTANCE_PATH": str(self.folder),
            "LOGSERVICE_RETENTION": f"consume={KEPT_DAYS}d",
        }
        args = work.command.format(folder=self.folder / work.command.split()[0]).split()
        command = [sys.executable, "-m", "logservice", *args]
        return subprocess.Popen(command, env=environ, start_new_session=True, **how)  # type: ignore[call-overload,no-any-return]  # any options

    def add_old_rows(self, draw: random.Random) -> None:
        """Put old rows in, where there are few."""
        if self.store.to_purge(Purge(int(time.time()) - KEPT_DAYS * DAY)) > OLD_ROWS // 2:
            return
        events = [self.ledger.event(draw, is_old=True) for _ in range(OLD_ROWS)]
        self.store.record([records.from_mapping(event, now=time.time()) for event in events])
        self.ledger.note(events)

    def request_ids(self) -> list[str]:
        with self.store.reading() as connection:
            named = sql_select(tables.records.c.request_id).where(tables.records.c.request_id != "")
            return list(connection.scalars(named))

    def quota(self) -> int:
        return self.store.statistics(Scope.site(), Filters(), between(), asked=2)["quota"]


@pytest.fixture(scope="module")
def log(lend: Lend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """A log with a service that runs for all tests of an engine."""
    folder = tmp_path_factory.mktemp("killed")
    with (
        lend(folder) as url,
        serving(folder, workers=2, url=url) as service,
        closing(open_store(url)) as store,
    ):
        yield Log(url, folder, service, store)


@contextmanager
def under_ingest(log: Log) -> Iterator[None]:
    """Let clients post events beside the block, some of them late; every one is to be acknowledged."""
    ended = threading.Event()
    clients = [threading.Thread(target=post, args=(log, ended, number)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        ended.set()
        for client in clients:
            client.join(60)


def post(log: Log, ended: threading.Event, number: int) -> None:
    draw, connection = random.Random(number), log.service.open()
    with closing(connection):
        while not ended.wait(0.02):
            events = [log.ledger.event(draw, is_old=draw.random() < 0.3) for _ in range(draw.randint(1, 4))]
            status, answer = send(connection, "POST", "/api/log/", user="gateway", body=events)
            if status == 200 and answer["data"]["accepted"] == len(events):
                log.ledger.note(events)
            else:
                log.ledger.refused.append((status, answer))


def killed(log: Log, work: Work, draw: random.Random, *, within: float) -> bool:
    """Kill a command and all it started, so many seconds after it began at most; tell whether it lived."""
    terminal, its_end = os.openpty()
    with open(terminal, "rb", buffering=0) as shown:
        process = log.start(work, stdout=subprocess.DEVNULL, stderr=its_end)
        os.close(its_end)
        read(shown, until=time.monotonic() + 60, once=True)
        read(shown, until=time.monotonic() + draw.uniform(0, within))
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait(timeout=30) == -signal.SIGKILL


def read(shown: object, *, until: float, once: bool = False) -> None:
    """Read what a terminal shows until a moment, or until there is something."""
    while (left := until - time.monotonic()) > 0 and select.select([shown], [], [], left)[0]:
        try:
            said = os.read(shown.fileno(), 4096)  # type: ignore[attr-defined]  # a file or a terminal
        except OSError:
            # The program has ended.
            return
        if once and said:
            return


def done(log: Log, work: Work) -> None:
    """Run a command to its end."""
    process = log.start(work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert b"Nothing done" not in printed
    log.ledger.note_done(work)


def assert_sound(log: Log) -> None:
    report = log.store.check(full=True).complete()
    assert report.is_sound, report.to_mapping()


@pytest.mark.parametrize(
    ("engine_name", "work"),
    ON_BOTH if "LOGSERVICE_TEST_KILLS" in os.environ else ON_ONE,
    ids=str,
    indirect=["engine_name"],
    scope="session",
)
def test_what_is_killed_at_any_moment_leaves_no_drift_and_loses_nothing(log: Log, work: Work) -> None:
    draw, kills, within = random.Random(), 0, work.seconds
    with under_ingest(log):
        for _ in range(10 * KILLS):
            log.add_old_rows(draw)
            if killed(log, work, draw, within=within):
                kills += 1
            else:
                # It had ended before: a quick machine, or a late moment.
                within /= 2
            acknowledged = set(log.ledger.recent)
            assert acknowledged <= set(log.request_ids())
            assert_sound(log)
            let_marks_expire(log.store)
            if kills == KILLS:
                break
    done(log, work)
    assert kills == KILLS
    ledger = log.ledger
    assert ledger.refused == []
    assert sorted(log.request_ids()) == sorted([*ledger.recent, *ledger.old])
    assert log.quota() == sum(ledger.recent.values()) + sum(ledger.old.values()) + ledger.kept
    assert_sound(log)


def test_a_rebuild_beside_ingest_mends_drift(log: Log) -> None:
    log.add_old_rows(random.Random())
    # Usage kept of rows that went cannot be built anew, for nothing is left to build it from.
    hourly = update(tables.hourly).where(tables.hourly.c.retained == 0)
    site = delete(tables.site).where(tables.site.c.retained == 0, tables.site.c.model_name == "claude")
    # Before others write, for it locks in no order that they know.
    log.store.write(
        lambda connection: [
            connection.execute(hourly.values(quota=tables.hourly.c.quota + 1)),
            connection.execute(site),
        ]
    )
    with under_ingest(log):
        assert not log.store.check(full=True).complete().is_sound
        done(log, WORKS[-1])
    assert log.ledger.refused == []
    assert_sound(log)
