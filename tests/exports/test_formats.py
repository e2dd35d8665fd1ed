"""The texts that rows are exported as."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from logservice.exports.formats import CSV, FORMATS, NDJSON, TextWriter, text_format
from logservice.sources import csv_rows
from logservice.store.exports import row_type

FIELDS = ("id", "content", "quota", "is_stream", "other")
MARK = b"\xef\xbb\xbf"


def make_row(**fields: Any) -> Any:
    values = {"id": 7, "content": "said", "quota": 5, "is_stream": True, "other": ""} | fields
    return row_type(FIELDS)(*(values[name] for name in FIELDS))


def cells(written: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written.decode(), newline="")))


@pytest.mark.parametrize(
    "text", ["", "plain", 'quo"ted', "two\nlines", "half\r\nand", "充值 😀", "a,b", '{"a":"\\u001f\x1f"}']
)
def test_both_hold_every_text_as_it_was(text: str) -> None:
    rows = [make_row(content=text), make_row(other=text)]

    lines = text_format(NDJSON, FIELDS).encode(rows).decode().split("\n")
    table = cells(text_format(CSV, FIELDS).encode(rows))

    assert [(line["content"], line["other"]) for line in map(json.loads, lines[:-1])] == [
        (text, ""),
        ("said", text),
    ]
    assert lines[-1] == ""
    assert [(row[1], row[4]) for row in table] == [(text, ""), ("said", text)]


def test_a_line_of_json_has_numbers_and_flags() -> None:
    [line] = text_format(NDJSON, FIELDS).encode([make_row(quota=-(2**40), is_stream=False)]).splitlines()
    assert json.loads(line) == {
        "id": 7,
        "content": "said",
        "quota": -(2**40),
        "is_stream": False,
        "other": "",
    }


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t", "\r", "'"])
def test_a_text_that_a_spreadsheet_would_run_is_made_harmless(beginning: str) -> None:
    text = f"{beginning}cmd|' /C calc'!A0"

    [[_, cell, *_]] = cells(text_format(CSV, FIELDS).encode([make_row(content=text)]))

    assert cell == f"'{text}"
    assert csv_rows.original(cell) == text


def test_numbers_are_left_alone() -> None:
    [row] = cells(text_format(CSV, FIELDS).encode([make_row(quota=-5)]))
    assert row == ["7", "said", "-5", "true", ""]


@pytest.mark.parametrize(("marked", "head"), [(False, b""), (True, MARK)])
def test_csv_has_a_header_and_a_byte_order_mark_if_one_is_wanted(marked: bool, head: bytes) -> None:
    assert (
        text_format(CSV, FIELDS, byte_order_mark=marked).head
        == head + b"id,content,quota,is_stream,other\r\n"
    )


def test_json_never_has_a_byte_order_mark() -> None:
    assert text_format(NDJSON, FIELDS, byte_order_mark=True).head == b""


@pytest.mark.parametrize("name", FORMATS)
def test_a_writer_writes_the_head_once(name: str) -> None:
    file, form = io.BytesIO(), text_format(name, FIELDS)
    writer = TextWriter(file, form)
    for _ in range(2):
        writer.write([make_row()])
    writer.close()
    assert file.getvalue() == form.head + form.encode([make_row()] * 2)
