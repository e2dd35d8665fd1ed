"""The lines of a file, with the hash of all that was read: by it a file is known again, wherever it lies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import BinaryIO, NamedTuple

#: Far above what the longest event takes, so that a file without lines does not fill the memory.
LONGEST_LINE = 4 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Mark(NamedTuple):
    """A place in a file: its offset in bytes, and the SHA-256 of everything before it, in hex."""

    offset: int
    digest: str


class HashedLines:
    """The lines of a binary file, one after the other.

    `number` counts those that were given; `is_whole` tells whether the last one ended with a line end, or the
    file ended first.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: deque[bytes] = deque()
        self._hash = sha256()
        self._before = Mark(0, sha256().hexdigest())
        self.offset = 0
        self.number = 0
        self.is_whole = True

    def __iter__(self) -> Iterator[bytes]:
        """Yield lines; one that is too long is cut off just above the limit."""
        while line := self._waiting.popleft() if self._waiting else self._file.readline(LONGEST_LINE + 1):
            if not line.endswith(b"\n"):
                self._before = self.mark()
            self._pass(line)
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = self._file.readline(LONGEST_LINE)
                self._pass(rest)
            self.is_whole = rest.endswith(b"\n")
            self.number += 1
            yield line.removeprefix(_BYTE_ORDER_MARK) if self.number == 1 else line

    def first(self) -> bytes:
        """Return the first line that holds something, without passing it; nothing where there is none."""
        while line := self._file.readline(LONGEST_LINE + 1):
            self._waiting.append(line)
            if line.strip():
                return line.removeprefix(_BYTE_ORDER_MARK)
        return b""

    def mark(self) -> Mark:
        """Return the place up to which was read."""
        return Mark(self.offset, self._hash.hexdigest())

    def mark_before(self) -> Mark:
        """Return the place before the last line, if that did not end with a line end."""
        return self.mark() if self.is_whole else self._before

    def resume(self, marks: Iterable[Mark]) -> Mark | None:
        """Go to the furthest of some marks that lies in this file, and return it.

        None, and the start of the file, where none of them does. The file must be one that can be sought in.
        """
        known = set(marks)
        offsets = sorted(mark.offset for mark in known)
        found: tuple[Mark, HashedLines] | None = None
        self._waiting.clear()
        self._file.seek(0)
        while offsets and (part := self._file.readline(LONGEST_LINE)):
            while offsets and offsets[0] <= self.offset + len(part):
                there = self._copy(part[: offsets.pop(0) - self.offset])
                found = (there.mark(), there) if there.mark() in known else found
            self._pass(part)
            self.number += part.endswith(b"\n")
        self._take(found[1] if found else HashedLines(self._file))
        return found[0] if found else None

    def _pass(self, part: bytes) -> None:
        self._hash.update(part)
        self.offset += len(part)

    def _copy(self, passed: bytes) -> HashedLines:
        """Return what this is a few bytes further on; a line that is not passed as a whole does not count."""
        copied = HashedLines(self._file)
        copied._hash, copied.offset = self._hash.copy(), self.offset
        copied.is_whole = passed.endswith(b"\n") or not passed
        copied.number = self.number + passed.endswith(b"\n")
        copied._pass(passed)
        return copied

    def _take(self, other: HashedLines) -> None:
        self._hash, self.offset, self.number = other._hash, other.offset, other.number
        self.is_whole = other.is_whole
        self._file.seek(self.offset)
