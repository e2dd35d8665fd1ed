"""`logservice import` of events, line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logservice.counts import counted
from logservice.errors import Unavailable
from logservice.imports.lines import LONGEST_LINE
from logservice.store.imports import Imports
from logservice.store.store import LogStore
from tests.commands import NOW, Run, assert_done, assert_error, complaints, event


def test_import_stores_every_line_of_a_file(run: Run, peek: LogStore, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text("".join(f"{event(quota=number)}\n" for number in range(2500)))
    assert assert_done(run("import", str(path))) == "Accepted 2,500 events, refused 0.\n"
    assert peek.count_all() == peek.count_raw() == 2500


def test_import_reports_refused_lines_by_number_and_stores_the_others(run: Run, peek: LogStore) -> None:
    lines = [event(), "", "nonsense", event(created_at=NOW * 1000), event(colour="red"), "[]", event()]
    result = run("import", "-", input="\n".join(lines))
    assert (result.exit_code, result.stdout) == (1, "Accepted 2 events, refused 4.\n")
    *refused, hint = complaints(result).splitlines()
    assert hint.startswith("Mend what was refused in a file of its own, and import that one: ")
    assert [line.partition(": ")[0] for line in refused] == ["line 3", "line 4", "line 5", "line 6"]
    assert "milliseconds" in refused[1]
    assert "colour" in refused[2]
    assert peek.count_all() == 2


def test_import_prints_its_figures_as_json(run: Run) -> None:
    figures = json.loads(run("import", "-", "--json", input=f"{event()}\nnonsense\n").stdout)
    assert figures == {"accepted": 1, "present": 0, "refused": 1}


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        (b"", 0),
        (b"\n\n", 0),
        (b"\xef\xbb\xbf" + event().encode() + b"\r\n", 1),
        (event(username="张三").encode() + b"\n\n", 1),
    ],
)
def test_import_takes_files_as_editors_write_them(run: Run, given: bytes, accepted: int) -> None:
    assert (
        assert_done(run("import", "-", input=given)) == f"Accepted {counted(accepted, 'event')}, refused 0.\n"
    )


@pytest.mark.parametrize("line", [b"\xff\xfe", b'{"username":"\xff"}', b"\0", b"[" * 100_000])
def test_import_refuses_what_is_no_event(run: Run, line: bytes) -> None:
    result = run("import", "-", input=line + b"\n" + event().encode())
    assert result.stdout == "Accepted 1 event, refused 1.\n"
    assert complaints(result).startswith("line 1: ")


def test_what_was_refused_can_be_mended_in_a_file_of_its_own(
    run: Run, peek: LogStore, tmp_path: Path
) -> None:
    whole, mended = tmp_path / "whole.csv", tmp_path / "mended.csv"
    whole.write_text("created_at,quota\n1750000000,1\n1750000000,much\n")
    mended.write_text("created_at,quota\n1750000000,2\n")

    refused = run("import", str(whole))

    assert "in a file of its own, below the same header, and import that one" in refused.stderr
    assert assert_done(run("import", str(mended))) == "Accepted 1 event, refused 0.\n"
    assert peek.count_all() == 2


def test_import_passes_over_a_line_that_is_too_long(run: Run) -> None:
    too_long = event(content="x" * (LONGEST_LINE + 1))
    result = run("import", "-", input="\n".join([event(), too_long, event()]))
    assert result.stdout == "Accepted 2 events, refused 1.\n"
    assert complaints(result).startswith(f"line 2: the line is longer than {LONGEST_LINE} bytes\nMend ")


def test_a_failing_import_says_where_to_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, peek: LogStore
) -> None:
    advance = Imports.advance

    def fail_later(imports: Imports, *given: Any) -> Any:
        if peek.count_all():
            raise Unavailable("the database was locked")
        return advance(imports, *given)

    monkeypatch.setattr(Imports, "advance", fail_later)
    result = run("import", "-", input=f"{event()}\n" * 1500)
    assert_error(result, "the database was locked; nothing is stored from line 1001 on")
    assert peek.count_all() == 1000
