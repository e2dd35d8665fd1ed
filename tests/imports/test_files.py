"""Files move in: ours with their ids, those of gateways with their own names, each row once."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from logservice.errors import InvalidValue
from logservice.imports import files, formats
from logservice.imports.files import Batch, FileImport
from logservice.sources import csv_rows
from logservice.sources.gateways import Flavour
from logservice.store import ids
from logservice.store.store import LogStore
from tests.gateways.flavours import FLAVOURS
from tests.gateways.people import invent
from tests.gateways.rows import LogRows
from tests.imports.expected import can_be_stored, facts_in
from tests.rows import NOW
from tests.store_rows import buckets, contents, make_records, raw_rows, rebuilt

Row = dict[str, Any]
Take = Callable[..., list[Batch]]


@pytest.fixture
def take(log: LogStore) -> Take:
    """Import a file of so many bytes, and return what each batch brought."""

    def run(content: bytes, **known: Any) -> list[Batch]:
        return list(FileImport(log, io.BytesIO(content), **known).batches())

    return run


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BATCH", 7)


def ndjson(rows: Iterable[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def csv_of(rows: list[Row]) -> bytes:
    """Return rows as a CSV file whose texts no spreadsheet takes for formulas."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(rows[0])
    for row in rows:
        table.writerow(csv_rows.harmless(cell) if isinstance(cell, str) else cell for cell in row.values())
    return text.getvalue().encode()


def exported(log: LogStore, number: int = 20) -> list[Row]:
    """Return rows as administrators see them, out of a log that is empty again afterwards."""
    log.record(make_records(number, content="=1+1\n said, 'twice'", other={"a": 1}, user_id=3, token_id=7))
    return raw_rows(log)


def stored(batches: Iterable[Batch]) -> int:
    return sum(batch.stored for batch in batches)


def refused(batches: Iterable[Batch]) -> dict[int, str]:
    return {line: reason for batch in batches for line, reason in batch.found.refused.items()}


@pytest.fixture
def rows(open_log: Callable[[str], LogStore]) -> list[Row]:
    """Rows of another log, as it exports them."""
    return exported(open_log("other"))


@pytest.mark.parametrize("write", [ndjson, csv_of])
def test_an_export_comes_back_as_it_was(
    take: Take, log: LogStore, rows: list[Row], write: Callable[[list[Row]], bytes]
) -> None:
    assert stored(take(write(rows))) == len(rows)

    assert raw_rows(log) == rows
    assert buckets(log) == rebuilt(log)


@pytest.mark.parametrize("write", [ndjson, csv_of])
def test_rows_that_are_there_are_skipped(
    take: Take, log: LogStore, rows: list[Row], write: Callable[[list[Row]], bytes]
) -> None:
    take(write(rows[:12]))

    # Another file: not known by what was read of it, only its rows are.
    batches = take(write(rows[::-1]))

    assert (stored(batches), sum(batch.present for batch in batches)) == (8, 12)
    assert raw_rows(log) == rows


def test_ids_of_others_are_given_anew(take: Take, log: LogStore) -> None:
    take(ndjson([{"id": number, "created_at": NOW, "content": f"row {number}"} for number in range(20)]))

    assert contents(raw_rows(log)) == [f"row {number}" for number in range(20)]
    assert {ids.second_of(row["id"]) for row in raw_rows(log)} == {NOW}


def test_a_file_is_taken_once_and_then_what_was_added(take: Take, log: LogStore) -> None:
    content = ndjson({"created_at": NOW, "content": f"row {number}"} for number in range(20))

    assert stored(take(content)) == 20
    assert take(content) == []
    assert stored(take(content + ndjson([{"content": "more"}]))) == 1

    assert len(raw_rows(log)) == 21


