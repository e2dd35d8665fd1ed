"""The tables, all prefixed `log_` so that they can share a host's database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    false,
)
from sqlalchemy.types import TypeEngine

from . import dialects, ids

metadata = MetaData()

#: What usage is told apart by. Columns of the same name stand in `log_records` and in the buckets.
DIMENSIONS = (
    "type",
    "user_id",
    "username",
    "token_id",
    "token_name",
    "model_name",
    "channel_id",
    "group",
)
#: The dimensions of the whole site, few enough for buckets of many spans.
SITE_DIMENSIONS = ("type", "model_name", "channel_id", "group")
#: The dimensions that tell who used something, for buckets of some longer spans.
OWNER_DIMENSIONS = ("type", "user_id", "username", "token_id", "token_name")
#: The dimensions of rates, which are summed by seconds.
RECENT_DIMENSIONS = ("type", "model_name")
#: What is summed. `rows` counts rows present in the log; `requests` counts calls and outlives purged rows.
MEASURES = ("rows", "requests", "quota", "prompt_tokens", "completion_tokens", "cached_tokens", "use_time_ms")

_NUMBERS = {"type", "user_id", "token_id", "channel_id", "span", "bucket", "retained", "second", "writer"}


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _text(name: str) -> Column[str]:
    return Column(name, dialects.PlainText, nullable=False, server_default="")


def _key(names: Iterable[str]) -> list[Column[Any]]:
    kinds: dict[bool, TypeEngine[Any]] = {True: BigInteger(), False: dialects.PlainText}
    return [Column(name, kinds[name in _NUMBERS], primary_key=True, autoincrement=False) for name in names]


# What filters and sums read comes first and the long texts last, so that a scan can stop early in each row.
records = Table(
    "log_records",
    metadata,
    Column("id", dialects.BigKey, primary_key=True, autoincrement=False),
    _number("type"),
    _number("user_id"),
    _number("token_id"),
    _number("channel_id"),
    _number("quota"),
    _number("prompt_tokens"),
    _number("completion_tokens"),
    _number("cached_tokens"),
    _number("use_time_ms"),
    _number("first_token_ms"),
    # The row of `log_contents` that holds the content; 0 for an empty one.
    _number("content_id"),
    Column("is_stream", Boolean, nullable=False, server_default=false()),
    _text("username"),
    _text("token_name"),
    _text("model_name"),
    _text("group"),
    _text("ip"),
    _text("request_id"),
    _text("channel_name"),
    _text("other"),
)
dialects.newest_first("log_records_user", records.c.user_id)
dialects.newest_first("log_records_token", records.c.token_id, records.c.token_id != 0)
dialects.newest_first("log_records_request", records.c.request_id, records.c.request_id != "")
dialects.growing(records)

#: The sequence part of ids, where several writers need different ones. It begins anew at its end.
sequence = Sequence(
    "log_sequence", start=0, minvalue=0, maxvalue=ids.SEQUENCES - 1, cycle=True, metadata=metadata
)

# What rows say, once for all rows of an hour that say the same. The id is that of the first row that says it.
contents = Table(
    "log_contents",
    metadata,
    Column("id", dialects.BigKey, primary_key=True, autoincrement=False),
    # The start of the hour (epoch seconds, UTC), and a hash by which the same text is found again in it.
    # Equality is decided by the text itself.
    _number("hour"),
    _number("digest"),
    # False where the row of the same id is the only one: the text goes when that row goes.
    Column("shared", Boolean, nullable=False, server_default=false()),
    _text("content"),
    # The case-folded text, for searching; null where that is the text itself.
    Column("folded", dialects.PlainText),
)
Index("log_contents_digest", contents.c.hour, contents.c.digest)
dialects.growing(contents)


def _buckets(name: str, key: Iterable[str]) -> Table:
    """Return a table of usage: `bucket` is the start of the span in epoch seconds (UTC).

    Rows with `retained` = 1 hold the usage of rows that were purged while their usage was kept, those with 2
    that of such rows whose usage lies in an archive; in the hourly table they stand at quarter hours, so that
    the days of every time zone stay exact.
    """
    measures = (_number(measure) for measure in MEASURES)
    return Table(name, metadata, *_key(key), *measures, **dialects.CLUSTERED)


hourly = _buckets("log_usage_hourly", ["bucket", "retained", *DIMENSIONS])
# Buckets from a quarter of an hour to a week, told apart by `span`, their length in seconds.
site = _buckets("log_usage_site", ["span", "bucket", "retained", *SITE_DIMENSIONS])
# Buckets from eight hours to a week, told apart likewise.
owners = _buckets("log_usage_owners", ["span", "bucket", "retained", *OWNER_DIMENSIONS])
dialects.answering("log_usage_hourly_user", hourly.c.user_id, hourly.c.bucket)
Index("log_usage_hourly_username", hourly.c.username, hourly.c.bucket)

# Rows and tokens of the last minutes, second by second. Who writes at the same time as others has rows of
# their own.
recent = Table(
    "log_usage_recent",
    metadata,
    *_key(["second", "writer", *RECENT_DIMENSIONS]),
    _number("rows"),
    _number("tokens"),
    **dialects.CLUSTERED,
)

users = Table(
    "log_users",
    metadata,
    Column("id", dialects.BigKey, primary_key=True, autoincrement=False),
    _text("username"),
    Column("role", dialects.PlainText, nullable=False, server_default="user"),
    # The SHA-256 of the access token in hex; null for somebody who is known from events only.
    Column("access_token_hash", Text, unique=True),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    _number("created_at"),
    # What the gateway that was imported said of it last, as JSON; null for whom no gateway knows.
    Column("gateway", dialects.PlainText),
)
Index("log_users_username", users.c.username)

tokens = Table(
    "log_tokens",
    metadata,
    Column("id", dialects.BigKey, primary_key=True, autoincrement=False),
    _text("name"),
    _number("user_id"),
    # The SHA-256 of the API key in hex; null for a token that never showed its key.
    Column("key_hash", Text, unique=True),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    _number("created_at"),
    Column("gateway", dialects.PlainText),
)
Index("log_tokens_user", tokens.c.user_id, tokens.c.name)

idempotency = Table(
    "log_idempotency",
    metadata,
    # The SHA-256 of principal, route and key: nothing a client sent is kept in the clear.
    Column("key_hash", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
)
Index("log_idempotency_created", idempotency.c.created_at)

marks = Table(
    "log_marks",
    metadata,
    # Work of which only one may be under way, who does it, and when the mark of a killed one expires.
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    # How far the work is, as JSON; null for work that does not say.
    Column("progress", dialects.PlainText),
)

retained = Table(
    "log_retained",
    metadata,
    Column("id", dialects.BigKey, primary_key=True, autoincrement=True),
    # Which rows usage without rows stems from, some at a time: how that usage is marked in the buckets, their
    # type, the lowest and the highest of their ids, and packed what each is known by should it come back.
    Column("retained", BigInteger, nullable=False),
    Column("type", BigInteger, nullable=False),
    Column("first_id", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("packed", LargeBinary, nullable=False),
)
Index("log_retained_first", retained.c.first_id)

imports = Table(
    "log_imports",
    metadata,
    # What was imported: the kind of source, and as JSON how it is known again and how far it was taken.
    Column("id", dialects.BigKey, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("state", dialects.PlainText, nullable=False),
)
