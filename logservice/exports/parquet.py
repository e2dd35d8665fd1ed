"""Rows as Parquet, written through pyarrow (the extra `archive`), a group of rows at a time.

The package is looked for when it is needed: without it everything else works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO

from ..errors import InvalidValue
from ..extras import how_to_install
from .formats import Rows

PARQUET = "parquet"
#: A group is written when it has so many rows, or so many bytes: that much is held in memory.
MOST_ROWS, MOST_BYTES = 50_000, 32 * 2**20

_TEXTS = frozenset(
    {
        *("username", "token_name", "model_name", "group", "ip", "request_id", "channel_name"),
        *("content", "other"),
    }
)
_FLAGS = frozenset({"is_stream"})


def require() -> None:
    """Raise InvalidValue where pyarrow is missing."""
    if find_spec("pyarrow") is None:
        raise InvalidValue(f"Parquet needs pyarrow: {how_to_install('archive')}")


class ParquetWriter:
    """Writes rows of some fields into a binary file: texts, flags, and numbers of 64 bits.

    `about` is what the file says of itself. Raises InvalidValue where pyarrow is missing. Before `close` the
    file is no Parquet.
    """

    def __init__(
        self, file: BinaryIO, fields: Sequence[str], *, about: Mapping[str, str] | None = None
    ) -> None:
        require()
        self._arrow = import_module("pyarrow")
        columns = [(name, self._type(name)) for name in fields]
        self._schema = self._arrow.schema(columns, metadata=dict(about or {}))
        parquet = import_module("pyarrow.parquet")
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._group: list[Any] = []

    def write(self, rows: Rows) -> None:
        """Take some rows, and write what makes a whole group."""
        columns = [
            self._arrow.array([getattr(row, field.name) for row in rows], field.type)
            for field in self._schema
        ]
        self._group.append(self._arrow.RecordBatch.from_arrays(columns, schema=self._schema))
        held = [(batch.num_rows, batch.nbytes) for batch in self._group]
        if sum(rows for rows, _ in held) >= MOST_ROWS or sum(size for _, size in held) >= MOST_BYTES:
            self._write_group()

    def close(self) -> None:
        """Write what is left, and the description at the end of the file."""
        self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        if self._group:
            self._writer.write_table(self._arrow.Table.from_batches(self._group, self._schema))
            self._group = []

    def _type(self, name: str) -> Any:
        if name in _TEXTS:
            return self._arrow.string()
        return self._arrow.bool_() if name in _FLAGS else self._arrow.int64()
