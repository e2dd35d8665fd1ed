"""Recording where there is no request: in commands, threads, and workers that were forked."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from logservice import LogService, Principal, current_logs
from logservice.logs import Logs
from tests.answers import assert_ok
from tests.rows import contents
from tests.serving import open_store

# What a queue of tasks does: the application is made and used once, then workers are forked from a process
# whose other threads go on recording, and each worker runs tasks in several threads at once.
FORKING = """
import os, sys, threading
from flask import Flask
from logservice import LogService, current_logs

WORKERS, THREADS, TASKS = 3, 4, 3

app = Flask("tasks", instance_path=sys.argv[1])
app.config["LOGSERVICE_DATABASE_URL"] = sys.argv[2]
LogService(app)


def task(name):
    with app.app_context():
        current_logs.record(content=name)
        current_logs.store.count_all()


def together(name):
    threads = [threading.Thread(target=lambda: [task(name) for _ in range(TASKS)]) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


def work(number):
    for thread in together(f"worker {number}"):
        thread.join()
    app.extensions["logservice"].store.close()


task("before")
busy = together("parent")
children = []
for number in range(WORKERS):
    child = os.fork()
    if child == 0:
        try:
            work(number)
        finally:
            sys.stderr.flush()
            os._exit(1 if sys.exc_info()[0] else 0)
    children.append(child)
states = [os.waitpid(child, 0)[1] for child in children]
for thread in busy:
    thread.join()
task("after")
app.extensions["logservice"].store.close()
print(states)
"""


@pytest.fixture
def guest(host: Flask) -> Flask:
    """A host in which the log is a guest."""
    LogService(host, authenticate=lambda _: Principal(1, "root", "admin"))
    return host


def recorded(app: Flask) -> list[str]:
    """Return the contents of all rows, newest first."""
    rows: list[dict[str, Any]] = assert_ok(app.test_client().get("/api/log/"))["items"]
    return contents(rows)


def test_a_view_records_what_it_did(guest: Flask) -> None:
    def ask() -> str:
        current_logs.record(user_id=7, model_name="oracle-1", content="asked")
        return "because"

    guest.add_url_rule("/ask", "ask", ask)
    assert guest.test_client().get("/ask").text == "because"
    assert recorded(guest) == ["asked"]


def test_a_command_records_in_a_context_of_its_own(guest: Flask) -> None:
    @guest.cli.command("nightly")
    def nightly() -> None:
        current_logs.record(content="by night", type="system")

    assert guest.test_cli_runner().invoke(args=["nightly"]).exit_code == 0
    assert recorded(guest) == ["by night"]


def test_threads_record_in_contexts_of_their_own_or_with_what_they_were_handed(guest: Flask) -> None:
    def in_context() -> None:
        with guest.app_context():
            current_logs.record(content="in a context")

    def handed_over(logs: Logs) -> None:
        logs.record(content="handed over")

    with guest.app_context():
        logs = current_logs()
    threads = [threading.Thread(target=in_context), threading.Thread(target=handed_over, args=(logs,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(recorded(guest)) == ["handed over", "in a context"]


def test_what_current_logs_stands_for_changes_with_the_context(guest: Flask) -> None:
    with guest.app_context():
        assert isinstance(current_logs(), Logs)
        assert current_logs.store is current_logs().store is guest.extensions["logservice"].store
    with pytest.raises(RuntimeError, match="app_context"):
        _ = current_logs.store


def test_workers_forked_from_a_busy_process_record_all_there_is(tmp_path: Path, db_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, str(tmp_path), db_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("[0, 0, 0]", "")
    with closing(open_store(db_url)) as store:
        assert store.count_raw() == store.count_all() == 2 + 4 * 3 + 3 * 4 * 3
