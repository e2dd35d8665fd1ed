"""Processes of this machine: who started whom, and who has ended."""

from __future__ import annotations

from pathlib import Path


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
