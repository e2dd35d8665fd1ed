"""Moving days into an archive: written, read back and compared with the log, and only then deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..errors import Conflict, InvalidValue
from ..exports.parquet import require
from ..imports.parquet import ParquetFile
from ..store import archiving, ids, retained
from ..store.archiving import Begun, Day
from ..store.holding import Holding
from ..store.space import give_back
from ..store.store import LogStore
from .draft import Draft
from .folder import ROWS, Folder, date_of
from .labels import Label

#: How often a day is written, should rows of it be recorded meanwhile.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """What was done since the last one: rows written into files, rows deleted from the log."""

    written: int = 0
    deleted: int = 0


class Archiving:
    """Moves the days (UTC) that end by a second out of a log. Their usage stays in the statistics.

    Raises InvalidValue for a log whose rows cannot be archived.
    """

    def __init__(self, store: LogStore, folder: Path, *, before: int) -> None:
        if not store.is_archivable:
            raise InvalidValue(
                "rows on ClickHouse are not archived; their partitions can be moved to other disks, and "
                "`logservice export` writes rows into a file"
            )
        self._store = store
        self._folder = Folder(folder)
        self._before = before - before % ids.DAY

    def due(self) -> list[Day]:
        """Return the days that have something to archive, oldest first."""
        return archiving.days(self._store, self._before)

    def run(self, *, forget: bool = False) -> Iterator[Step]:
        """Archive what is due, the oldest day first, after what was left unfinished.

        Raises Conflict while another archive or maintenance is under way, for the folder of another log, for
        a file that is missing unless that is to be forgotten, and for a day that cannot be archived, because
        its rows keep changing or its usage does not fit them; OSError where the folder cannot be written to.
        What is not archived stays in the log.
        """
        require()
        with Holding(self._store, "maintenance") as holding:
            self._folder.create()
            self._folder.take_for(archiving.log_id(self._store))
            for step in self._steps(forget=forget):
                holding.renew()
                yield step
            give_back(self._store, between=holding.renew)

    def _steps(self, *, forget: bool) -> Iterator[Step]:
        yield from self._finish_all(forget=forget)
        for day in self.due():
            yield from self._delete_archived(day)
            for left in archiving.days(self._store, day.start + ids.DAY):
                if left.start == day.start:
                    yield from self._archive(left)

    def _delete_archived(self, day: Day) -> Iterator[Step]:
        """Delete rows of a day that came back from this archive: none of them is to lie in it twice."""
        for name in self._folder.names(ROWS, day.start) if day.rows else ():
            with closing(ParquetFile(self._folder.path / name)) as file:
                file.verify()
            yield from self._delete(name)

    def _archive(self, day: Day) -> Iterator[Step]:
        for _ in range(_ATTEMPTS):
            draft = Draft(self._store, self._folder, day)
            for rows in draft.write():
                yield Step(written=rows)
            if draft.settle():
                yield from self._finish_all()
                return
        self._clear()
        raise Conflict(
            f"{date_of(day.start)}: its rows keep changing, or its usage does "
            "not fit them; `logservice check --full` tells which, and `logservice rebuild` mends the usage"
        )

    # -- what counts, and is to be finished ----------------------------------------------------------------

    def _finish_all(self, *, forget: bool = False) -> Iterator[Step]:
        """Name the files that count, and delete their rows; files that do not count go."""
        for begun in archiving.begun(self._store):
            if self._is_there(begun):
                yield from self._finish(begun)
            elif forget:
                archiving.finish(self._store, begun)
            else:
                raise Conflict(self._missing(begun))
        self._clear()

    def _is_there(self, begun: Begun) -> bool:
        """Whether a file lies in this folder, wherever that was moved to; it has its name from now on."""
        if self._label(self._folder.part(begun.name)) == begun.file_id:
            self._folder.name_part(begun.name)
        return self._label(self._folder.path / begun.name) == begun.file_id

    def _missing(self, begun: Begun) -> str:
        if begun.folder != str(self._folder.path.absolute()):
            return f"an archive in {begun.folder} was not finished; archive into that folder first"
        return (
            f"{begun.name} is missing from {begun.folder}, and some of its rows may be deleted from the log: "
            "bring the file back, or give it up with --forget, and what is still there is archived anew"
        )

    def _finish(self, begun: Begun) -> Iterator[Step]:
        if begun.name.startswith(ROWS):
            yield from self._delete(begun.name)
        archiving.finish(self._store, begun)

    def _delete(self, name: str) -> Iterator[Step]:
        """Delete the rows of a file from the log."""
        with closing(ParquetFile(self._folder.path / name)) as file:
            size = self._store.dialect.purge_batch
            for rows in file.batches(size=size, columns=("id", *retained.ABOUT)):
                archived = [(row["id"], retained.checksum(row)) for row in rows]
                yield Step(deleted=archiving.delete_rows(self._store, archived))

    def _clear(self) -> None:
        """Delete files that never counted."""
        for part in self._folder.parts():
            part.unlink()

    def _label(self, path: Path) -> str | None:
        """Return the id of a file, or None where there is none or it is not whole."""
        if not path.exists():
            return None
        try:
            with closing(ParquetFile(path)) as file:
                label = Label.of(file)
        except InvalidValue:
            return None
        return label.id if label else None
