"""`logservice import` as people see it."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from logservice.cli import times
from logservice.errors import InvalidValue
from logservice.imports import reading
from logservice.store.store import LogStore
from tests.commands import Run, assert_done, assert_error, complaints, invoke, with_store
from tests.gateways.flavours import Filled, create, engine_of, fill
from tests.imports.expected import facts_of


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command on a service of its own."""
    return partial(invoke, tmp_path)


@pytest.fixture
def gateway_file(tmp_path: Path) -> Path:
    return tmp_path / "one-api.db"


@pytest.fixture
def filled(gateway_file: Path) -> Filled:
    """The database file of a gateway that has nothing odd in it."""
    engine = engine_of(f"sqlite:///{gateway_file}")
    create(engine, "new-api-2026")
    filled = fill(engine, "new-api-2026", rows=300)
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM logs WHERE created_at IS NULL OR created_at = 0 OR type IN (-1, 42)")
        )
    engine.dispose()
    return filled


def rows_of(filled: Filled) -> int:
    return len([fact for fact in facts_of(filled) if fact[1] not in (-1, 42)])


def count(folder: Path) -> int:
    found: int = with_store(folder, LogStore.count_raw)
    return found


def people(filled: Filled) -> str:
    return f"{len(filled.users):,} users and {len(filled.tokens):,} tokens"


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_gateway_s_file_moves_in_and_says_what_came(
    run: Run, gateway_file: Path, filled: Filled, tmp_path: Path, form: str
) -> None:
    said = assert_done(run("import", form.format(gateway_file)))

    assert said == f"Imported {rows_of(filled)} rows of new-api, refused 0; {people(filled)} are known.\n"
    assert count(tmp_path) == rows_of(filled)


def test_a_second_run_says_where_it_goes_on(run: Run, gateway_file: Path, filled: Filled) -> None:
    run("import", str(gateway_file))

    again = run("import", str(gateway_file))

    assert again.stdout.startswith("Imported 0 rows of new-api, refused 0; ")
    assert again.stderr.startswith("Going on after row ")


def test_a_gateway_that_takes_the_last_admin_away_gets_a_warning(
    run: Run, gateway_file: Path, filled: Filled
) -> None:
    run("import", str(gateway_file))
    engine = engine_of(f"sqlite:///{gateway_file}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE users SET role = 1"))
    engine.dispose()

    again = run("import", str(gateway_file))

    assert "\nWarning: no admin can log in any more; " in again.stderr
    assert "Warning" not in run("import", str(gateway_file)).stderr


def test_figures_come_as_json_on_request(run: Run, gateway_file: Path, filled: Filled) -> None:
    assert json.loads(assert_done(run("import", str(gateway_file), "--json"))) == {
        "gateway": "new-api",
        "rows": rows_of(filled),
        "users": len(filled.users),
        "tokens": len(filled.tokens),
        "refused": 0,
    }


def test_a_dry_run_counts_and_shows_three_rows_and_stores_nothing(
    run: Run, gateway_file: Path, filled: Filled, tmp_path: Path
) -> None:
    *samples, last = assert_done(run("import", str(gateway_file), "--dry-run")).splitlines()

    assert (
        last == f"{rows_of(filled)} rows of new-api, {people(filled)} would be imported; nothing was stored."
    )
    assert len(samples) == 3
    assert all({"created_at", "type", "channel_name"} <= json.loads(sample).keys() for sample in samples)
    assert count(tmp_path) == 0
    figures = json.loads(assert_done(run("import", str(gateway_file), "--dry-run", "--json")))
    assert (figures["rows"], sum(figures["rows_by_type"].values())) == (rows_of(filled), rows_of(filled))
    assert len(figures["samples"]) == 3


def test_refused_rows_and_unknown_kinds_are_told_and_make_it_fail(
    run: Run, gateway_file: Path, filled: Filled
) -> None:
    engine = engine_of(f"sqlite:///{gateway_file}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE logs SET created_at = 0 WHERE id IN (SELECT id FROM logs LIMIT 25)"))
        connection.execute(
            text("UPDATE logs SET type = 9 WHERE id IN (SELECT id FROM logs ORDER BY id DESC LIMIT 2)")
        )
    engine.dispose()

    result = run("import", str(gateway_file))

    assert result.exit_code == 1
    assert f"{rows_of(filled) - 25} rows of new-api, refused 25;" in result.stdout
    told = complaints(result).splitlines()
    assert told[0].endswith("created_at: 0 is not after the start of 1970")
    assert told[20:] == [
        "... and 5 more",
        "type 9 has no name here and was kept as it is; rows that have it: 2",
    ]


