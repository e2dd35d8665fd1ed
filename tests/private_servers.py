"""Database servers that tests start for themselves: process, folder, account, and what if there is none."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from tests.processes import children

SKIPPED = " tests did NOT run: "
MEMORY = Path("/dev/shm")
#: The path of a socket must be shorter than this everywhere, its zero byte included.
SOCKET_PATH = 104

AnyServer = TypeVar("AnyServer")


class NoServer(Exception):
    """There is no server of an engine to be had; the message says why, and how to get one."""

    engine = "Database"


class ServerProcess:
    """The process of a private server: started, stopped, and started again on the same data.

    `answers` tells whether the server takes connections; `requests` are the signals that end it, the gentle
    one first, and `failed` is raised when it does not start.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        home: Path,
        answers: Callable[[], bool],
        *,
        requests: tuple[signal.Signals, ...],
        failed: type[NoServer],
    ) -> None:
        self._command = command
        self._home = home
        self._answers = answers
        self._requests = requests
        self._failed = failed
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server and return once it answers."""
        if self._process is not None:
            raise RuntimeError("the server runs already")
        with (self._home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **account(),
            )
        self._wait_until_ready(self._process)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and its sessions, if it runs; `immediate` leaves recovery to the next start."""
        process, self._process = self._process, None
        if process is None:
            return
        for request in self._requests[1:] if immediate else self._requests:
            process.send_signal(request)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                continue
            return

    def kill(self) -> None:
        """Kill the server and all processes that it started."""
        process, self._process = self._process, None
        if process is not None:
            found = children(process.pid)
            process.kill()
            process.wait(timeout=60)
            for one in found:
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(0.02)
        self.stop()
        log = (self._home / "server.log").read_text(errors="replace")
        raise self._failed(f"the server did not start: {log[-2000:]}")


def account() -> dict[str, Any]:
    """Return the keywords that let a subprocess run unprivileged; none, unless the caller is root.

    Database servers refuse to run as root.
    """
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def at_exit(work: Callable[[], object]) -> Callable[[], None]:
    """Have `work` done when this process ends, and return it to be done earlier: in this very process only.

    A forked child inherits both occasions, and must leave its parent's things alone.
    """
    owner = os.getpid()

    def guarded() -> None:
        if os.getpid() == owner:
            work()

    atexit.register(guarded)
    return guarded


@contextmanager
def at_the_end() -> Iterator[ExitStack]:
    """Collect what is to be undone after the block, or when the process ends inside it."""
    stack = ExitStack()
    undo = at_exit(stack.close)
    try:
        yield stack
    finally:
        undo()


def fitting_place(*, durable: bool) -> Path:
    """Return the fastest place that is safe: containers often have no more than 64 MB of shared memory."""
    if durable or not os.access(MEMORY, os.W_OK | os.X_OK) or shutil.disk_usage(MEMORY).free < 2 * 2**30:
        return Path(tempfile.gettempdir())
    return MEMORY


def new_folder(ending: ExitStack, place: Path, *, name: str) -> Path:
    """Make a folder that nobody but the server's account may enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"logservice-{name}-", dir=place))
    ending.callback(shutil.rmtree, folder)
    give_to_account(folder)
    return folder


def give_to_account(path: Path) -> None:
    """Let the server's account own a file or folder."""
    if owner := account():
        os.chown(path, owner["user"], owner["group"])


@contextmanager
def required(block: AbstractContextManager[AnyServer]) -> Iterator[AnyServer]:
    """Enter the block of a server for a test: without one the test is skipped or fails."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(block)
        except NoServer as error:
            skip_or_fail(error)
        yield server


def skip_or_fail(error: NoServer) -> NoReturn:
    """End a test that has no server: as skipped, but as failed under continuous integration."""
    reason = " ".join(str(error).split())
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(error.engine + SKIPPED + reason)


def missed(skipped: list[pytest.TestReport]) -> list[str]:
    """Return a line for each reason of `skip_or_fail` among the reports of skipped tests."""
    texts = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    reasons = [text.removeprefix("Skipped: ") for text in texts if SKIPPED in text]
    return [f"{reason} ({reasons.count(reason)} skipped)" for reason in sorted(set(reasons))]
