"""The service as if on a disk that takes its time: each commit waits for as long as a file says.

What a slow disk does to posts, to their queue and to readers is seen as it is: the transaction is open, and
holds its locks. That the kernel itself may keep readers waiting for pages is not.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from flask import Flask
from sqlalchemy import Connection, Engine, event

import logservice

#: Names the file of seconds. Beside it lies another while a commit waits.
SLOW = "SLOW_DISK"


def create_app() -> Flask:
    """Return the application."""
    event.listen(Engine, "commit", _wait)
    return logservice.create_app()


def _wait(_connection: Connection) -> None:
    file = Path(os.environ[SLOW])
    if threading.current_thread().name == "logservice-writer" and file.exists():
        waiting = waits_at(file)
        waiting.touch()
        time.sleep(float(file.read_text()))
        waiting.unlink()


def waits_at(file: Path) -> Path:
    """Return the file that is there while a commit waits."""
    return file.with_suffix(".waiting")
