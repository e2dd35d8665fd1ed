"""File descriptors that run out: a worker keeps clear of it, and where it cannot, another takes its place."""

from __future__ import annotations

import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.processes import children
from tests.commands import assert_done, invoke
from tests.reliability.calls import assert_reading, assert_sound, post
from tests.serving import TOKENS, Service, serving

DIED = "Exception in worker process"
ASK = """
import resource
from logservice.open_files import connections_for
print(connections_for(8), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""

#: A command that may open no more files than it has when it begins, and three.
COMMAND = """
import os, resource, sys
import logservice.cli
most = max(map(int, os.listdir("/proc/self/fd"))) + 3
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
logservice.cli.logservice(sys.argv[1:])
"""


@contextmanager
def silent_clients(service: Service, number: int) -> Iterator[None]:
    """Keep so many connections open that never say anything."""
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", service.port), timeout=10)))
        yield


def post_until_stored(service: Service, name: str) -> None:
    """Repeat a post, which is stored once however often it came through."""
    deadline = time.monotonic() + 40
    while True:
        with suppress(OSError, http.client.HTTPException):
            if post(service, name, key=name).status == 200:
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(160, 160, "64 160"), (1024, 8192, "4000 4096"), (256, 1024, "928 1024"), (40, 40, "9 40")],
)
def test_a_worker_keeps_as_many_connections_as_it_has_files_for(soft: int, hard: int, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected


def test_more_connections_than_files_end_no_worker(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1, files=160) as service:
        workers = children(service.process.pid)
        with silent_clients(service, 200):
            time.sleep(0.5)
        assert post(service, "after").status == 200
        assert_reading(service)
        assert children(service.process.pid) == workers
        assert DIED not in service.printed()


def test_a_request_that_finds_no_file_any_more_is_refused_and_the_next_one_answered(tmp_path: Path) -> None:
    """A client that is connected already; others are not let in meanwhile, as the next test has it."""
    with serving(tmp_path, workers=1) as service, closing(service.open()) as connection:
        export, headers = "/api/log/export?format=csv", {"Authorization": f"Bearer {TOKENS['root']}"}
        assert asked(connection, "/api/log/stat", headers)[0] == 200
        [worker] = children(service.process.pid)
        before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, before[1]))
        # One that reads much opens the database for itself.
        status, body = asked(connection, export, headers)
        assert (status, json.loads(body)["success"]) == (503, False)
        assert "unable to open database file" in service.printed()
        assert asked(connection, "/api/log/stat", headers)[0] == 200
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        assert asked(connection, export, headers)[0] == 200
        assert children(service.process.pid) == [worker]


def asked(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Ask over a connection that stays open, and return status and body."""
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


@pytest.mark.parametrize("command", [["check"], ["user", "add", "bob"], ["export", "-o", "exported.csv"]])
def test_a_command_that_finds_no_file_any_more_says_so_and_leaves_none(
    tmp_path: Path, command: list[str]
) -> None:
    assert_done(invoke(tmp_path, "init-db"))
    environ = {**os.environ, "LOGSERVICE_DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}"}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *command],
        env={**environ, "LOGSERVICE_INSTANCE_PATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "exported.csv").exists()
    assert_done(invoke(tmp_path, "check"))


def test_a_worker_that_finds_no_file_any_more_is_replaced_and_loses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1) as service:
        assert post(service, "before").status == 200
        [worker] = children(service.process.pid)
        used = len(os.listdir(f"/proc/{worker}/fd"))
        _, most = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 2, most))
        with silent_clients(service, 20):
            deadline = time.monotonic() + 20
            while DIED not in service.printed():
                assert time.monotonic() < deadline
                time.sleep(0.05)
        post_until_stored(service, "after")
        assert children(service.process.pid) != [worker]
    assert_sound(f"sqlite:///{tmp_path / 'logservice.db'}", {"before", "after"})
