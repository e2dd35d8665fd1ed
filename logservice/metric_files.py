"""Where gunicorn's workers count together: a folder with a file or two of each, and gunicorn's hooks for it.

prometheus_client decides when it is imported whether it counts in such files, so it must not be imported
before `on_starting`, and is not imported here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from .folders import make_private
from .setting_values import switch

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "logservice-metrics-"
# What prometheus_client writes, and nothing else that somebody may keep there.
_COUNTS = re.compile(r"(?:counter|gauge_[a-z]+|histogram|summary)_[0-9]+\.db")
_MEMORY = "/dev/shm"  # nosec B108 # the folder gets a random name, and nobody else may enter it


def on_starting(server: Any) -> None:
    """Give the workers an empty folder: that of the environment, emptied, or a new one in memory.

    Where nothing is counted, none is made; nor where it would come too late, because the application is
    loaded already (`--preload`): then each worker tells its own share, and gunicorn's log says so.
    """
    given = os.environ.get(FOLDER, "")
    if given and not _is_ours(given):
        folder = Path(given)
        make_private(folder)
        for file in folder.iterdir():
            if _COUNTS.fullmatch(file.name):
                file.unlink(missing_ok=True)
        return
    if not _is_counting():
        return
    if "prometheus_client" in sys.modules:
        server.log.warning(
            "/metrics tells what one worker counted, not all: the application was loaded before there was"
            " a folder to count in. Set %s to one that exists, or leave --preload out.",
            FOLDER,
        )
        return
    # One of ours belongs to the gunicorn that started this one to take its place, and goes with it.
    place = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else tempfile.gettempdir()
    for folder in Path(place).glob(f"{_PREFIX}*"):
        _remove_left(folder)
    os.environ[FOLDER] = _made(place)


def on_exit(_server: Any) -> None:
    """Remove the folder that was made at the start."""
    folder = os.environ.get(FOLDER, "")
    if _is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _made(place: str) -> str:
    """Make a folder that is locked for as long as this process and its workers are there, and return it."""
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=place)
        # Some file systems of others have no locks; and then nobody removes it either.
        with contextlib.suppress(OSError):
            fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX)
        # Or somebody who starts at the same time took it for one that was left.
        if os.path.isdir(folder):
            return folder


def _remove_left(folder: Path) -> None:
    """Remove the folder of a service that was killed: it would stay in memory for good."""
    with contextlib.suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _is_counting() -> bool:
    try:
        return switch(os.environ.get("LOGSERVICE_METRICS", "1"))
    except ValueError:
        # The application will refuse to start, and say why.
        return False


def _is_ours(folder: str) -> bool:
    return Path(folder).name.startswith(_PREFIX)
