"""Moving days into an archive: written, read back and compared with the log, and only then deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import Conflict, InvalidValue
from ..imports.parquet import ParquetFile
from ..store import archiving, ids, retained
from ..store.archiving import Begun, Day
from ..store.holding import Holding
from ..store.store import LogStore
from .draft import Draft
from .folder import USAGE, Folder
from .labels import Label

#: How often a day is written, should rows of it be recorded meanwhile.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """What was done since the last one: rows written into files, rows deleted from the log."""

    written: int = 0
    deleted: int = 0


class Archiving:
    """Moves the days (UTC) that end by a second out of a log. Their usage stays in the statistics."""

    def __init__(self, store: LogStore, folder: Path, *, before: int) -> None:
        self._store = store
        self._folder = Folder(folder)
        self._before = before - before % ids.DAY

    def due(self) -> list[Day]:
        """Return the days that have something to archive, oldest first."""
        return archiving.days(self._store, self._before)

    def run(self) -> Iterator[Step]:
        """Archive what is due, the oldest day first, after what was left unfinished.

        Raises Conflict while another archive or maintenance is under way, and where a day cannot be archived:
        its rows keep changing, or its usage does not fit them; OSError where the folder cannot be written to.
        What is not archived stays in the log.
        """
        with Holding(self._store, "maintenance") as holding:
            self._folder.create()
            for step in self._steps():
                holding.renew()
                yield step

    def _steps(self) -> Iterator[Step]:
        for begun in archiving.begun(self._store):
            yield from self._resume(begun)
        self._clear()
        for day in self.due():
            yield from self._archive(day)

    def _archive(self, day: Day) -> Iterator[Step]:
        for _ in range(_ATTEMPTS):
            draft = Draft(self._store, self._folder, day)
            for rows in draft.write():
                yield Step(written=rows)
            if draft.settle():
                draft.name()
                if draft.begun is not None:
                    yield from self._delete(draft.begun)
                return
        self._clear()
        raise Conflict(
            f"{datetime.fromtimestamp(day.start, UTC):%Y-%m-%d}: its rows keep changing, or its usage does "
            "not fit them; `logservice check --full` tells which, and `logservice rebuild` mends the usage"
        )

    def _delete(self, begun: Begun) -> Iterator[Step]:
        """Delete the rows of a file from the log."""
        with closing(ParquetFile(self._folder.path / begun.name)) as file:
            size = self._store.dialect.purge_batch
            for rows in file.batches(size=size, columns=("id", *retained.ABOUT)):
                archived = [(row["id"], retained.checksum(row)) for row in rows]
                yield Step(deleted=archiving.delete_rows(self._store, archived))
        archiving.finish(self._store, begun)

    # -- what was left unfinished --------------------------------------------------------------------------

    def _resume(self, begun: Begun) -> Iterator[Step]:
        path, part = self._folder.path / begun.name, self._folder.part(begun.name)
        if self._label(part) == begun.file_id:
            self._folder.name_part(begun.name)
        elif self._label(path) != begun.file_id:
            raise Conflict(f"an archive in {begun.folder} was not finished; archive into that folder first")
        yield from self._delete(begun)

    def _clear(self) -> None:
        """Delete files that never counted. One of usage may count, and have no name yet."""
        for part in self._folder.parts():
            usage_id = self._label(part)
            if part.parent.name == USAGE and usage_id and archiving.is_noted(self._store, usage_id):
                self._folder.name_part(f"{USAGE}/{part.name.removeprefix('.').removesuffix('.part')}")
            else:
                part.unlink()

    def _label(self, path: Path) -> str | None:
        """Return the id of a file, or None where there is no file of ours."""
        try:
            with closing(ParquetFile(path)) as file:
                label = Label.of(file)
        except InvalidValue:
            return None
        return label.id if label else None
