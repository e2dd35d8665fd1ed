"""A fair lock between processes, on a file.

The kernel lets whoever asks first after a release have a file lock, so one busy process could starve the
rest. Two locked bytes make a queue: whoever waits for the second byte holds the first, and a process that
comes back for more has to stand behind it.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType

from ..folders import open_beside

_QUEUE, _WORK = 0, 1
# Locks of an open file description (Linux) exclude threads of one process too, and end with the description.
_HAS_DESCRIPTION_LOCKS = hasattr(fcntl, "F_OFD_SETLKW")


class FileLock:
    """A lock held by at most one `with` block among all processes that open the same path.

    `NAME-lock` belongs to whom `NAME` beside it belongs to, also when root makes it. Waiting has no time
    limit: it is for a thread of its own. Raises OSError when the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._like = path.with_name(path.name.removesuffix("-lock"))
        self._file: int | None = None

    def __enter__(self) -> FileLock:
        self._file = open_beside(self.path, self._like)
        if not _HAS_DESCRIPTION_LOCKS:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            return self
        _set(self._file, fcntl.F_WRLCK, _QUEUE)
        _set(self._file, fcntl.F_WRLCK, _WORK)
        _set(self._file, fcntl.F_UNLCK, _QUEUE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            if _HAS_DESCRIPTION_LOCKS:
                # Said aloud: a child forked meanwhile has the file open too, and would go on holding the
                # lock.
                _set(self._file, fcntl.F_UNLCK, _WORK)
            os.close(self._file)
            self._file = None

    def is_wanted(self) -> bool:
        """Return whether somebody holds the lock or waits for it; never, where the system cannot tell."""
        if not _HAS_DESCRIPTION_LOCKS:
            return False
        file = open_beside(self.path, self._like)
        try:
            found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK, _QUEUE, length=2))
        finally:
            os.close(file)
        [kind] = struct.unpack_from("h", found)
        return bool(kind != fcntl.F_UNLCK)


def _set(file: int, kind: int, byte: int) -> None:
    """Lock or unlock one byte, waiting for it."""
    fcntl.fcntl(file, fcntl.F_OFD_SETLKW, _request(kind, byte, length=1))


def _request(kind: int, start: int, *, length: int) -> bytes:
    """Return C's `struct flock` as it is on 64-bit Linux."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)
