"""Rows and tokens of the last minutes, second by second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, MetaData, Table

from logservice.store import dialects

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a table without rows; `recent.begin` then writes down from when on it is complete."""
    keys: Iterator[Column[Any]] = (
        Column(
            name,
            dialects.PlainText if name == "model_name" else BigInteger,
            primary_key=True,
            autoincrement=False,
        )
        for name in ("second", "writer", "type", "model_name")
    )
    sums = (Column(name, BigInteger, nullable=False, server_default="0") for name in ("rows", "tokens"))
    Table("log_usage_recent", MetaData(), *keys, *sums, **dialects.CLUSTERED).create(op.get_bind())
