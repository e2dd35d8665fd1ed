"""Reading Parquet files of ours through pyarrow (the extra `archive`), some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import InvalidValue
from ..extras import how_to_install

#: With what a Parquet file begins.
MAGIC = b"PAR1"


class ParquetFile:
    """A Parquet file.

    Raises InvalidValue for one that is damaged, or where pyarrow is missing, and OSError for one that cannot
    be read at all.
    """

    def __init__(self, path: Path) -> None:
        if find_spec("pyarrow") is None:
            raise InvalidValue(f"Parquet needs pyarrow: {how_to_install('archive')}")
        self._arrow = import_module("pyarrow")
        self._path = path
        _refuse_unreadable(path)
        try:
            self._file = import_module("pyarrow.parquet").ParquetFile(path)
        except (self._arrow.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def about(self) -> Mapping[str, str]:
        """What the file says of itself."""
        said = self._file.schema_arrow.metadata or {}
        return {
            name.decode(): value.decode() for name, value in said.items() if not name.startswith(b"ARROW")
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(self._file.schema_arrow.names)

    @property
    def number(self) -> int:
        """How many rows it holds."""
        return int(self._file.metadata.num_rows)

    def batches(self, *, size: int, columns: Sequence[str] | None = None) -> Iterator[list[dict[str, Any]]]:
        """Yield its rows, in order."""
        try:
            for batch in self._file.iter_batches(batch_size=size, columns=columns and [*columns]):
                yield batch.to_pylist()
        except (self._arrow.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def verify(self) -> None:
        """Read all there is. Raises InvalidValue where that cannot be done."""
        try:
            for _ in self._file.iter_batches():
                pass
        except (self._arrow.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def totals(self, by: str, columns: Sequence[str]) -> dict[Any, tuple[int, ...]]:
        """Return the number of rows and the sums of some columns by the values of one."""
        try:
            table = self._file.read(columns=[by, *columns])
            wanted = [([], "count_all"), *((name, "sum") for name in columns)]
            found = table.group_by(by).aggregate(wanted).to_pylist()
        except (self._arrow.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        names = ["count_all", *(f"{name}_sum" for name in columns)]
        return {row[by]: tuple(row[name] for name in names) for row in found}

    def _damaged(self, error: Exception) -> InvalidValue:
        reason = str(error).splitlines()[0][:200]
        return InvalidValue(f"{self._path.name}: not a whole Parquet file ({reason})")


def _refuse_unreadable(path: Path) -> None:
    """Raise OSError for a file that is not there or may not be read, whatever is in it."""
    with path.open("rb"):
        pass
