"""Rows, hourly and daily buckets, users, tokens: the schema before versions were written down."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text, false

from logservice.store import dialects

revision = "0001"
down_revision = None

_KEY = ("type", "user_id", "username", "token_id", "token_name", "model_name", "channel_id", "group")
_SITE_KEY = ("type", "model_name", "channel_id", "group")
_MEASURES = (
    "rows",
    "requests",
    "quota",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "use_time_ms",
)
_TEXTS = ("username", "token_name", "model_name", "group")


def upgrade() -> None:
    """Create the tables."""
    metadata = MetaData()
    _create_records(metadata)
    hourly = _buckets(metadata, "log_usage_hourly", _KEY)
    Index("log_usage_hourly_user", hourly.c.user_id, hourly.c.bucket)
    Index("log_usage_hourly_username", hourly.c.username, hourly.c.bucket)
    _buckets(metadata, "log_usage_daily", _SITE_KEY)
    _create_accounts(metadata)
    _create_bookkeeping(metadata)
    metadata.create_all(op.get_bind())


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _text(name: str) -> Column[str]:
    return Column(name, dialects.PlainText, nullable=False, server_default="")


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


def _id() -> Column[int]:
    return Column("id", dialects.BigKey, primary_key=True, autoincrement=False)


def _create_records(metadata: MetaData) -> None:
    numbers = ("type", "user_id", "token_id", "channel_id", "quota", "prompt_tokens", "completion_tokens")
    times = ("cached_tokens", "use_time_ms", "first_token_ms")
    texts = (*_TEXTS, "ip", "request_id", "channel_name", "content", "other")
    columns: list[Column[Any]] = [
        _id(),
        *map(_number, numbers + times),
        _flag("is_stream"),
        *map(_text, texts),
    ]
    records = Table("log_records", metadata, *columns)
    dialects.newest_first("log_records_user", records.c.user_id)
    dialects.newest_first("log_records_token", records.c.token_id, records.c.token_id != 0)
    dialects.newest_first("log_records_request", records.c.request_id, records.c.request_id != "")


def _buckets(metadata: MetaData, name: str, dimensions: tuple[str, ...]) -> Table:
    keys: list[Column[Any]] = [
        Column(
            key, dialects.PlainText if key in _TEXTS else BigInteger, primary_key=True, autoincrement=False
        )
        for key in ("bucket", "retained", *dimensions)
    ]
    return Table(name, metadata, *keys, *map(_number, _MEASURES), **dialects.CLUSTERED)


def _create_accounts(metadata: MetaData) -> None:
    role = Column("role", dialects.PlainText, nullable=False, server_default="user")
    secret = Column("access_token_hash", Text, unique=True)
    users = Table(
        "log_users",
        metadata,
        _id(),
        _text("username"),
        role,
        secret,
        _flag("disabled"),
        _number("created_at"),
    )
    Index("log_users_username", users.c.username)
    key = Column("key_hash", Text, unique=True)
    owner = (_text("name"), _number("user_id"))
    tokens = Table("log_tokens", metadata, _id(), *owner, key, _flag("disabled"), _number("created_at"))
    Index("log_tokens_user", tokens.c.user_id, tokens.c.name)


def _create_bookkeeping(metadata: MetaData) -> None:
    idempotency = Table(
        "log_idempotency",
        metadata,
        Column("key_hash", Text, primary_key=True),
        Column("body_hash", Text, nullable=False),
        Column("answer", Text, nullable=False),
        Column("created_at", Integer, nullable=False),
    )
    Index("log_idempotency_created", idempotency.c.created_at)
    Table(
        "log_marks",
        metadata,
        Column("name", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
    )
