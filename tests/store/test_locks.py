"""The file lock: one at a time among threads and processes, and nobody starves."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from logservice.store import locks
from logservice.store.locks import FileLock
from tests.store_rows import at_once, within

ROOT = Path(__file__).parents[2]
#: Add one to the number in a file, many times, by reading and writing it.
COUNTER = """
import sys
from pathlib import Path
from logservice.store.locks import FileLock
lock, number = FileLock(Path(sys.argv[1])), Path(sys.argv[2])
for _ in range(200):
    with lock:
        number.write_text(str(int(number.read_text()) + 1))
"""
#: Take the lock, say so, and keep it until killed.
HOLDER = """
import sys, time
from pathlib import Path
from logservice.store.locks import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
#: Say that the lock is about to be asked for, and then that it was given.
WAITER = """
import sys
from pathlib import Path
from logservice.store.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
print("asking", flush=True)
with lock:
    print("held", flush=True)
"""


@pytest.fixture(params=["queue", "plain"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a lock, on a system with locks of open file descriptions and on one without."""
    if request.param == "plain":
        monkeypatch.setattr(locks, "_HAS_DESCRIPTION_LOCKS", False)
    return tmp_path / "lock"


def test_threads_exclude_each_other(path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        lock = FileLock(path)
        for _ in range(20):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                inside[0] -= 1

    at_once([work] * 6)

    assert most == [1]


def test_processes_exclude_each_other(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    command = [sys.executable, "-c", COUNTER, str(tmp_path / "lock"), str(number)]

    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]

    assert [process.wait(30) for process in running] == [0, 0]
    assert number.read_text() == "400"


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        taken = threading.Event()

        def take() -> None:
            with FileLock(path):
                taken.set()

        waiting = threading.Thread(target=take, daemon=True)
        waiting.start()
        assert not taken.wait(0.3)
        holder.kill()
        assert taken.wait(5)
        waiting.join(5)


def test_a_third_is_not_starved_by_two_that_come_back_at_once(tmp_path: Path) -> None:
    path, stop = tmp_path / "lock", threading.Event()
    turns = [0, 0]

    def greedy(number: int) -> None:
        lock = FileLock(path)
        while not stop.is_set():
            with lock:
                turns[number] += 1
                time.sleep(0.005)

    threads = [threading.Thread(target=greedy, args=(number,), daemon=True) for number in (0, 1)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    waits = []
    for _ in range(10):
        before = sum(turns)
        with FileLock(path):
            waits.append(sum(turns) - before)
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join(5)

    # Those before it in the queue, and the one inside; never the same ones again and again.
    assert max(waits) <= 6
    assert min(turns) > 0


def test_who_comes_back_stands_behind_who_waited_however_slow_that_one_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock, back = FileLock(path), threading.Event()
    command = [sys.executable, "-c", WAITER, str(path)]

    def come_back() -> None:
        with FileLock(path):
            back.set()

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as slow:
        assert slow.stdout is not None
        with lock:
            slow.stdout.readline()
            time.sleep(0.3)
            slow.send_signal(signal.SIGSTOP)
        coming = threading.Thread(target=come_back, daemon=True)
        coming.start()
        assert not back.wait(0.5)
        slow.send_signal(signal.SIGCONT)
        assert slow.stdout.readline() == "held\n"
        assert back.wait(5)
        coming.join(5)


def test_an_error_inside_gives_the_lock_back(path: Path) -> None:
    lock = FileLock(path)
    with pytest.raises(ValueError, match="inside"), lock:
        raise ValueError("inside")

    within(5, lambda: lock.__enter__())
    lock.__exit__(None, None, None)


def test_a_folder_that_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"), FileLock(tmp_path / "nowhere" / "lock"):
        pass


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    with FileLock(path):
        assert path.stat().st_mode & 0o777 == 0o600
