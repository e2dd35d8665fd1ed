"""The lines of a file, with the hash of all that was read: by it a file is known again, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import BinaryIO, NamedTuple

#: Far above what the longest event takes, so that a file without lines does not fill the memory.
LONGEST_LINE = 4 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Mark(NamedTuple):
    """The end of a line: its offset in bytes, and the SHA-256 of everything before it, in hex."""

    offset: int
    digest: str


class HashedLines:
    """The lines of a binary file, one after the other; `number` counts those that were given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []
        self._hash = sha256()
        self.offset = 0
        self.number = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield lines; one that is too long is cut off just above the limit."""
        while line := self._waiting.pop(0) if self._waiting else self._file.readline(LONGEST_LINE + 1):
            self._pass(line)
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = self._file.readline(LONGEST_LINE)
                self._pass(rest)
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
        """Return where the last line ended."""
        return Mark(self.offset, self._hash.hexdigest())

    def resume(self, marks: Mapping[Mark, int]) -> int | None:
        """Go to the furthest of some marks that lies in this file, and return what it stands for.

        None, and the start of the file, where none of them does. The file must be one that can be sought in.
        """
        offsets = {mark.offset for mark in marks}
        found: tuple[int, HashedLines] | None = None
        furthest = max(offsets, default=0)
        for _ in self:
            if self.offset in offsets and self.mark() in marks:
                found = marks[self.mark()], self._copy()
            if self.offset >= furthest:
                break
        self._take(found[1] if found else HashedLines(self._file))
        return found[0] if found else None

    def _pass(self, part: bytes) -> None:
        self._hash.update(part)
        self.offset += len(part)

    def _copy(self) -> HashedLines:
        copied = HashedLines(self._file)
        copied._hash, copied.offset, copied.number = self._hash.copy(), self.offset, self.number
        return copied

    def _take(self, other: HashedLines) -> None:
        self._hash, self.offset, self.number = other._hash, other.offset, other.number
        self._waiting.clear()
        self._file.seek(self.offset)
