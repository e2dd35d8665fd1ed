"""Tables that commands print."""

from __future__ import annotations

import json

import pytest

from logservice.cli import output
from tests.commands import Run, assert_done, event


def test_columns_stay_aligned_beside_wide_names(run: Run) -> None:
    for name in ("张三", "alice"):
        run("user", "add", name, "--role", "admin")
    lines = assert_done(run("user", "list")).splitlines()
    assert len({output.width(line[: line.index(" admin")]) for line in lines[1:]}) == 1


def test_columns_of_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["7", "1,234", "2.5 %", "-0.500000", "1"], ["x", "–", "10 %", "12.000000", ""]]
    output.echo_table(["ANY", "ROWS", "SHARE", "NET", "NOTE"], rows)
    assert capsys.readouterr().out.splitlines() == [
        "ANY   ROWS  SHARE        NET  NOTE",
        "7    1,234  2.5 %  -0.500000  1",
        "x        –   10 %  12.000000",
    ]


def test_a_table_without_rows_is_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    output.echo_table(["ID", "NAME"], [])
    assert capsys.readouterr().out == "ID  NAME\n"


def test_names_cannot_command_the_terminal(run: Run) -> None:
    run("import", "-", input=event(username="\x1b[31mred"))
    assert "\\x1b[31mred" in assert_done(run("user", "list"))


def test_nor_can_names_in_json_which_is_as_it_was(run: Run) -> None:
    name = "\x9b31mred\u202e 张三 \U000e0001"
    run("import", "-", input=event(username=name))
    printed = assert_done(run("user", "list", "--json"))
    assert printed.replace("\n", "").isprintable()
    assert "张三" in printed
    assert [user["username"] for user in json.loads(printed)] == [name]
