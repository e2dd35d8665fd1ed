"""Opening a log: the store of the family that its URL names."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine

from ..errors import InvalidValue
from . import dialects
from .clickhouse import urls as clickhouse
from .clickhouse.sessions import Sessions
from .clickhouse.store import ClickHouseStore
from .dialects import urls
from .store import LogStore


def urls_of(database_url: str, meta_url: str) -> tuple[str, str | None]:
    """Return the URL of the SQL database, and that of the place for rows alone where the log has one."""
    return (meta_url, database_url) if clickhouse.is_ours(database_url) else (database_url, None)


def is_for_one_process(database_url: str) -> bool:
    """Whether no more than one process may have the log open at a time."""
    return clickhouse.is_embedded(database_url)


def sql_settings(
    database_url: str, meta_url: str, folder: str, *, waiting_time: float = 10.0
) -> dict[str, Any]:
    """Return what `create_engine` needs for the SQL database: `dialects.engine_settings`."""
    url, rows_url = urls_of(database_url, meta_url)
    try:
        return dialects.engine_settings(url, folder, waiting_time=waiting_time)
    except InvalidValue as error:
        said = str(error) if rows_url is None else str(error).replace(urls.SETTING, urls.META_SETTING)
        raise InvalidValue(said) from None


def opened(
    engine: Engine,
    *,
    rows_url: str | URL | None = None,
    folder: str = "",
    cluster: str | None = None,
    waiting_time: float = 10.0,
    **settings: Any,
) -> LogStore:
    """Return the store of a log: in the database of an engine, or with its rows in another place.

    A relative folder of `rows_url` lies in `folder`. Raises InvalidValue for a URL that cannot be read.
    """
    if rows_url is None:
        return LogStore(engine, waiting_time=waiting_time, **settings)
    sessions = Sessions(clickhouse.read(rows_url, folder), waiting_time=waiting_time)
    return ClickHouseStore(engine, sessions=sessions, cluster=cluster, waiting_time=waiting_time, **settings)
