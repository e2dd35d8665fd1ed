"""Folders that are open to nobody but the account that makes them."""

from __future__ import annotations

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, whatever the umask; what is there stays as it is.

    Raises OSError: FileExistsError where something else is.
    """
    # Path.mkdir makes those above it as open as the umask lets it.
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
