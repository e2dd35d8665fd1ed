"""Processes of this machine: who started whom, who has ended, where they run or listen, and waiting."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# By themselves, for tests that set what `time.monotonic` says.
from time import monotonic, sleep


def eventually(holds: Callable[[], bool], *, seconds: float = 30) -> bool:
    """Return whether something comes to hold within some seconds."""
    deadline = monotonic() + seconds
    while not holds():
        if monotonic() > deadline:
            return False
        sleep(0.05)
    return True


@contextmanager
def on_processors(count: int) -> Iterator[set[int] | None]:
    """Have what is started in the block run on so many processors, or on fewer where there are fewer.

    None where the system has no way to say so.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    every = os.sched_getaffinity(0)
    found = set(sorted(every)[:count])
    os.sched_setaffinity(0, found)
    try:
        yield found
    finally:
        os.sched_setaffinity(0, every)


def free_port() -> int:
    """Return a port of this machine at which nothing listened a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def children(process_id: int) -> list[int]:
    """Return the processes that a process has started, those left out that have ended."""
    return [found for found in _processes() if parent(found) == process_id]


def has_ended(process_id: int) -> bool:
    """Whether a process is gone, or waits for nothing but to be noticed by its parent."""
    return parent(process_id) is None


def parent(process_id: int) -> int | None:
    """Return the parent of a process; None when it has ended."""
    try:
        state, number = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(number)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
