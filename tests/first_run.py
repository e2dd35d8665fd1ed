"""A service on its first start, in an empty folder, as a newcomer meets it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.documents import ROOT
from tests.processes import free_port


@dataclasses.dataclass(frozen=True)
class FirstRun:
    """Where the service answers, what it printed, and the tokens of a few people."""

    url: str
    output: str
    tokens: Mapping[str, str]


@contextmanager
def first_run(folder: Path) -> Iterator[FirstRun]:
    """Start the service in an empty folder as `make run` does, and stop it at the end."""
    url = free_url()
    environ = settings_for(folder / "instance", url)
    printed = folder / "printed"
    with printed.open("wb") as output:
        command = [sys.executable, "-m", "logservice", "serve"]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(url, process)
        said = printed.read_text("utf-8")
        tokens = {
            "TOKEN": token_in(said),
            "WRITER_TOKEN": _login("gateway", "writer", environ),
            "USER_TOKEN": _login("alice", "user", environ),
        }
        yield FirstRun(url, said, tokens)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0


def free_url() -> str:
    """Return an address of this machine that nobody listens on."""
    return f"http://127.0.0.1:{free_port()}"


def settings_for(instance: Path, url: str) -> dict[str, str]:
    """Return the environment of a service with its own folder and address, and no other setting."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LOGSERVICE_")}
    return {
        **environ,
        "LOGSERVICE_INSTANCE_PATH": str(instance),
        "LOGSERVICE_BIND": url.removeprefix("http://"),
    }


def token_in(said: str) -> str:
    """Return the access token that the first start prints."""
    return said.split("shown only now:")[1].split()[0]


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once a service answers; raise OSError when it ends before, or needs more than two minutes."""
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=30).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _login(name: str, role: str, environ: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "logservice", "user", "add", name, "--role", role, "--json"]
    added = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True)
    token: str = json.loads(added.stdout)["access_token"]
    return token
