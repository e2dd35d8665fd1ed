"""Where a log on ClickHouse lies, as its URL says; and what is told where nobody is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from logservice import create_app
from logservice.errors import InvalidValue, Unavailable
from logservice.store import opening
from logservice.store.clickhouse import urls
from logservice.store.clickhouse.tables import Layout
from tests.stores import open_log


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("clickhouse://", "ClickHouse's database logservice on localhost:8123"),
        ("clickhouse://user:secret@db/logs", "ClickHouse's database logs on db:8123"),
        (
            "clickhouse://one:1/logs?host=two:2&host=three",
            "ClickHouse's database logs on one:1, two:2, three:8123",
        ),
        ("clickhouse://db/logs?secure=true", "ClickHouse's database logs on db:8443"),
        ("clickhouse+chdb:///rows", "/folder/rows"),
    ],
)
def test_a_url_names_a_place(url: str, shown: str) -> None:
    assert opening.urls_of(url, "sqlite:///meta.db") == ("sqlite:///meta.db", url)
    assert urls.read(url, "/folder").shown == shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("clickhouse+chdb://", "no folder is named"),
        (
            "clickhouse://db/logs?compression=lz4",
            "clickhouse:// has no option 'compression', only ca_cert, host, secure, verify",
        ),
        ("clickhouse+chdb:///rows?secure=true", r"clickhouse\+chdb:// has no option 'secure', only database"),
        ("clickhouse://db/logs?host=two:http", "'two:http' is no HOST:PORT"),
        ("clickhouse://db/logs?secure=maybe", "secure"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        urls.read(url, "")


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    store = open_log("clickhouse://127.0.0.1:1/logs", tmp_path)
    with pytest.raises(Unavailable, match="ClickHouse does not answer") as refused:
        store.count_all()
    assert refused.value.detail == "ClickHouse's database logs on 127.0.0.1:1 (Connection refused)"


def test_metadata_that_are_missing_are_told_with_the_setting_that_names_them(tmp_path: Path) -> None:
    settings = {"LOGSERVICE_DATABASE_URL": "clickhouse://127.0.0.1:1/logs"}
    app = create_app(settings, instance_path=str(tmp_path))
    result = app.test_cli_runner().invoke(args=["logservice", "check"])
    assert result.exit_code == 1
    assert f"there is no log in {tmp_path}/logservice.db: LOGSERVICE_META_URL or " in result.output


def test_tables_of_a_cluster_are_made_on_all_of_it() -> None:
    made = list(Layout("logs", "main").statements())

    assert all("ON CLUSTER `main`" in statement for statement in made)
    assert "ReplicatedMergeTree('/clickhouse/tables/{shard}/logs/log_records', '{replica}')" in made[1]
    assert made[2].endswith("Distributed(`main`, `logs`, `log_records_local`, user_id)")
