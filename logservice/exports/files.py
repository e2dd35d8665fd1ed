"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import AlreadyExists


@contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write, which takes its name when the block ends well, and otherwise is gone.

    Only its owner may read it, as is so of a database. Until then it lies beside it as `.NAME.*.part`.
    Raises AlreadyExists for a name that is taken, unless it is that of a plain file and may be replaced.
    """
    _refuse_taken(path, replace=replace)
    number, name = _begin(path)
    try:
        with os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # Somebody may have taken the name meanwhile.
        _refuse_taken(path, replace=replace)
        os.replace(name, path)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError) and error.strerror and error.filename is None:
            # To write knows no names, and there may be several disks.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def _begin(path: Path) -> tuple[int, str]:
    """Open the file that is to take a name; where none can be made, the error names the folder."""
    try:
        return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path.parent)) from None


def _refuse_taken(path: Path, *, replace: bool) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_file() or path.is_symlink():
        raise AlreadyExists(f"{path}: is there already, and is no plain file")
    if not replace:
        raise AlreadyExists(f"{path}: is there already; --force replaces it")
