"""The commands as a program in a process of its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from logservice import create_app
from tests.commands import event
from tests.processes import free_port


@contextmanager
def program(folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program in a folder; it is stopped in the end if it still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOGSERVICE_")}
    source = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-m", "logservice", *args],
        cwd=folder,
        env={**environment, "PYTHONPATH": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_the_program_fails_with_one_line_and_status_1(tmp_path: Path) -> None:
    with program(tmp_path, "init-db") as process:
        assert process.wait(timeout=60) == 0
    with program(tmp_path, "user", "rotate", "nobody") as process:
        shown = process.communicate(timeout=60)
    assert (*shown, process.returncode) == ("", "Error: no user is called 'nobody'\n", 1)


def test_the_program_is_quiet_when_nobody_reads_on(tmp_path: Path) -> None:
    with program(tmp_path, "init-db") as process:
        assert process.wait(timeout=60) == 0
    with program(tmp_path, "user", "list") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.wait(timeout=60)
        assert process.stderr.read() == ""


def test_an_interrupted_import_keeps_what_it_stored(tmp_path: Path) -> None:
    with program(tmp_path, "init-db") as process:
        assert process.wait(timeout=60) == 0
    with program(tmp_path, "import", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("nonsense\n" + f"{event()}\n" * 999)
        process.stdin.flush()
        assert process.stderr.readline().startswith("line 1: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 1
        assert (process.stdout.read(), process.stderr.read()) == ("", "Aborted.\n")
    app = create_app(instance_path=str(tmp_path / "instance"))
    with closing(app.extensions["logservice"].store) as store:
        assert store.count_all() == store.count_raw() == 999


def test_serve_answers_the_command_it_prints_and_stops_on_request(tmp_path: Path) -> None:
    with program(tmp_path, "serve", "--bind", f"127.0.0.1:{free_port()}", "--workers", "1") as process:
        assert process.stdout is not None
        command = next(line for line in process.stdout if line.strip().startswith("curl "))
        answer = json.loads(ask(command))
        process.terminate()
        process.communicate(timeout=60)
    assert answer["success"]
    assert answer["data"]["total"] == 0
    assert process.returncode == 0


def ask(command: str) -> str:
    """Do what a printed `curl -H HEADER URL` does, once the service listens; the machine may have no curl."""
    _, _, header, url = shlex.split(command)
    name, _, value = header.partition(": ")
    request = urllib.request.Request(url, headers={name: value})
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
