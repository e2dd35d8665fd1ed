"""The files of one day of an archive, until they count: written, read back, and compared with the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing

from ..exports.formats import Rows
from ..exports.parquet import ParquetWriter
from ..imports.parquet import ParquetFile
from ..store import archiving, exports, kept_usage
from ..store.archiving import COMPARED, Begun, Day
from ..store.filters import Filters
from ..store.queries import Query
from ..store.scope import Scope
from ..store.store import LogStore
from .folder import ROWS, USAGE, Folder
from .labels import ROW_FIELDS, Label, rows_as_metadata

_NOTHING: Mapping[str, str] = {}


class Draft:
    """What a day has to be archived: a file of its rows, and one of usage that no archive has."""

    def __init__(self, store: LogStore, folder: Folder, day: Day) -> None:
        self._store = store
        self._folder = folder
        self._day = day
        self._kept = archiving.kept(store, day)
        self._usage_label, self._rows_label = Label.new(USAGE), Label.new(ROWS)
        self._usage_name = folder.new_name(USAGE, day.start) if self._kept.usage else None
        self._rows_name = folder.new_name(ROWS, day.start) if day.rows else None

    def write(self) -> Iterator[int]:
        """Write the files, yielding how many rows went into them each time."""
        if self._usage_name is not None:
            row = exports.row_type(kept_usage.FIELDS)
            usage = [row(*values) for values in self._kept.usage]
            about = rows_as_metadata(self._kept.rows)
            yield from self._write(self._usage_name, self._usage_label, kept_usage.FIELDS, [usage], about)
        if self._rows_name is not None:
            query = Query(Scope.site(), Filters(), self._day.range)
            rows = self._store.batches(query, fields=ROW_FIELDS)
            yield from self._write(self._rows_name, self._rows_label, ROW_FIELDS, rows)

    def _write(
        self,
        name: str,
        label: Label,
        fields: Sequence[str],
        rows: Iterable[Rows],
        about: Mapping[str, str] = _NOTHING,
    ) -> Iterator[int]:
        with self._folder.writing(name) as file:
            writer = ParquetWriter(file, fields, about={**label.as_metadata(), **about})
            for some in rows:
                if some:
                    writer.write(some)
                yield len(some) if label.kind == ROWS else 0
            writer.close()

    def settle(self) -> bool:
        """Compare the files with the log, and have them count; return False where they are not equal."""
        return self._is_equal() and archiving.begin(
            self._store,
            self._day,
            rows=self._begun(self._rows_name, self._rows_label),
            usage=self._begun(self._usage_name, self._usage_label),
            kept=self._kept,
        )

    def _begun(self, name: str | None, label: Label) -> Begun | None:
        return None if name is None else Begun(label.id, name, str(self._folder.path.absolute()))

    def _is_equal(self) -> bool:
        """Whether the file that is on disk has as many rows, and sums, as the log has for each type."""
        if self._rows_name is None:
            return True
        with closing(ParquetFile(self._folder.part(self._rows_name))) as file:
            written = file.totals("type", COMPARED[1:])
        return written == archiving.totals(self._store, self._day)
