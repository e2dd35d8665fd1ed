"""Taking over a file: in batches, each noted in the transaction of its rows with how far it was read.

What was read is known by its hash, so a file may be moved, or grow, in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from ..errors import InvalidValue, Unavailable
from ..sources import gateways
from ..sources.gateways import Flavour
from ..store.imports import Imports, Progress
from ..store.records import Record
from ..store.store import LogStore
from . import formats
from .formats import Entry, Format
from .lines import HashedLines, Mark

BATCH = 1000
KIND = "file"


@dataclass(slots=True)
class Batch:
    """Some consecutive entries: how many bytes they take, and what became of them."""

    first_line: int
    last_line: int
    size: int
    accepted: list[Record] = field(default_factory=list)
    #: By the number of the line.
    refused: dict[int, str] = field(default_factory=dict)
    unknown_kinds: Counter[int] = field(default_factory=Counter)
    stored: int = 0

    @property
    def present(self) -> int:
        """How many rows were there already."""
        return len(self.accepted) - self.stored


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
        """How many lines were read so far."""
        return self._lines.number

    def batches(self) -> Iterator[Batch]:
        """Take over what was not yet. Raises InvalidValue or Unavailable; what was yielded is stored."""
        for batch in self.read():
            self._store(batch)
            yield batch

    def read(self) -> Iterator[Batch]:
        """Read what was not taken over yet, without storing it."""
        entries = self.format.entries(self._lines)
        last_line, offset = self._lines.number, self._lines.offset
        while found := [*islice(entries, BATCH)]:
            batch = Batch(last_line + 1, found[-1].line, self._lines.offset - offset)
            self._sort_out(batch, found)
            yield batch
            last_line, offset = batch.last_line, self._lines.offset

    def _sort_out(self, batch: Batch, entries: list[Entry]) -> None:
        now = self._clock()
        for entry in entries:
            if entry.read is None:
                continue
            try:
                record = entry.read(now)
            except InvalidValue as error:
                batch.refused[entry.line] = str(error)
                continue
            if not gateways.is_known(record.row["type"]):
                batch.unknown_kinds[record.row["type"]] += 1
            batch.accepted.append(record)

    def _store(self, batch: Batch) -> None:
        """Store a batch. A failure says from which line on the file has yet to be imported."""
        try:
            if self._progress is None:
                batch.stored = self._imports.store(batch.accepted)
            else:
                mark = self._lines.mark()
                self._progress, batch.stored = self._imports.advance(
                    self._progress, batch.accepted, {"offset": mark.offset, "digest": mark.digest}
                )
        except (InvalidValue, Unavailable) as error:
            where = f"nothing is stored from line {batch.first_line} on"
            raise type(error)(f"{error}; {where}") from error

    def _recognised(self) -> Progress:
        known = {
            Mark(progress.state["offset"], progress.state["digest"]): progress
            for progress in self._imports.known(KIND)
        }
        found = self._lines.resume({mark: progress.id for mark, progress in known.items()})
        for progress in known.values():
            if progress.id == found:
                return progress
        return self._imports.begin(KIND, {})
