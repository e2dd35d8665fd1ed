"""Folders and files that are open to nobody but the account that makes them, or that they are made for."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, whatever the umask; what is there stays as it is.

    But one that holds nothing except what git keeps it by is closed to others as well: `instance/` of a
    checkout. Raises OSError: FileExistsError where something else is.
    """
    # Path.mkdir makes those above it as open as the umask lets it.
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    # Somebody else's, and one that may only be read, stays as open as it is.
    with contextlib.suppress(OSError):
        if [entry.name for entry in folder.iterdir()] == [".gitignore"]:
            folder.chmod(0o700)


def open_beside(path: Path, like: Path, *, flags: int = 0) -> int:
    """Open a file for reading and writing, and make it for its owner alone where it is missing.

    What root makes is given to the owner of `like`, a file or folder that it lies beside or in: the account
    that uses those could not open it otherwise. SQLite does so with its own files. `flags` are further ones
    of `os.open`. Raises OSError.
    """
    flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    if os.geteuid() != 0:
        return os.open(path, flags, 0o600)
    try:
        file = os.open(path, flags | os.O_EXCL, 0o600)
    except FileExistsError:
        # Not given away: what is there may be anybody's, also by a link.
        return os.open(path, flags, 0o600)
    # The root of a container may lack the right.
    with contextlib.suppress(OSError):
        owner = os.stat(like)
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file
