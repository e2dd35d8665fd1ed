"""The gateways that the tests know by name, and their databases on each engine: made, filled, added to.

    engine = engine_of(url)
    create(engine, "new-api-2026")
    filled = fill(engine, "new-api-2026", rows=10_000, seed=1)
    expected = sum(row["quota"] or 0 for row in filled.logs)

Nothing here knows the importer, so that a test can count and sum what was written on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine, create_engine, make_url

from tests.gateways import new_api, one_api
from tests.gateways.columns import Table, quoted
from tests.gateways.people import People, Row, invent
from tests.gateways.rows import LogRows
from tests.rows import NOW

#: The tables of each flavour by name.
FLAVOURS: dict[str, dict[str, Table]] = {
    name: {table.name: table for table in tables}
    for name, tables in (
        ("one-api-2025", one_api.TABLES),
        ("new-api-2025-04", new_api.TABLES_2025),
        ("new-api-2026", new_api.TABLES_2026),
    )
}
BATCH = 5_000
#: From so many rows on the indexes are built at the end, which takes half the time.
MANY = 50_000
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
_VERSIONS = {"new-api-2025-04": "v0.6.6.2", "new-api-2026": "v1.0.0-rc.32"}


@dataclass(frozen=True)
class Filled:
    """What a filling wrote: the rows of the small tables, and the log rows, the same at every iteration."""

    flavour: str
    seed: int
    people: People
    logs: LogRows

    @property
    def users(self) -> list[Row]:
        return self.people.users

    @property
    def tokens(self) -> list[Row]:
        return self.people.tokens

    @property
    def channels(self) -> list[Row]:
        return self.people.channels


def engine_of(url: str) -> Engine:
    """Return an engine for a URL with the plain scheme that an operator writes."""
    address = make_url(url)
    if address.drivername == "sqlite":
        # Gateways wait that long for somebody who reads.
        return create_engine(address, connect_args={"timeout": 30})
    if address.drivername == "mysql":
        address = address.update_query_dict({"charset": "utf8mb4"})
    return create_engine(address.set(drivername=_DRIVERS[address.drivername]))


def create(engine: Engine, flavour: str) -> None:
    """Make the empty tables of a flavour."""
    for table in FLAVOURS[flavour].values():
        _execute(engine, table.definitions(engine.name))


def fill(
    engine: Engine, flavour: str, *, rows: int, seed: int = 1, end: int = NOW, users: int | None = None
) -> Filled:
    """Write invented people and `rows` log rows of the 30 days before `end` into empty tables.

    Without `users` there are as many as fit the rows: 40 to 2000.
    """
    tables = FLAVOURS[flavour]
    count = min(2000, max(40, rows // 50)) if users is None else users
    people = invent(tables, users=count, seed=seed)
    for name in ("users", "tokens", "channels"):
        insert(engine, tables[name], getattr(people, name))
    if flavour in _VERSIONS:
        setup = {"id": 1, "version": _VERSIONS[flavour], "initialized_at": end - 10**7}
        insert(engine, tables["setups"], [setup])
    logs = LogRows(tables["logs"], people, rows=rows, seed=seed, end=end, first_id=1)
    _load(engine, tables["logs"], logs)
    return Filled(flavour, seed, people, logs)


def add(engine: Engine, filled: Filled, *, rows: int, end: int = NOW) -> Filled:
    """Write further log rows of the same people behind the last id; returns only what is new."""
    table = FLAVOURS[filled.flavour]["logs"]
    with engine.connect() as connection:
        last = connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM logs").scalar_one()
    logs = LogRows(table, filled.people, rows=rows, seed=filled.seed, end=end, first_id=last + 1)
    insert(engine, table, logs)
    return Filled(filled.flavour, filled.seed, filled.people, logs)


def insert(engine: Engine, table: Table, rows: Iterable[Row]) -> None:
    """Write rows with their ids, in batches of one transaction each."""
    statement = insertion(table, engine.name)
    values = map(itemgetter(*table.names), rows)
    with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        if engine.name == "sqlite":
            # What is lost with the machine is made again.
            cursor.execute("PRAGMA synchronous = OFF")
        for batch in _batches(values):
            cursor.executemany(statement, batch)
            connection.commit()
        if engine.name == "sqlite":
            cursor.execute("PRAGMA synchronous = FULL")
        if engine.name == "postgresql":
            # The sequence does not notice ids that were given.
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) FROM {table.name}"
            )
            connection.commit()


def insertion(table: Table, engine: str, *, without: tuple[str, ...] = ()) -> str:
    """Return the INSERT of a row in the form that the driver of the engine reads."""
    names = [name for name in table.names if name not in without]
    columns = ", ".join(quoted(name, engine) for name in names)
    places = ", ".join(["?" if engine == "sqlite" else "%s"] * len(names))
    return f"INSERT INTO {quoted(table.name, engine)} ({columns}) VALUES ({places})"


def _load(engine: Engine, table: Table, rows: LogRows) -> None:
    indexes = table.index_definitions(engine.name) if len(rows) >= MANY else []
    on = f" ON {table.name}" if engine.name == "mysql" else ""
    _execute(engine, [f"DROP INDEX {statement.split()[2]}{on}" for statement in indexes])
    insert(engine, table, rows)
    _execute(engine, indexes)


def _execute(engine: Engine, statements: list[str]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def _batches(values: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    while batch := list(islice(values, BATCH)):
        yield batch
