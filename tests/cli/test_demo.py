"""`logservice demo`: a database of its own, to look around in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from logservice import create_app
from logservice.cli import demonstration
from logservice.store import accounts
from logservice.store.store import LogStore
from logservice.store.tables import records, tokens
from tests.commands import Run, assert_done


@contextmanager
def demo_store(folder: Path) -> Iterator[LogStore]:
    app = create_app({"LOGSERVICE_DATABASE_URL": demonstration.DATABASE_URL}, instance_path=str(folder))
    with closing(app.extensions["logservice"].store) as store:
        yield store


def test_demo_makes_a_database_of_its_own(run: Run, tmp_path: Path) -> None:
    shown = assert_done(run("demo", "--rows", "3000", "--bind", "127.0.0.1:8123"))
    assert "the page is at http://127.0.0.1:8123/ " in shown
    assert not (tmp_path / "log.db").exists()
    *_, admin, alice, key = (line.split() for line in shown.splitlines() if "curl " in line)
    with demo_store(tmp_path) as store:
        assert store.count_all() == store.count_raw() == 3000
        found = [store.user_of(secret[4].rstrip("'")) for secret in (admin, alice)]
        assert [user and (user.username, user.role) for user in found] == [
            ("admin", "admin"),
            ("alice", "user"),
        ]
        assert store.scope_of_key(key[1].rstrip("'").partition("key=")[2]) is not None


def test_demo_is_made_anew_each_time(run: Run, tmp_path: Path) -> None:
    assert_done(run("demo", "--rows", "200"))
    assert_done(run("demo", "--rows", "100"))
    with demo_store(tmp_path) as store, store.reading() as connection:
        assert store.count_raw() == 100
        assert len([user for user in accounts.list_users(connection) if user.has_login]) == 3


def test_the_demo_s_users_and_keys_see_rows(run: Run, tmp_path: Path) -> None:
    assert_done(run("demo", "--rows", "5000"))
    with demo_store(tmp_path) as store, store.reading() as connection:
        names = connection.scalars(select(records.c.username).distinct())
        token_ids = set(connection.scalars(select(records.c.token_id).distinct()))
        assert {"alice", "bob"} <= set(names)
        assert set(connection.scalars(select(tokens.c.id))) <= token_ids


def test_demo_serves_its_own_database(run: Run, tmp_path: Path, execution: list[Any]) -> None:
    assert_done(run("demo", "--rows", "10", "--serve"))
    [(_, _, environment)] = execution
    assert environment["LOGSERVICE_DATABASE_URL"] == demonstration.DATABASE_URL
    assert environment["LOGSERVICE_INSTANCE_PATH"] == str(tmp_path)
