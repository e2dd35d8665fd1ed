"""Files that are there as a whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import AlreadyExists

#: What a disk says that cannot take what is written to it.
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


@contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write, which takes its name when the block ends well, and otherwise is gone.

    Only its owner may read it, as is so of a database. Until then it lies beside it as `.NAME.*.part`.
    Raises AlreadyExists for a name that is taken, unless it is that of a plain file and may be replaced.
    """
    refused = None if replace else "; --force replaces it"
    with _taking_its_name(path, refused) as part, part.open("wb") as file:
        yield file


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Give the path of an empty file for others to write, with which the same happens; none is replaced."""
    with _taking_its_name(path, "") as part:
        yield part


@contextmanager
def _taking_its_name(path: Path, refused: str | None) -> Iterator[Path]:
    """Give the path of an empty file that is to take a name; `refused` says what else if it is taken."""
    _refuse_taken(path, refused)
    number, name = _begin(path)
    try:
        yield Path(name)
        os.fsync(number)
        # Somebody may have taken the name meanwhile.
        _refuse_taken(path, refused)
        os.replace(name, path)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK and error.filename is None:
            # To write knows no names, and there may be several disks.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        os.close(number)


def _begin(path: Path) -> tuple[int, str]:
    """Open the file that is to take a name; where none can be made, the error names the folder."""
    try:
        return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path.parent)) from None


def _refuse_taken(path: Path, refused: str | None) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_file() or path.is_symlink():
        raise AlreadyExists(f"{path}: is there already, and is no plain file")
    if refused is not None:
        raise AlreadyExists(f"{path}: is there already{refused}")