def test_of_many_secrets_that_are_taken_the_first_are_told_and_the_number_of_the_others(
    run: Run, gateway_file: Path, filled: Filled
) -> None:
    engine = engine_of(f"sqlite:///{gateway_file}")
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX idx_tokens_key"))
        connection.execute(text("UPDATE tokens SET key = '0123456789abcdef'"))
    engine.dispose()

    told = complaints(run("import", str(gateway_file))).splitlines()

    assert len(told) == 21
    assert all(line.startswith("the secret of token ") for line in told[:20])
    # Two may have the key: one as it is, one with `sk-` in front.
    assert told[20] == f"... and {len(filled.tokens) - 2 - 20} more"


def test_a_large_log_is_read_by_a_process_of_its_own(
    run: Run, gateway_file: Path, filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MANY", 10)

    assert_done(run("import", str(gateway_file)))

    assert count(tmp_path) == rows_of(filled)


def test_what_the_reading_process_cannot_do_is_one_line(
    run: Run, gateway_file: Path, filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MANY", 10)
    ahead = reading.ahead

    def without_the_file(*given: Any) -> Any:
        gateway_file.unlink()
        return ahead(*given)

    monkeypatch.setattr(reading, "ahead", without_the_file)

    assert_error(run("import", str(gateway_file)), "one-api.db: there is no such file")
    assert count(tmp_path) == 0


def test_packed_files_are_unpacked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"quota":1}\n{"quota":2}\n'))

    assert assert_done(run("import", str(path))) == "Accepted 2 events, refused 0.\n"
    again = run("import", str(path))
    assert (again.stdout, again.stderr) == (
        "Accepted 0 events, refused 0.\n",
        "Lines 1 to 2 were imported before.\n",
    )


def test_a_dry_run_of_a_file_stores_nothing(run: Run, tmp_path: Path) -> None:
    *samples, last = assert_done(run("import", "-", "--dry-run", input='{"quota":7}\n')).splitlines()

    assert [json.loads(sample)["quota"] for sample in samples] == [7]
    assert last == "1 event would be accepted, and 0 refused; nothing was stored."
    assert count(tmp_path) == 0


def test_rows_of_a_gateway_in_a_file_are_said_to_be_that(run: Run, tmp_path: Path) -> None:
    row = '{"created_at": 1750000000, "type": 5, "use_time": 1}\n'

    result = run("import", "-", "--from", "new-api", input=row)

    assert (result.stdout, complaints(result)) == (
        "Accepted 1 event, refused 0.\n",
        "Read as rows of new-api.\n",
    )


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["-", "--follow", "10s"], "--follow: is for the database of a gateway"),
        (["-", "--anew"], "--anew: is for the database of a gateway"),
        (["sqlite:///no.db", "--format", "csv"], "--format: is for a file"),
        (["sqlite:///no.db", "--from", "one-api"], "--from: is for a file"),
        (["-", "--follow", "soon"], "'soon' is no span of time"),
        (["sqlite:///no.db"], "no.db: there is no such file"),
        (["mysql://u:hidden@127.0.0.1:1/x"], "the gateway's database: "),
        (["oracle://u:hidden@h/x"], "oracle: no database that can be imported"),
    ],
)
def test_wrong_usage_is_one_clear_line(run: Run, args: list[str], reason: str) -> None:
    result = run("import", *args, input="")

    assert_error(result, reason)
    assert "hidden" not in result.stderr


@pytest.mark.parametrize(("separator", "noun"), [(";", "semicolons"), ("\t", "tabs")])
@pytest.mark.parametrize("name", ["rows.csv", "rows.txt"])
def test_a_table_without_commas_is_refused_by_what_it_has_instead(
    run: Run, tmp_path: Path, name: str, separator: str, noun: str
) -> None:
    path = tmp_path / name
    path.write_text(f'"created_at"{separator}quota\n1750000000{separator}1\n')

    assert_error(
        run("import", str(path)), f"{noun} stand between the columns; save the file as CSV with commas"
    )


def test_a_log_of_ours_is_refused_with_what_takes_it_along(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert_done(run("init-db"))
    assert_done(invoke(other, "init-db"))

    result = run("import", str(other / "log.db"))

    assert_error(result, "a log of this service, and no gateway's: `logservice export -o rows.ndjson`, with ")
    assert_error(result, "`logservice archive` moves old days")


@pytest.mark.parametrize(("given", "seconds"), [("10s", 10), (" 5m ", 300), ("2h", 7200)])
def test_spans_of_time_are_read(given: str, seconds: int) -> None:
    assert times.parse_span(given) == seconds


@pytest.mark.parametrize("given", ["", "0s", "10", "ten", "-5s"])
def test_other_spans_are_refused(given: str) -> None:
    with pytest.raises(InvalidValue):
        times.parse_span(given)
