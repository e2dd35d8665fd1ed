"""The schema and its versions: a new database is made as it is now, an old one brought up step by step."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Executable, Table, column, false, inspect, literal, select, union_all
from sqlalchemy import table as named_table

from ..errors import Unavailable
from . import forks, recent
from .jobs import Claim
from .prepared import Reader, prepared
from .tables import contents, metadata, records

#: Creates tables in partitions, or refuses.
Partition = Callable[[Connection, Sequence[Table]], None]

#: Alembic's own table; a host may have one of the usual name.
VERSION_TABLE = "log_alembic_version"
#: What keeps the schema as it is until a transaction ends; who brings it up has it alone.
CLAIM = Claim("schema", shared=True)
#: The version of databases that were made before versions were written down.
_UNWRITTEN = "0001"
# Alembic keeps what it works on in one place for the whole process.
_one_at_a_time = forks.Lock()
_MIGRATIONS = Path(__file__).with_name("migrations")


class State(enum.Enum):
    """How a database compares to this version of the program."""

    EMPTY = "has no tables yet"
    OLD = "has an older schema"
    CURRENT = "is up to date"


def newest_version() -> str:
    """Return the version that this program makes databases of."""
    return _known()[0]


def state(connection: Connection) -> State:
    """Return the state of a database. Raises Unavailable when it is newer than this program."""
    return _state_of(version_of(connection))


def _state_of(version: str | None) -> State:
    if version is None:
        return State.EMPTY
    if version not in _known():
        raise Unavailable(
            f"the database has schema version {version}, and this version of logservice knows up to "
            f"{_known()[0]}: install the one that made it, or a newer one",
            retry_after=5,
        )
    return State.CURRENT if version == _known()[0] else State.OLD


def be_current(connection: Reader) -> None:
    """Raise Unavailable unless the tables are still those of this version, in every transaction anew.

    A newer program may have brought them up meanwhile: what this one would read might mean something else by
    now, and what it would write would be missing from tables that it does not know.
    """
    found = _written(connection, {})
    state = _state_of(found[0][0] if found else None)
    if state is not State.CURRENT:
        raise Unavailable(wrong(state), retry_after=5)


def wrong(found: State) -> str:
    """Return a sentence that says what is wrong with a database, and what to do."""
    return f"the database {found.value}; `logservice init-db` puts that right"


def touch_tables(connection: Connection) -> None:
    """Read nothing of every table, in one statement, which fails where one of them is missing."""
    nothing = (select(literal(1)).select_from(table).where(false()) for table in metadata.tables.values())
    connection.execute(union_all(*nothing))


def bring_up(connection: Connection, *, now: int, partition: Partition | None = None) -> None:
    """Create the tables, or bring them up to this version, within the transaction of the connection.

    `now` is the time in epoch seconds, from which on rates are summed.
    `partition` is how the tables that grow for ever are created if they are to have partitions, or found to
    have them. Raises Unavailable when they are newer.
    """
    with _one_at_a_time.held():
        _bring_up(connection, partition, now)


def _bring_up(connection: Connection, partition: Partition | None, now: int) -> None:
    found = state(connection)
    if partition is not None:
        partition(connection, [records, contents])
    config = _config()
    config.attributes["connection"] = connection
    if found is State.EMPTY:
        metadata.create_all(connection)
        command.stamp(config, "head")
    elif found is State.OLD:
        if _written_version(connection) is None:
            command.stamp(config, _UNWRITTEN)
        command.upgrade(config, "head")
    recent.begin(connection, now=now)


def version_of(connection: Connection) -> str | None:
    """Return the version of the schema, or None when there are no tables."""
    version = _written_version(connection)
    if version is None and inspect(connection).has_table(records.name):
        return _UNWRITTEN
    return version


def _written_version(connection: Connection) -> str | None:
    options = {"version_table": VERSION_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


@prepared
def _written() -> Executable:
    return select(column("version_num")).select_from(named_table(VERSION_TABLE))


@cache
def _known() -> list[str]:
    """Return the versions this program knows, newest first."""
    scripts = ScriptDirectory.from_config(_config())
    found = [revision.revision for revision in scripts.walk_revisions()]
    if not found:
        # Alembic takes a folder that cannot be opened, for want of files, for an empty one.
        raise Unavailable("the versions of the schema cannot be read", retry_after=5)
    return found


def _config() -> Config:
    config = Config()
    # Percent signs would be read as references to other options.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
