"""A log that outgrew its file moves to ClickHouse, by the commands that docs/scaling.md gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logservice import create_app
from logservice.store import accounts
from logservice.store.filters import Filters
from logservice.store.queries import Query
from logservice.store.store import LogStore
from logservice.store.usage import Grouping
from tests.commands import run
from tests.conftest import store_of
from tests.store_rows import ALL, EVER, MIDNIGHT, SITE, make_records, raw_rows
from tests.stores import METADATA

pytestmark = pytest.mark.parametrize(
    "engine_name", [pytest.param("clickhouse", marks=pytest.mark.clickhouse)], indirect=True, scope="session"
)


SECRET = "a-secret-of-root"


def figures(store: LogStore) -> tuple[Any, ...]:
    """Return what the log says in sum."""
    grouping = Grouping(("username", "model_name", "type"), interval="day")
    return (
        store.statistics(SITE, ALL, EVER, asked=2),
        store.statistics(SITE, Filters({"username": "bob"}), EVER, asked=2),
        store.usage(Query(SITE, ALL, EVER), grouping).groups,
    )


def test_rows_people_and_figures_are_the_same_afterwards(db_url: str, tmp_path: Path) -> None:
    old_url, folder = f"sqlite:///{tmp_path / 'old.db'}", str(tmp_path)
    old = create_app({"LOGSERVICE_DATABASE_URL": old_url}, instance_path=folder)
    before = store_of(old)
    before.write(lambda connection: accounts.add_user(connection, "root", role="admin", secret=SECRET))
    before.record(make_records(300, days=70))

    # Most rows, while the old service goes on.
    run(old, "export", "-o", str(tmp_path / "rows.ndjson"))
    first = create_app({"LOGSERVICE_DATABASE_URL": db_url}, instance_path=folder)
    run(first, "import", str(tmp_path / "rows.ndjson"))
    before.record(make_records(20, seed=1, days=1))
    # The people, as metadata.
    for file in tmp_path.glob("logservice.db*"):
        file.unlink()
    run(old, "backup", str(tmp_path / "logservice.db"))
    metadata = create_app({"LOGSERVICE_DATABASE_URL": METADATA}, instance_path=folder)
    run(metadata, "purge", "--before", "1s")
    # What came since, and what comes twice.
    run(old, "export", "-o", str(tmp_path / "rest.ndjson"), "--start-timestamp", str(MIDNIGHT - 2 * 86400))
    new = create_app({"LOGSERVICE_DATABASE_URL": db_url}, instance_path=folder)
    run(new, "import", str(tmp_path / "rest.ndjson"))

    after = store_of(new)
    assert raw_rows(after) == raw_rows(before)
    assert figures(after) == figures(before)
    user = after.user_of(SECRET)
    assert user is not None
    assert (user.username, user.role) == ("root", "admin")
    for store in (before, after):
        store.close()


def test_an_archive_of_a_log_is_imported(db_url: str, tmp_path: Path) -> None:
    old = create_app(
        {"LOGSERVICE_DATABASE_URL": f"sqlite:///{tmp_path / 'old.db'}"}, instance_path=str(tmp_path)
    )
    before = store_of(old)
    before.record(make_records(200, days=20))
    rows, said = raw_rows(before), figures(before)
    run(old, "archive", str(tmp_path / "archive"), "--older-than", "2023-11-14")
    kept = raw_rows(before)
    assert 0 < len(kept) < len(rows)

    new = create_app({"LOGSERVICE_DATABASE_URL": db_url}, instance_path=str(tmp_path))
    run(new, "import", str(tmp_path / "archive"))
    run(old, "export", "-o", str(tmp_path / "rest.ndjson"))
    run(new, "import", str(tmp_path / "rest.ndjson"))

    after = store_of(new)
    assert raw_rows(after) == rows
    assert figures(after) == said
    for store in (before, after):
        store.close()
