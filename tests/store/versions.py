"""Databases brought to a version of the schema, which one they have, and what they look like."""

from __future__ import annotations

from typing import Any

from alembic import command
from sqlalchemy import Engine, inspect, text

from logservice.store import schema


def bring_to(engine: Engine, version: str) -> None:
    """Bring a database up to a version, step by step from the first."""
    with engine.begin() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def version(engine: Engine) -> str | None:
    with engine.begin() as connection:
        found: str | None = connection.scalar(text("SELECT version_num FROM log_alembic_version"))
    return found


def description(engine: Engine) -> dict[str, Any]:
    """Return what an engine tells of its tables: columns, keys and indexes."""
    inspector = inspect(engine)
    tables = [name for name in inspector.get_table_names() if not name.startswith("log_contents_index")]
    return {name: _table(inspector, name) for name in sorted(tables)}


def _table(inspector: Any, name: str) -> tuple[Any, ...]:
    columns = [
        (column["name"], str(column["type"]), column["nullable"], str(column["default"]))
        for column in inspector.get_columns(name)
    ]
    indexes = [
        (
            index["name"],
            tuple(index.get("expressions", index["column_names"])),
            index["unique"],
            {option: str(value) for option, value in index.get("dialect_options", {}).items()},
        )
        for index in inspector.get_indexes(name)
        if index["name"] != "log_contents_search"
    ]
    return columns, inspector.get_pk_constraint(name)["constrained_columns"], sorted(indexes, key=str)
