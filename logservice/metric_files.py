"""Where gunicorn's workers count together: a folder with a file or two of each, and gunicorn's hooks for it.

prometheus_client decides when it is imported whether it counts in such files, so it must not be imported
before `on_starting`, and is not imported here.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "logservice-metrics-"
_MEMORY = "/dev/shm"  # noqa: S108 - the folder gets a random name, and nobody else may enter it


def on_starting(_server: Any) -> None:
    """Give the workers an empty folder: that of the environment, emptied, or a new one in memory."""
    given = os.environ.get(FOLDER, "")
    if given and not _is_ours(given):
        folder = Path(given)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in folder.glob("*.db"):
            file.unlink(missing_ok=True)
        return
    # One of ours belongs to the gunicorn that started this one to take its place, and goes with it.
    place = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else None
    os.environ[FOLDER] = tempfile.mkdtemp(prefix=_PREFIX, dir=place)


def on_exit(_server: Any) -> None:
    """Remove the folder that was made at the start."""
    folder = os.environ.get(FOLDER, "")
    if _is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)


def child_exit(_server: Any, worker: Any) -> None:
    """Forget what only counts while a worker lives; its sums stay."""
    import_module("prometheus_client.multiprocess").mark_process_dead(worker.pid)


def _is_ours(folder: str) -> bool:
    return Path(folder).name.startswith(_PREFIX)
