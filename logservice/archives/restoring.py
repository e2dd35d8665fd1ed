"""Bringing Parquet files back: the days of an archive, or the rows of an export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import InvalidValue
from ..imports.harvest import Harvest, gathered
from ..imports.parquet import ParquetFile
from ..store import archiving, kept_usage, records
from ..store.imports import Imports
from ..store.store import LogStore
from .folder import ROWS, USAGE, Folder
from .labels import Label, rows_of

#: Rows in one transaction.
BATCH = 1_000


@dataclass(slots=True)
class Batch:
    """What some rows of a file brought: what was read, and how many rows are stored; the others were there.

    `usage` counts parts of usage without rows, which are sums of a quarter hour.
    """

    name: str
    found: Harvest = field(default_factory=Harvest)
    stored: int = 0
    usage: int = 0

    @property
    def number(self) -> int:
        """How many rows of the file these are."""
        return len(self.found.records) + len(self.found.refused)


class Restoring:
    """The import of Parquet files into a log: of a folder with an archive, or of one file.

    Rows keep their ids, and those that are there are passed over; usage that was kept without them is taken
    away, and usage out of the archive is added where the log does not have it. So it can be run again.
    Raises InvalidValue for what is no archive.
    """

    def __init__(self, store: LogStore, path: Path) -> None:
        self._store = store
        self._paths = _files(path)
        if not self._paths:
            raise InvalidValue(
                f"{path}: no archive; there are no files rows/*.parquet or usage/*.parquet in it"
            )
        with_usage = [one for one in self._paths if _kind(one) == USAGE]
        self.rows = sum(_number(one) for one in self._paths if one not in with_usage)

    def run(self) -> Iterator[Batch]:
        """Store what the files hold. Raises InvalidValue naming a file that is damaged."""
        yield from self.read(store=True)

    def read(self, *, store: bool = False) -> Iterator[Batch]:
        """Read what the files hold, and store it if that is wanted."""
        for path in self._paths:
            with closing(ParquetFile(path)) as file:
                label = Label.of(file)
                if label is not None and label.kind == USAGE:
                    yield self._usage(path, file, label, store=store)
                else:
                    yield from self._rows(path, file, store=store)

    def _usage(self, path: Path, file: ParquetFile, label: Label, *, store: bool) -> Batch:
        if file.columns != kept_usage.FIELDS:
            raise InvalidValue(f"{path.name}: its columns are not those of usage")
        usage = [tuple(row.values()) for rows in file.batches(size=10_000) for row in rows]
        kept = archiving.Kept(usage, rows_of(file))
        new = archiving.restore_usage(self._store, label.id, kept) if store else len(usage)
        return Batch(path.name, usage=new)

    def _rows(self, path: Path, file: ParquetFile, *, store: bool) -> Iterator[Batch]:
        if unknown := [name for name in file.columns if name not in records.FIELDS]:
            raise InvalidValue(f"{path.name}: column {unknown[0][:40]!r} is none of ours")
        imports, line = Imports(self._store), 0
        for rows in file.batches(size=BATCH):
            now = self._store.clock()
            found = gathered(
                (line + place, partial(_record, row, now)) for place, row in enumerate(rows, start=1)
            )
            line += len(rows)
            stored = imports.store(found.records) if store else len(found.records)
            yield Batch(path.name, found, stored)


def _record(row: dict[str, Any], now: float) -> records.Record:
    return records.from_mapping(row, now=now, keep_id=True)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    folder = Folder(path)
    # The folder of an archive, or one of the two in it.
    return [*folder.files(ROWS), *folder.files(USAGE), *folder.files(".")]


def _kind(path: Path) -> str:
    with closing(ParquetFile(path)) as file:
        label = Label.of(file)
    return label.kind if label else ROWS


def _number(path: Path) -> int:
    with closing(ParquetFile(path)) as file:
        return file.number
