"""Stores on the databases that tests are lent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from logservice.store import dialects, opening, tables
from logservice.store.clickhouse.store import ClickHouseStore
from logservice.store.clickhouse.tables import quoted, records
from logservice.store.store import LogStore

#: Where the metadata beside rows on ClickHouse lie, in the folder of a test.
METADATA = "sqlite:///logservice.db"


def open_log(
    url: str, folder: Path, *, metadata: str = METADATA, waiting_time: float = 10.0, **settings: Any
) -> LogStore:
    """Return a store on the database of a URL; a relative file lies in the folder."""
    sql_url, rows_url = opening.urls_of(url, metadata)
    engine = create_engine(**dialects.engine_settings(sql_url, str(folder), waiting_time=waiting_time))
    return opening.opened(
        engine, rows_url=rows_url, folder=str(folder), waiting_time=waiting_time, **settings
    )


def rows_apart(store: LogStore) -> ClickHouseStore | None:
    """Return a store if its rows lie on ClickHouse."""
    return store if isinstance(store, ClickHouseStore) else None


def rows_on_clickhouse(store: ClickHouseStore, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return all rows that are not hidden as they stand in their table, oldest first."""
    asked = ", ".join(_SPELT.get(name, quoted(name)) for name in fields)
    hidden = store._hiding().hidden
    where = ""
    if hidden is not None:
        of_type = "" if hidden.type is None else f"AND type = {hidden.type}"
        where = f"WHERE NOT (id >= {hidden.low} AND id < {hidden.high} {of_type})"
    store.be_ready()
    statement = f"SELECT {asked} FROM {quoted(records.name)} {where} ORDER BY id"
    found = store.sessions.rows(statement)
    return [dict(zip(fields, row, strict=True)) for row in found]


# Fields that are no column.
_SPELT = {"use_time": "intDiv(use_time_ms, 1000)", "channel": "channel_id"}


def rename(store: LogStore, table: str, new: str) -> None:
    """Rename a table of the log, as somebody might who moves things about."""
    if isinstance(store, ClickHouseStore) and "log_records" in (table, new):
        store.sessions.command(f"RENAME TABLE {quoted(table)} TO {quoted(new)}")
        return
    store.write(lambda connection: connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {new}"))


def set_other(store: LogStore, text: str) -> None:
    """Let every row have a text as `other`, as no client could send it."""
    if isinstance(store, ClickHouseStore):
        literal = text.replace("\\", "\\\\").replace("'", "\\'")
        store.sessions.command(f"ALTER TABLE {quoted(records.name)} UPDATE other = '{literal}' WHERE 1")
        return
    store.write(lambda connection: connection.execute(tables.records.update().values(other=text)))


def forget_rows(store: ClickHouseStore) -> None:
    """Delete all rows on ClickHouse."""
    store.sessions.command(f"TRUNCATE TABLE {quoted(records.name)}")
