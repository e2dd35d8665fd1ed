"""The texts that rows are exported as, a piece at a time: NDJSON, and CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from ..sources.csv_rows import harmless

#: Rows with an attribute for each field, as `store.exports` gives them.
Rows = Sequence[Any]

NDJSON, CSV = "ndjson", "csv"
FORMATS = (NDJSON, CSV)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# It knows the names of fields beforehand: a line takes a fifth of what orjson needs for a dictionary.
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class TextFormat:
    """A text made of rows: what stands above them, and what some of them are."""

    name: str
    mimetype: str
    head: bytes
    encode: Callable[[Rows], bytes]


def text_format(name: str, fields: Sequence[str], *, byte_order_mark: bool = False) -> TextFormat:
    """Return one of FORMATS for rows of some fields.

    Only CSV has a byte order mark, by which some spreadsheets know UTF-8; to readers of JSON it is a mistake.
    """
    if name == NDJSON:
        return TextFormat(name, "application/x-ndjson", b"", _encoder.encode_lines)
    header = _table([fields])
    return TextFormat(name, "text/csv", _BYTE_ORDER_MARK + header if byte_order_mark else header, _cells)


class TextWriter:
    """Writes rows into a binary file as one of FORMATS."""

    def __init__(self, file: BinaryIO, form: TextFormat) -> None:
        self._file = file
        self._form = form
        file.write(form.head)

    def write(self, rows: Rows) -> None:
        """Write some rows."""
        self._file.write(self._form.encode(rows))

    def close(self) -> None:
        """Write what is left."""
        self._file.flush()


def _cells(rows: Rows) -> bytes:
    return _table([[_cell(value) for value in msgspec.structs.astuple(row)] for row in rows])


def _cell(value: Any) -> Any:
    """Return a value as it goes into a cell: texts made harmless, numbers left alone, flags as in JSON."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _table(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
