"""`logservice check`: what it prints, and when it complains."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from stat import S_IMODE

import pytest
from sqlalchemy import insert, text, update

from logservice.store.store import LogStore
from logservice.store.tables import hourly, recent, records
from tests.commands import app_in, assert_done, assert_error, invoke
from tests.private_servers import account
from tests.store_rows import DAY, MIDNIGHT, NOW, make_record, make_records, table_rows


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    """The log that the commands look at, with some rows."""
    with closing(app_in(tmp_path).extensions["logservice"].store) as store:
        store.record(make_records(50))
        yield store


def test_a_sound_log_is_described(store: LogStore, tmp_path: Path) -> None:
    said = assert_done(invoke(tmp_path, "check", "--full"))

    assert f"version {store.version()}" in said
    assert "Rows:               50\n" in said
    assert "Days compared:      3 of 3\n" in said
    assert "consume" in said
    assert said.endswith("\n\nSound: all 3 days compared, nothing differs.\n")
    assert all(
        name in said for name in ("Oldest:", "Newest:", "Database:", "Write-ahead log:", "Free on disk:")
    )


def test_drift_ends_with_status_1_and_says_what_mends_it(store: LogStore, tmp_path: Path) -> None:
    store.write(lambda connection: connection.execute(update(hourly).values(quota=hourly.c.quota + 1)))

    for more in ([], ["--full"]):
        result = invoke(tmp_path, "check", *more)
        assert_error(result, "; `logservice rebuild` mends them.")
        assert "log_usage_hourly, 3600 s" in result.stdout
        assert "Sound" not in result.stdout
    assert_error(result, ", in the 3 days compared: ")

    assert_done(invoke(tmp_path, "rebuild"))
    assert_done(invoke(tmp_path, "check", "--full"))


def test_rates_that_the_rows_do_not_make_up_are_told(store: LogStore, tmp_path: Path) -> None:
    store.record([make_record(created_at=NOW)])
    of_second = recent.c.second == NOW
    store.write(lambda connection: connection.execute(update(recent).where(of_second).values(rows=2)))

    said = "Seconds of the last minutes whose rates do not agree with the rows: 1; `logservice rebuild` mends"
    assert_error(invoke(tmp_path, "check", "--full"), said)
    assert_done(invoke(tmp_path, "rebuild"))
    assert_done(invoke(tmp_path, "check"))


def test_json_says_the_same(store: LogStore, tmp_path: Path) -> None:
    invented = table_rows(store, hourly)[0] | {"bucket": MIDNIGHT, "rows": 1}
    store.write(lambda connection: connection.execute(insert(hourly).values(**invented)))

    result = invoke(tmp_path, "check", "--full", "--json")

    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["sound"], found["schema"], found["full"], found["rows"]) == (False, "current", True, 50)
    # Owners' eight hours, sums of hours, lack what was invented there.
    drift, of_owners = found["drift"]["first"]
    assert found["drift"]["count"] == 2
    assert of_owners["table"] == "log_usage_owners"
    assert (drift["table"], drift["span"], drift["bucket"]) == ("log_usage_hourly", 3600, MIDNIGHT)
    assert (drift["expected"], drift["found"]["rows"]) == (None, 1)


def test_days_that_were_not_compared_are_told(store: LogStore, tmp_path: Path) -> None:
    store.record([make_record(created_at=MIDNIGHT - day * DAY) for day in range(30)])

    said = assert_done(invoke(tmp_path, "check"))
    found = re.search(
        r"^Sound: ([0-9]+) of ([0-9]+) days compared, nothing differs; --full compares all.$", said, re.M
    )

    assert found is not None
    assert 0 < int(found[1]) < int(found[2])
    assert f"Sound: all {found[2]} days compared" in assert_done(invoke(tmp_path, "check", "--full"))


def test_an_empty_log_is_sound(tmp_path: Path) -> None:
    assert_done(invoke(tmp_path, "init-db"))

    assert "Rows:               0\n" in assert_done(invoke(tmp_path, "check", "--full"))


def test_without_a_database_it_says_how_to_make_one(tmp_path: Path) -> None:
    assert_error(invoke(tmp_path, "check"), "`logservice init-db`")
    (tmp_path / "log.db").touch()
    assert_error(invoke(tmp_path, "check"), "`logservice init-db`")


def test_an_older_schema_is_named_and_stays(store: LogStore, tmp_path: Path) -> None:
    change = text("UPDATE log_alembic_version SET version_num = '0003'")
    store.write(lambda connection: connection.execute(change))

    assert_error(invoke(tmp_path, "check"), "older schema 0003; `logservice init-db`")
    assert store.version() == "0003"


def test_rows_whose_text_is_gone_are_told(store: LogStore, tmp_path: Path) -> None:
    store.record([make_record(content="there")])
    gone = update(records).where(records.c.content_id != 0).values(content_id=records.c.content_id + 1)
    store.write(lambda connection: connection.execute(gone))

    assert_error(invoke(tmp_path, "check"), "Contents that rows refer to and that are gone: 1;")


def test_a_file_that_may_only_be_read_can_be_checked_while_a_service_has_it_open(
    store: LogStore, tmp_path: Path
) -> None:
    assert_done(invoke(tmp_path, "check"))

    with only_reading(tmp_path):
        assert "Rows:               50\n" in assert_done(invoke(tmp_path, "check", "--full"))


@contextmanager
def only_reading(folder: Path) -> Iterator[None]:
    """Let this process read a folder and its files, and nothing more; root has to become somebody else."""
    for path in [folder, *folder.glob("log.db*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    # The folders of pytest are its user's alone; what others may enter anyway, as /tmp, stays as it is.
    modes = {path: S_IMODE(path.stat().st_mode) for path in list(folder.parents)[:3]}
    closed = {path: mode for path, mode in modes.items() if mode & 0o005 != 0o005}
    for path, mode in closed.items():
        path.chmod(mode | 0o055)
    before = os.geteuid()
    os.seteuid(account().get("user", before))
    try:
        with pytest.raises(PermissionError):
            (folder / "more").touch()
        yield
    finally:
        os.seteuid(before)
        for path, mode in closed.items():
            path.chmod(mode)
        folder.chmod(0o700)
