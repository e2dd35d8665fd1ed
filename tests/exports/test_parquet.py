"""Rows as Parquet, read back by pyarrow itself."""

from __future__ import annotations

import io
import sys
from typing import Any

import msgspec
import pytest
from pyarrow import parquet

from logservice.errors import InvalidValue
from logservice.exports import parquet as exporting
from logservice.exports.parquet import ParquetWriter
from logservice.store.exports import row_type
from logservice.web.audiences import ADMIN

TEXTS = {
    "content",
    "username",
    "token_name",
    "model_name",
    "group",
    "ip",
    "request_id",
    "channel_name",
    "other",
}


def make_row(number: int) -> Any:
    values = [f"{name} =1+1 充" if name in TEXTS else number for name in ADMIN.fields]
    row = row_type(ADMIN.fields)(*values)
    row.is_stream = number % 2 == 0
    return row


def read(file: io.BytesIO) -> list[dict[str, Any]]:
    file.seek(0)
    found: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return found


def test_rows_come_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST_ROWS", 5)
    rows, file = [make_row(2**52 - number) for number in range(13)], io.BytesIO()

    writer = ParquetWriter(file, ADMIN.fields)
    for start in range(0, 13, 2):
        writer.write(rows[start : start + 2])
    writer.close()

    assert read(file) == [msgspec.structs.asdict(row) for row in rows]
    assert parquet.ParquetFile(file).num_row_groups == 3


def test_no_rows_are_a_file_with_columns() -> None:
    file = io.BytesIO()
    ParquetWriter(file, ADMIN.fields).close()
    assert read(file) == []
    assert parquet.ParquetFile(file).schema_arrow.names == list(ADMIN.fields)


def test_without_pyarrow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "pyarrow")
    with pytest.raises(InvalidValue, match=r"pip install 'pyarrow"):
        ParquetWriter(io.BytesIO(), ADMIN.fields)
