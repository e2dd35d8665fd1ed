"""Whatever a borrower did to a clean database, the next one finds it as it was prepared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.clean_databases import CleanDatabases
from tests.postgresql_server import Server

PREPARED = """
    CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
    CREATE TABLE records (id int PRIMARY KEY, user_id int REFERENCES users);
    CREATE INDEX records_user ON records (user_id);
    INSERT INTO users (name) VALUES ('somebody');
"""


def prepare(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(PREPARED)


@pytest.fixture(scope="module")
def databases(postgresql: Server) -> Iterator[CleanDatabases]:
    """Databases with the tables of `PREPARED`."""
    with closing(CleanDatabases(postgresql, prepare, name="prepared")) as databases:
        yield databases


def do(databases: CleanDatabases, statement: str) -> str:
    """Borrow a database for one statement; returns its URL."""
    with databases.lent() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
    return url


def columns(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
    ).fetchall()


def test_rows_do_not_outlive_the_loan(databases: CleanDatabases) -> None:
    used = do(databases, "INSERT INTO users (name) SELECT 'alice' FROM generate_series(1, 1000)")
    with databases.lent() as url, psycopg.connect(url) as connection:
        assert url == used
        assert connection.execute("SELECT pg_relation_size('users'), count(*) FROM users").fetchone() == (
            0,
            0,
        )


def test_what_prepared_them_leaves_no_rows(databases: CleanDatabases) -> None:
    with databases.lent(), databases.lent() as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_sequences_start_anew(databases: CleanDatabases) -> None:
    do(databases, "INSERT INTO users (name) VALUES ('alice'), ('bob')")
    with databases.lent() as url, psycopg.connect(url) as connection:
        row = connection.execute("INSERT INTO users (name) VALUES ('carol') RETURNING id").fetchone()
        assert row == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE users ADD COLUMN age int",
        "ALTER TABLE users ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE users ALTER COLUMN name SET DEFAULT ''",
        "CREATE TABLE more (id int)",
        "CREATE TYPE mood AS ENUM ('good')",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA elsewhere",
        "DROP INDEX records_user",
        "DROP TABLE records",
        "TRUNCATE users CASCADE",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = on', current_database()); END $$",
    ],
)
def test_a_changed_definition_does_not_outlive_the_loan(databases: CleanDatabases, statement: str) -> None:
    with databases.lent() as url, psycopg.connect(url) as connection:
        before = columns(connection)
    used = do(databases, statement)
    with databases.lent() as url, psycopg.connect(url) as connection:
        assert url != used
        assert columns(connection) == before


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "VACUUM ANALYZE",
        "CREATE TEMPORARY TABLE fleeting AS SELECT 1",
        "INSERT INTO users (name) VALUES ('alice'); INSERT INTO records VALUES (1)",
    ],
)
def test_ordinary_use_costs_no_new_database(databases: CleanDatabases, statement: str) -> None:
    used = do(databases, statement)
    with databases.lent() as url:
        assert url == used


def test_a_forgotten_transaction_is_ended(databases: CleanDatabases) -> None:
    with databases.lent() as used:
        forgotten = psycopg.connect(used)
        forgotten.execute("LOCK TABLE users")
    with databases.lent() as url, psycopg.connect(url) as connection:
        assert url == used
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
    forgotten.close()


def test_two_borrowers_never_share(databases: CleanDatabases) -> None:
    with databases.lent() as first, databases.lent() as second:
        assert first != second


def test_a_failed_borrower_gives_back(databases: CleanDatabases) -> None:
    with pytest.raises(ZeroDivisionError), databases.lent() as used:
        raise ZeroDivisionError
    with databases.lent() as url:
        assert url == used


def test_a_database_that_cannot_be_emptied_is_replaced(databases: CleanDatabases) -> None:
    used = do(databases, "INSERT INTO users (name) VALUES ('alice'); INSERT INTO records VALUES (1, 1)")
    with databases.lent() as url, psycopg.connect(url) as connection:
        assert url != used
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_a_database_that_lost_its_cleaner_is_replaced(databases: CleanDatabases, postgresql: Server) -> None:
    with databases.lent() as used, postgresql.connected() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [psycopg.conninfo.conninfo_to_dict(used)["dbname"]],
        )
    with databases.lent() as url:
        assert url != used
