"""Taking over a file: in batches, each noted in the transaction of its rows with how far it was read.

What was read is known by its hash, so a file may be moved, or grow, in between.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

from ..errors import InvalidValue, Unavailable
from ..sources.gateways import Flavour
from ..store.imports import Imports, Progress
from ..store.store import LogStore
from . import formats
from .formats import Entry, Format
from .harvest import Harvest, gathered
from .lines import HashedLines, Mark

BATCH = 1000
KIND = "file"
#: Of how many earlier runs it is remembered where the file ended.
MOST_ENDS = 64


@dataclass(slots=True)
class Batch:
    """Some consecutive entries: how many bytes they take, what they bring, and how much of it is stored."""

    first_line: int
    last_line: int
    size: int
    #: Refusals are by the number of the line.
    found: Harvest
    stored: int = 0

    @property
    def present(self) -> int:
        """How many rows were there already."""
        return len(self.found.records) - self.stored


class FileImport:
    """The import of one file into one log.

    A file that can be sought in is known again by what was read of it, and goes on where it was left; of a
    pipe only rows with ids of ours are known again.
    """

    def __init__(
        self,
        store: LogStore,
        file: BinaryIO,
        *,
        name: str | None = None,
        flavour: Flavour | None = None,
        is_ours: bool = False,
    ) -> None:
        """Look at the first line, and find out how far the file was imported. Raises InvalidValue."""
        self._imports = Imports(store)
        self._clock: Callable[[], float] = store.clock
        self._lines = HashedLines(file)
        self._ends: list[Any] = []
        self.format: Format = formats.recognise(
            self._lines.first(), name=name, flavour=flavour, is_ours=is_ours
        )
        self._progress = self._recognised() if file.seekable() else None

    @property
    def offset(self) -> int:
        """How many bytes were read so far, in earlier runs included."""
        return self._lines.offset

    @property
    def lines_before(self) -> int:
        """How many lines were read so far, one that has not ended included."""
        return self._lines.number + (not self._lines.is_whole)

    def batches(self) -> Iterator[Batch]:
        """Take over what was not yet. Raises InvalidValue or Unavailable; what was yielded is stored."""
        for batch in self.read():
            self._store(batch)
            yield batch

    def read(self) -> Iterator[Batch]:
        """Read what was not taken over yet, without storing it."""
        entries = self.format.entries(self._lines)
        last_line, offset = self._lines.number, self._lines.offset
        while found := self._next(entries):
            now = self._clock()
            readable = ((entry.line, partial(entry.read, now)) for entry in found if entry.read is not None)
            size = self._lines.offset - offset
            batch = Batch(last_line + 1, found[-1].line, size, gathered(readable))
            yield batch
            last_line, offset = batch.last_line, self._lines.offset

    def _next(self, entries: Iterator[Entry]) -> list[Entry]:
        try:
            return [*islice(entries, BATCH)]
        except (EOFError, zlib.error, gzip.BadGzipFile):
            number = self._lines.number
            raise InvalidValue(f"the file is damaged after line {number:,}, and cannot be unpacked") from None

    def _store(self, batch: Batch) -> None:
        """Store a batch. A failure says from which line on the file has yet to be imported."""
        try:
            if self._progress is None:
                batch.stored = self._imports.store(batch.found.records)
            else:
                mark = self._mark_after(batch)
                # Two who import the same for the first time come to the same end of a first batch.
                begins = self._progress.state.get("begins", mark.digest)
                state = {**mark._asdict(), "begins": begins, "ends": self._ends}
                self._progress, batch.stored = self._imports.advance(
                    self._progress, batch.found.records, state
                )
        except InvalidValue as error:
            raise InvalidValue(f"{error}; {_not_stored(batch)}") from error
        except Unavailable as error:
            message = f"{error}; {_not_stored(batch)}"
            raise Unavailable(message, retry_after=error.retry_after, detail=error.detail) from error

    def _mark_after(self, batch: Batch) -> Mark:
        """Return how far a batch reaches: a last line that was refused may still be being written."""
        is_half = batch.last_line in batch.found.refused and not self._lines.is_whole
        return self._lines.mark_before() if is_half else self._lines.mark()

    def _recognised(self) -> Progress:
        """Return how far this file was imported. Where earlier runs ended is known as well.

        A file that ends there is an older copy; one that goes on otherwise from there is another file.
        """
        known: dict[Mark, Progress] = {}
        for progress in self._imports.known(KIND):
            known |= dict.fromkeys((Mark(*end) for end in progress.state["ends"]), progress)
            known[_reached(progress)] = progress
        found = self._lines.resume(known)
        if found is None:
            return self._imports.begin(KIND, {})
        self._ends = [*known[found].state["ends"], list(found)][-MOST_ENDS:]
        is_latest = found == _reached(known[found])
        return known[found] if is_latest else self._imports.begin(KIND, {})


def _reached(progress: Progress) -> Mark:
    return Mark(progress.state["offset"], progress.state["digest"])


def _not_stored(batch: Batch) -> str:
    return f"nothing is stored from line {batch.first_line} on"
