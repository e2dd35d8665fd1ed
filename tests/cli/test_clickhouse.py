"""Commands that look after a log whose rows lie on ClickHouse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from logservice import create_app
from logservice.store.clickhouse.store import ClickHouseStore
from tests.commands import run
from tests.conftest import store_of
from tests.store_rows import make_records

pytestmark = pytest.mark.parametrize(
    "engine_name", [pytest.param("clickhouse", marks=pytest.mark.clickhouse)], indirect=True, scope="session"
)


@pytest.fixture
def app(db_url: str, tmp_path: Path) -> Flask:
    found = create_app({"LOGSERVICE_DATABASE_URL": db_url}, instance_path=str(tmp_path))
    store_of(found).record(make_records(300))
    return found


def test_a_check_says_that_there_are_no_sums_and_who_looked(app: Flask) -> None:
    said = run(app, "check")
    assert "Rows:               300\n" in said
    assert "Days" not in said
    assert said.endswith(
        "\nSound as far as was looked: no sums lie beside the rows; --full has the engine check its files.\n"
    )
    assert run(app, "check", "--full").endswith(
        "\nSound: the engine has checked its files, and no sums lie beside the rows.\n"
    )


def test_files_that_are_broken_are_found(app: Flask) -> None:
    store = store_of(app)
    assert isinstance(store, ClickHouseStore)
    place = "SELECT path FROM system.parts WHERE database = currentDatabase() AND active AND rows > 0"
    [(part, *_), *_] = store.sessions.rows(place)
    data = Path(str(part), "data.bin")
    data.write_bytes(data.read_bytes()[:-100] + bytes(100))

    result = app.test_cli_runner().invoke(args=["logservice", "check", "--full"])

    assert result.exit_code == 1
    assert "log_records: CHECK TABLE says that parts of it are broken\n" in result.output
    assert "Error: The database is damaged: restore a backup." in result.output


def test_there_is_nothing_to_rebuild(app: Flask) -> None:
    said = run(app, "rebuild")
    assert said == "There is nothing to rebuild: statistics are computed from the rows themselves.\n"
    assert json.loads(run(app, "rebuild", "--json")) == {"days": 0}