def test_a_file_goes_on_where_it_was_left(take: Take, log: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    content = ndjson({"created_at": NOW, "content": f"row {number}"} for number in range(20))
    importing = FileImport(log, io.BytesIO(content))
    next(importing.batches())

    again = FileImport(log, io.BytesIO(content))

    assert again.lines_before == 7
    assert stored(again.batches()) == 13
    assert contents(raw_rows(log)) == [f"row {number}" for number in range(20)]


def test_what_cannot_be_read_is_refused_by_line_and_nothing_else(take: Take, log: LogStore) -> None:
    lines = [b'{"quota":1}', b"", b"nonsense", b'{"colour":"red"}', b'{"quota":2}', b'{"quota":"x"}']

    batches = take(b"\n".join(lines))

    assert sorted(refused(batches)) == [3, 4, 6]
    assert "colour" in refused(batches)[4]
    assert stored(batches) == 2


def test_cells_that_cannot_be_read_are_refused_by_line(take: Take, log: LogStore) -> None:
    table = (
        b'created_at,quota,content\n1750000000,1,"two\nlines"\n1750000000,x,\n1750000000,2\n1750000000,3,\n'
    )

    batches = take(table)

    assert refused(batches) == {
        4: "quota: 'x' is no whole number",
        5: "2 cells below 3 columns",
    }
    assert contents(raw_rows(log)) == ["two\nlines", ""]


def test_a_csv_file_goes_on_with_its_header_in_mind(take: Take, log: LogStore) -> None:
    table = b"created_at,quota\n" + b"1750000000,5\n" * 20
    next(FileImport(log, io.BytesIO(table)).batches())

    assert stored(take(table)) == 14
    assert sum(row["quota"] for row in raw_rows(log)) == 100


def test_a_column_that_nobody_knows_is_named_and_nothing_stored(take: Take, log: LogStore) -> None:
    with pytest.raises(InvalidValue, match="column 'colour'"):
        take(b"created_at,colour\n1750000000,red\n")

    assert raw_rows(log) == []


@pytest.mark.parametrize("more", [b"", b"\n", b'\n{"quota":6}\n'])
def test_a_file_without_a_last_line_end_may_grow(take: Take, log: LogStore, more: bytes) -> None:
    content = b"\n".join(b'{"quota":%d}' % number for number in range(1, 6))
    take(content)

    assert stored(take(content + more)) == more.count(b"quota")

    assert sorted(row["quota"] for row in raw_rows(log)) == list(range(1, 6 + more.count(b"quota")))


def test_a_line_that_is_still_being_written_is_taken_when_it_is_whole(take: Take, log: LogStore) -> None:
    assert sorted(refused(take(b'{"quota":1}\n{"quo'))) == [2]

    assert stored(take(b'{"quota":1}\n{"quota":2}\n')) == 1

    assert sorted(row["quota"] for row in raw_rows(log)) == [1, 2]


def test_an_older_copy_of_a_file_brings_nothing(take: Take, log: LogStore) -> None:
    old = ndjson({"created_at": NOW, "content": f"row {number}"} for number in range(5))
    take(old)
    take(old + ndjson([{"content": "more"}]))

    assert take(old) == []
    assert stored(take(old + ndjson([{"content": "otherwise"}]))) == 1
    assert take(old + ndjson([{"content": "more"}])) == []

    assert len(raw_rows(log)) == 7


def test_rows_whose_ids_others_have_come_once(take: Take, log: LogStore, rows: list[Row]) -> None:
    ours = [{**row, "content": "ours", "model_name": "another"} for row in rows]
    take(ndjson(ours))

    assert stored(take(ndjson(rows))) == len(rows)
    assert stored(take(ndjson(rows[::-1]))) == 0

    assert len(raw_rows(log)) == 2 * len(rows)
    assert buckets(log) == rebuilt(log)


def test_a_file_that_is_damaged_says_how_far_it_could_be_read(log: LogStore) -> None:
    packed = gzip.compress(ndjson({"quota": number, "content": token_hex(99)} for number in range(100)))

    half = io.BytesIO(packed[: len(packed) // 2])

    with gzip.open(half) as file, pytest.raises(InvalidValue, match=r"damaged after line \d+"):
        list(FileImport(log, file).batches())


def test_cells_in_another_encoding_are_refused(take: Take, log: LogStore) -> None:
    table = "created_at,content\n1750000000,余额不足\n".encode("gbk")

    assert refused(take(table)) == {2: "the line is not in UTF-8"}


@pytest.mark.parametrize("first", [b'"id","created_at","quota"\n', b"quota,created_at\n"])
def test_a_header_is_recognised_however_it_is_written(first: bytes) -> None:
    assert formats.recognise(first).name == "csv"


def test_long_cells_are_read(take: Take, log: LogStore) -> None:
    table = b"created_at,content\n1750000000," + b"x" * 200_000 + b"\n1750000000,next\n"

    assert refused(take(table)) == {2: "content: longer than 65536 bytes"}
    assert contents(raw_rows(log)) == ["next"]


def test_no_refusal_shows_a_key(take: Take) -> None:
    lines = [b'{"sk-SECRETKEY123": 1}', b'{"type": "sk-SECRETKEY123"}']

    assert "SECRET" not in str(refused(take(b"\n".join(lines))))
    assert "SECRET" not in str(refused(take(b"created_at,token_id\n1750000000,sk-SECRETKEY123\n")))


# Files of gateways


def gateway_rows(flavour: str) -> list[Row]:
    tables = FLAVOURS[flavour]
    people = invent(tables, users=40, seed=1)
    return list(LogRows(tables["logs"], people, rows=300, seed=1, end=NOW, first_id=1))


def as_csv(rows: list[Row]) -> bytes:
    """Return rows as a database client dumps them: null is empty, and nothing is made harmless."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode(errors="replace")


@pytest.mark.parametrize("flavour", list(FLAVOURS))
@pytest.mark.parametrize("write", [ndjson, as_csv])
def test_dumps_of_gateways_are_read_with_their_own_numbers(
    take: Take, log: LogStore, flavour: str, write: Callable[[list[Row]], bytes]
) -> None:
    rows = [row for row in gateway_rows(flavour) if len(row["content"] or "") < 1000]

    batches = take(write(rows))

    assert stored(batches) == sum(map(can_be_stored, rows))
    found = facts_in(log)
    kinds = {0: 3, 4: 5, 5: 3 if flavour.startswith("one-api") else 4}
    assert sorted(fact[1] for fact in found) == sorted(
        kinds.get(row["type"] or 0, row["type"]) for row in rows if can_be_stored(row)
    )
    assert sum(fact[5] for fact in found) == sum(row["quota"] or 0 for row in rows if can_be_stored(row))
    assert stored(take(write(rows))) == 0


@pytest.mark.parametrize("known", [{}, {"flavour": Flavour.NEW_API}])
def test_apostrophes_in_dumps_of_gateways_stay(take: Take, log: LogStore, known: dict[str, Any]) -> None:
    texts = {"content": "options:\n'-a' and '-b';'=d'", "username": "'@alice", "other": '{"a":";\'-1"}'}
    row = next(row for row in gateway_rows("new-api-2026") if can_be_stored(row)) | texts

    assert stored(take(as_csv([row]), **known)) == 1

    [found] = raw_rows(log)
    assert {name: found[name] for name in texts} == texts


def test_whose_rows_they_are_can_be_said(take: Take, log: LogStore) -> None:
    row = {"created_at": NOW, "type": 5, "use_time": 3}

    take(ndjson([row]))
    take(ndjson([{**row, "content": "new-api"}]), flavour=Flavour.NEW_API)

    assert sorted((found["type"], found["content"]) for found in raw_rows(log)) == [(4, "new-api"), (5, "")]


@pytest.mark.parametrize(
    ("first", "name", "flavour"),
    [
        (b'{"created_at": 1}\n', "ndjson", None),
        (b"created_at,quota\n", "csv", None),
        (b"not json\n", "ndjson", None),
        (b"", "ndjson", None),
    ],
)
def test_a_format_is_recognised_by_the_first_line(first: bytes, name: str, flavour: Flavour | None) -> None:
    found = formats.recognise(first)

    assert (found.name, found.flavour) == (name, flavour)


def test_a_pipe_is_read_without_a_mark(log: LogStore, tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    content = ndjson([{"created_at": NOW, "content": "piped"}])

    for _ in range(2):
        assert stored(FileImport(log, Pipe(content)).batches()) == 1


@pytest.mark.parametrize("gap", [" " * 200_000, "\r"], ids=["long", "carriage return"])
def test_a_first_line_that_is_no_row_of_csv_is_taken_for_json(gap: str) -> None:
    assert formats.recognise(f'{{"quota":1,{gap}"content":"x"}}\n'.encode()).name == "ndjson"


def test_a_header_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidValue, match="the header cannot be read as CSV"):
        formats.recognise(b"created_at,\rcontent\n", name="csv")
