"""The pair on PostgreSQL: two databases of one server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from .pairs import Pair, Sizes
from .postgresql_server import running
from .rows import Values
from .yardstick import COPY, Yardstick, table_of

KINDS = {"id": "bigserial", "number": "bigint", "boolean": "boolean", "text": "text"}

_SIZE = (
    "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
    " WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace"
)


class PostgreSQLYardstick(Yardstick):
    """The yardstick in a database of a server."""

    placeholder = "%s"

    def load(self, rows: Sequence[Values]) -> None:
        with self.connection.cursor().copy(COPY) as copy:
            for row in rows:
                copy.write_row(row)


class PostgreSQLPair(Pair):
    """Two databases that share a name's ending; `url_of` gives the URL of a database."""

    def __init__(self, url_of: Callable[[str], str], folder: Path, name: str) -> None:
        self._url_of = url_of
        self.folder = folder
        self.databases = (f"yardstick_{name}", f"logservice_{name}")
        self.url = url_of(self.databases[1])

    def create(self) -> None:
        self.remove()
        self.folder.mkdir(parents=True)
        self._administer(f"CREATE DATABASE {database}" for database in self.databases)
        with closing(self._connect(self.databases[0])) as connection:
            for statement in table_of(KINDS):
                connection.execute(statement)

    def remove(self) -> None:
        self._administer(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)" for database in self.databases)
        shutil.rmtree(self.folder, ignore_errors=True)

    def take(self, other: Pair, *, copy: bool) -> None:
        assert isinstance(other, PostgreSQLPair)
        self.remove()
        self.folder.mkdir(parents=True)
        copying = "CREATE DATABASE {target} TEMPLATE {source}"
        moving = "ALTER DATABASE {source} RENAME TO {target}"
        pairs = zip(other.databases, self.databases, strict=True)
        form = copying if copy else moving
        self._administer(form.format(source=source, target=target) for source, target in pairs)

    def yardstick(self, *, writing: bool = False) -> PostgreSQLYardstick:
        return PostgreSQLYardstick(self._connect(self.databases[0]))

    def loading_yardstick(self) -> PostgreSQLYardstick:
        return self.yardstick()

    def settle(self) -> None:
        for database in self.databases:
            with closing(self._connect(database)) as connection:
                connection.execute("VACUUM (ANALYZE)")
                connection.execute("CHECKPOINT")

    def sizes(self) -> Sizes:
        return Sizes(*(self._ask(database, _SIZE) for database in self.databases))

    def version(self) -> str:
        return f"PostgreSQL {self._ask('postgres', 'SHOW server_version').split()[0]}"

    def _ask(self, database: str, sql: str) -> Any:
        with closing(self._connect(database)) as connection:
            [[value]] = connection.execute(sql).fetchall()
            return value

    def _administer(self, statements: Iterable[str]) -> None:
        with closing(self._connect("postgres")) as connection:
            for statement in statements:
                connection.execute(statement)

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        # The gateway prepares nothing, so that each statement is planned with its own values.
        return psycopg.connect(self._url_of(database), autocommit=True, prepare_threshold=None)


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[str], Pair]]:
    """Give what returns a pair by its name while a server runs on the cluster in `folder`."""
    with running(folder / "cluster") as url_of:
        yield lambda name: PostgreSQLPair(url_of, folder / name, name)
