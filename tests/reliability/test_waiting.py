"""A slow disk, and a database that another program locks: posts wait so long and no longer, reads go on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Lend
from tests.reliability import slow_disk
from tests.reliability.calls import Answer, assert_reading, assert_refused, assert_sound, post, post_at_once
from tests.serving import Service, serving


@dataclass
class Waiting:
    """A service in which nobody waits for longer than a second, its database, and what must be in it."""

    service: Service
    url: str
    slow: Path
    stored: set[str]

    @contextmanager
    def slow_disk(self, seconds: float) -> Iterator[None]:
        """Have commits take so many seconds."""
        self.slow.write_text(str(seconds))
        yield
        self.slow.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all others from writing, as another program may that has the database open."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                yield
                other.execute("ROLLBACK")
        else:
            with psycopg.connect(self.url) as other:
                other.execute("LOCK TABLE log_usage_hourly IN EXCLUSIVE MODE")
                yield
                other.rollback()


@pytest.fixture(scope="module")
def waiting(lend: Lend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    """One service for all tests of an engine."""
    folder = tmp_path_factory.mktemp("waiting")
    environ = {
        "LOGSERVICE_WAITING_TIME": "1",
        "LOGSERVICE_THREADS": "16",
        slow_disk.SLOW: str(folder / "slow"),
    }
    app = "tests.reliability.slow_disk:create_app()"
    with lend(folder) as url, serving(folder, workers=1, url=url, environ=environ, app=app) as service:
        yield Waiting(service, url, folder / "slow", set())


def assert_going_on(waiting: Waiting, *stored: str) -> None:
    """Check that the service works again, and holds what was acknowledged and nothing else."""
    name = f"after-{len(waiting.stored)}"
    assert post(waiting.service, name).status == 200
    waiting.stored |= {name, *stored}
    assert_sound(waiting.url, waiting.stored)


def test_on_a_slow_disk_posts_that_wait_too_long_are_refused_and_taken_ones_acknowledged(
    waiting: Waiting,
) -> None:
    answers: list[Answer] = []
    taken = threading.Thread(target=lambda: answers.append(post(waiting.service, "taken")), daemon=True)
    with waiting.slow_disk(4):
        taken.start()
        deadline = time.monotonic() + 20
        while not slow_disk.waits_at(waiting.slow).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        refused = post_at_once(waiting.service, [f"refused-{number}" for number in range(6)])
        # Told while the commit still waits, and not only after it.
        assert slow_disk.waits_at(waiting.slow).exists()
        assert_reading(waiting.service)
    for answer in refused.values():
        assert_refused(answer, "locked for more than 1 second")
    taken.join(30)
    assert [answer.status for answer in answers] == [200]
    assert_going_on(waiting, "taken")


def test_a_database_that_another_program_locks_is_told_to_all_who_post_and_used_again(
    waiting: Waiting,
) -> None:
    with waiting.locked():
        refused = post_at_once(waiting.service, [f"locked-out-{number}" for number in range(12)])
        assert_reading(waiting.service)
    for answer in refused.values():
        assert_refused(answer, "locked")
    assert_going_on(waiting)


@pytest.mark.parametrize("command", ["import -", "purge --before 1d", "rebuild"])
def test_a_command_that_another_program_keeps_out_says_so_and_does_nothing(
    waiting: Waiting, command: str
) -> None:
    environ = {"LOGSERVICE_DATABASE_URL": waiting.url, "LOGSERVICE_WAITING_TIME": "1"}
    with waiting.locked():
        done = subprocess.run(
            [sys.executable, "-m", "logservice", *command.split()],
            env={**os.environ, **environ},
            input='{"request_id": "kept out"}\n',
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert "locked" in done.stderr
    assert done.stderr.count("\n") == 1
    assert_going_on(waiting)


def test_posts_that_wait_leave_threads_to_who_reads(lend: Lend, tmp_path: Path) -> None:
    environ = {"LOGSERVICE_WAITING_TIME": "60", "LOGSERVICE_THREADS": "4"}
    names = [f"waits-{number}" for number in range(8)]
    with lend(tmp_path) as url, serving(tmp_path, workers=1, url=url, environ=environ) as service:
        waiting = Waiting(service, url, tmp_path / "slow", set())
        with ThreadPoolExecutor(len(names)) as clients:
            with waiting.locked():
                posts = [clients.submit(post, service, name) for name in names]
                # Three have a thread, and the others are refused once they have waited for one too long.
                refused = [one.result().status for one in islice(as_completed(posts, 30), 5)]
                assert_reading(service)
                assert refused == [503] * 5
            statuses = [one.result().status for one in posts]
        assert statuses.count(200) == 3
        assert_going_on(
            waiting, *(name for name, status in zip(names, statuses, strict=True) if status == 200)
        )
