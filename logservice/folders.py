"""Folders that are open to nobody but the account that makes them."""

from __future__ import annotations

import contextlib
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
