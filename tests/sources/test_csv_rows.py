"""CSV cells: harmless in a spreadsheet, and read back as they were."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logservice.errors import InvalidValue
from logservice.sources import csv_rows

#: Texts of nothing but what is looked at, and one letter that is not.
SPECIAL = st.text("=-＠'\"\t\r\n;,x", max_size=12)


@given(st.text() | SPECIAL)
def test_every_text_comes_back_as_it_was(text: str) -> None:
    assert csv_rows.original(csv_rows.harmless(text)) == text


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", "\n1", "＝1", "＋1", "－1", "＠A"]
)
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert csv_rows.harmless(text) == f"'{text}"


FORMULA = "=HYPERLINK(A1)"


def cells_of(text: str, delimiter: str) -> list[str]:
    """Return the cells of an exported row with such a text, to a program that cuts them there."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["id", "content", "other"], [7, csv_rows.harmless(text), ""]])
    file.seek(0)
    return [cell for row in csv.reader(file, delimiter=delimiter) for cell in row]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "before",
    [
        *("said;", 'quoted";', 'a,"b";', "line\n", "line\r\n", "column\t", ";;", "\t", '"', ""),
        *('a;"', 'a\n"', 'a\r\n"', 'a\t"', 'a;""', 'a";"'),
    ],
)
def test_no_cell_is_a_formula_whatever_a_spreadsheet_takes_for_the_end_of_one(
    before: str, delimiter: str
) -> None:
    cells = cells_of(f"{before}{FORMULA};x", delimiter)

    assert any(FORMULA in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(FORMULA)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@given(text=SPECIAL)
def test_no_text_at_all_gives_a_formula(delimiter: str, text: str) -> None:
    assert not [cell for cell in cells_of(text, delimiter) if cell.startswith(("=", "-", "＠"))]


def test_lists_and_numbers_in_the_middle_of_a_text_stay() -> None:
    text = 'a - b; -1, =x, 1+1 = 2\n 3, "-1"; "=x", ""@"'
    assert csv_rows.harmless(text) == text


@pytest.mark.parametrize("cell", ["plain", "it's", "'quoted'", "", "'"])
def test_an_apostrophe_that_protects_nothing_stays(cell: str) -> None:
    assert csv_rows.original(cell) == cell


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("quota", "-12", -12),
        ("use_time", "1.5", 1.5),
        ("created_at", "1750000000", 1750000000.0),
        ("created_at", "2025-06-15T15:06:40Z", "2025-06-15T15:06:40Z"),
        ("is_stream", "True", True),
        ("is_stream", "0", False),
        ("type", "consume", "consume"),
        ("username", "null", "null"),
        ("content", "'=1", "=1"),
    ],
)
def test_cells_are_read_as_what_they_stand_for(name: str, cell: str, value: Any) -> None:
    assert csv_rows.fields({name: cell}) == {name: value}


def test_empty_cells_are_absent() -> None:
    assert csv_rows.fields({"quota": "", "content": ""}) == {}


@pytest.mark.parametrize(
    ("name", "cell"), [("quota", "1.5"), ("use_time", "long"), ("is_stream", "maybe"), ("quota", "1_0")]
)
def test_a_cell_that_cannot_be_read_is_named(name: str, cell: str) -> None:
    with pytest.raises(InvalidValue, match=f"{name}: '{cell}'"):
        csv_rows.fields({name: cell})
