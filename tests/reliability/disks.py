"""Disks that are full and have room again, beside whatever uses them.

A small file system in memory is really full. Where nobody may mount one, the kernel lets no file of the
processes in question grow instead, which programs are told in other words.
"""

from __future__ import annotations

import abc
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: Set to have it as where nobody may mount.
NO_MOUNT = "LOGSERVICE_TEST_NO_MOUNT"


class Disk(abc.ABC):
    """A folder, and what a program is told when there is no room left in it."""

    said: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abc.abstractmethod
    def fill(self) -> None:
        """Leave no room."""

    @abc.abstractmethod
    def make_room(self) -> None:
        """Have room again."""


class SmallDisk(Disk):
    """A file system of so many bytes, most of which are taken by a file that nobody needs."""

    said = "full"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)


class Limited(Disk):
    """A folder in which processes may not have files grow beyond so many bytes, while it is full."""

    said = "disk I/O error"

    def __init__(
        self,
        folder: Path,
        processes: Callable[[], Iterable[int]],
        limit: int,
        owner: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(folder)
        self._processes = processes
        self._limit = limit
        # Whose processes they are, as `subprocess` takes it: only they may limit them without privileges.
        self._owner = owner or {}

    def fill(self) -> None:
        self._set(str(self._limit))

    def make_room(self) -> None:
        self._set("unlimited")

    def _set(self, limit: str) -> None:
        for process in self._processes():
            command = ["prlimit", f"--pid={process}", f"--fsize={limit}:"]
            subprocess.run(command, check=True, **self._owner)


@contextmanager
def emptied(disk: Disk) -> Iterator[None]:
    """Leave room on a disk however the block ends: a limit would stay with the process of the tests."""
    try:
        yield
    finally:
        disk.make_room()


@contextmanager
def mounted(folder: Path, *, size: int, owner: int | None = None) -> Iterator[SmallDisk | None]:
    """Mount a disk of so many bytes over a folder until the block ends; give None where that is refused."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "small", str(folder)]
    refused = NO_MOUNT in os.environ
    if refused or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        if owner is not None:
            os.chown(folder, owner, owner)
        yield SmallDisk(folder)
    finally:
        # Lazily: a server that keeps a file open a moment longer is none of our business.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
