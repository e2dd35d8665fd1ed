"""What the kernel knows of a process: its children, its memory, its time on a processor."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

#: Where the kernel tells the memory of a process, and which of the lines there matter.
_MEMORY = {"status": ("VmRSS", "RssAnon", "RssFile"), "smaps_rollup": ("Pss",)}
_TICKS = os.sysconf("SC_CLK_TCK")


def children(process: int) -> list[int]:
    """Return the ids of the processes that a process started."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def memory(process: int) -> Mapping[str, float]:
    """Return the memory of a process in MB, by the kernel's own names."""
    found = {}
    for file, names in _MEMORY.items():
        text = Path(f"/proc/{process}/{file}").read_text()
        for name in names:
            [kilobytes] = re.findall(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
            found[name] = int(kilobytes) * 1024 / 1e6
    return found


def processor_seconds(process: int) -> float:
    """Return how long all threads of a process were running so far, in steps of a clock tick."""
    # The name of the program comes second, in parentheses, and may hold blanks.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / _TICKS
