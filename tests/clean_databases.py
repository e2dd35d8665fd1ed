"""Clean databases on a PostgreSQL server, for one test after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.postgresql_server import Server, end_sessions

# A change of definition writes rows of a new transaction into these catalogs, or removes some; vacuum and
# analyze do neither. What an installation brings along has a number below 16384.
_CATALOGS = {
    "pg_attrdef": "oid",
    "pg_attribute": "attrelid",
    "pg_class": "oid",
    "pg_constraint": "oid",
    "pg_extension": "oid",
    # The schema of temporary tables stays when they go.
    "pg_namespace": "nspname !~ '^pg_' AND oid",
    "pg_proc": "oid",
    "pg_sequence": "seqrelid",
    "pg_trigger": "oid",
    "pg_type": "oid",
}
_OWN_SETTINGS = """
    (SELECT count(*) FROM pg_db_role_setting
     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_DEFINITION = "SELECT " + ", ".join(
    [
        *(
            f"(SELECT (count(*), max(xmin::text::bigint))::text FROM {catalog} WHERE {number} >= 16384)"
            for catalog, number in _CATALOGS.items()
        ),
        _OWN_SETTINGS,
    ]
)
# The version of the schema belongs to the definition: its table is left as it was prepared.
_FILLED_TABLES = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relkind = 'r' AND oid >= 16384 AND pg_relation_size(oid) > 0 AND relname <> 'log_alembic_version'
"""
_RESET_SEQUENCES = "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"


@dataclass(frozen=True)
class Database:
    """A database to be lent, and the connection that cleans it; a new one each time would double the work."""

    name: str
    cleaner: psycopg.Connection


class CleanDatabases:
    """Databases without rows that look like one prepared for them, each lent to one borrower at a time.

        databases = CleanDatabases(server, create_tables)
        with databases.lent() as url: ...

    What comes back is emptied rather than replaced, which takes a third of the time; the next borrower finds
    it as new, since vacuum cuts the tables back to nothing; `refill` then puts in what each has to hold. A
    database whose definition changed, or that cannot be emptied (because of foreign keys, say), is dropped: a
    borrower may do to it what he likes.
    """

    def __init__(
        self,
        server: Server,
        prepare: Callable[[str], object],
        *,
        name: str = "clean",
        refill: str = "SELECT 1",
    ) -> None:
        self._server = server
        self._name = name
        self._refill = refill
        self._numbers = itertools.count(1)
        self._free: list[Database] = []
        server.create_database(name)
        prepare(server.url(name))
        with server.connected(name) as connection:
            end_sessions(connection, connection.info.dbname)
            _empty(connection)
            connection.execute("VACUUM")
            connection.execute(self._refill)
            self._definition = _definition(connection)

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Lend a database until the end of the block; yields its URL."""
        database = self._free.pop() if self._free else self._copied()
        try:
            yield self._server.url(database.name)
        finally:
            if self._is_clean_again(database.cleaner):
                self._free.append(database)
            else:
                database.cleaner.close()
                self._server.drop_database(database.name)

    def close(self) -> None:
        """Close our connections; the databases go with the server."""
        while self._free:
            self._free.pop().cleaner.close()

    def _copied(self) -> Database:
        name = f"{self._name}_{next(self._numbers)}"
        self._server.create_database(name, template=self._name)
        return Database(name, self._server.connected(name))

    def _is_clean_again(self, connection: psycopg.Connection) -> bool:
        try:
            end_sessions(connection, connection.info.dbname)
            if _definition(connection) != self._definition:
                return False
            _empty(connection)
            connection.execute(self._refill)
        except psycopg.Error:
            return False
        return True


def _definition(connection: psycopg.Connection) -> tuple[str | int, ...] | None:
    return connection.execute(_DEFINITION).fetchone()


def _empty(connection: psycopg.Connection) -> None:
    tables = [table for (table,) in connection.execute(_FILLED_TABLES)]
    if tables:
        connection.execute("; ".join(f"DELETE FROM {table}" for table in tables))
        connection.execute(f"VACUUM {', '.join(tables)}")
    connection.execute(_RESET_SEQUENCES)
