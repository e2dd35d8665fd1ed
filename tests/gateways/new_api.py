"""The tables of new-api in April 2025 and in 2026, as far as an importer reads them."""

from __future__ import annotations

from tests.gateways.columns import Column, Table, integer, row_id, short_text, text, truth

_LOG_COLUMNS = (
    row_id(),
    integer("user_id"),
    integer("created_at"),
    integer("type"),
    text("content"),
    short_text("username", ""),
    short_text("token_name", ""),
    short_text("model_name", ""),
    integer("quota", 0),
    integer("prompt_tokens", 0),
    integer("completion_tokens", 0),
    integer("use_time", 0),
)
_LOG_INDEXES = (
    ("id", "created_at"),
    ("user_id",),
    ("created_at", "type"),
    ("username",),
    ("model_name", "username"),
    ("token_name",),
    ("model_name",),
    ("channel_id",),
    ("token_id",),
    ("group",),
)
LOGS_2025 = Table(
    "logs",
    (
        *_LOG_COLUMNS,
        truth("is_stream", "false"),
        integer("channel_id"),
        text("channel_name"),
        integer("token_id", 0),
        short_text("group"),
        text("other"),
    ),
    _LOG_INDEXES,
)
LOGS_2026 = Table(
    "logs",
    (
        *_LOG_COLUMNS,
        truth("is_stream"),
        integer("channel_id"),
        text("channel_name"),
        integer("token_id", 0),
        short_text("group"),
        short_text("ip", ""),
        Column("request_id", "varchar(64)", "''"),
        Column("upstream_request_id", "varchar(128)", "''"),
        text("other"),
    ),
    (*_LOG_INDEXES, ("ip",), ("request_id",), ("upstream_request_id",), ("user_id", "id")),
)

_USER_START = (
    row_id(),
    short_text("username"),
    Column("password", "text", nullable=False),
    short_text("display_name"),
    integer("role", 1),
    integer("status", 1),
    short_text("email"),
    short_text("github_id"),
)
_USER_MIDDLE = (
    short_text("oidc_id"),
    short_text("wechat_id"),
    short_text("telegram_id"),
    Column("access_token", "char(32)"),
    integer("quota", 0),
    integer("used_quota", 0),
    integer("request_count", 0),
    Column("group", "varchar(64)", "'default'"),
    Column("aff_code", "varchar(32)"),
    integer("aff_count", 0),
    integer("aff_quota", 0),
    integer("aff_history", 0),
    integer("inviter_id"),
    Column("deleted_at", "time"),
    short_text("linux_do_id"),
    Column("setting", "plain text"),
)
_USER_INDEXES = (("unique", "username"), ("unique", "access_token"), ("unique", "aff_code"), ("deleted_at",))
USERS_2025 = Table("users", (*_USER_START, *_USER_MIDDLE), _USER_INDEXES)
USERS_2026 = Table(
    "users",
    (
        *_USER_START,
        short_text("discord_id"),
        *_USER_MIDDLE,
        Column("remark", "varchar(255)"),
        Column("stripe_customer", "varchar(64)"),
        integer("created_at"),
        integer("last_login_at", 0),
        Column("auth_version", "plain bigint", "1", nullable=False),
    ),
    _USER_INDEXES,
)

_TOKEN_INDEXES = (("unique", "key"), ("user_id",), ("name",), ("deleted_at",))
_TOKEN_MIDDLE = (
    integer("status", 1),
    short_text("name"),
    integer("created_time"),
    integer("accessed_time"),
    integer("expired_time", -1),
    integer("remain_quota", 0),
)
TOKENS_2025 = Table(
    "tokens",
    (
        row_id(),
        integer("user_id"),
        Column("key", "char(48)"),
        *_TOKEN_MIDDLE,
        truth("unlimited_quota", "false"),
        truth("model_limits_enabled", "false"),
        Column("model_limits", "varchar(1024)", "''"),
        short_text("allow_ips", ""),
        integer("used_quota", 0),
        short_text("group", ""),
        Column("deleted_at", "time"),
    ),
    _TOKEN_INDEXES,
)
TOKENS_2026 = Table(
    "tokens",
    (
        row_id(),
        integer("user_id"),
        Column("key", "varchar(128)"),
        *_TOKEN_MIDDLE,
        truth("unlimited_quota"),
        truth("model_limits_enabled"),
        Column("model_limits", "plain text"),
        short_text("allow_ips", ""),
        integer("used_quota", 0),
        short_text("group", ""),
        truth("cross_group_retry"),
        Column("auto_groups", "plain text"),
        Column("deleted_at", "time"),
    ),
    _TOKEN_INDEXES,
)

_CHANNEL_COLUMNS = (
    row_id(),
    integer("type", 0),
    Column("key", "text", nullable=False),
    text("open_ai_organization"),
    text("test_model"),
    integer("status", 1),
    short_text("name"),
    Column("weight", "unsigned", "0"),
    integer("created_time"),
    integer("test_time"),
    integer("response_time"),
    short_text("base_url", ""),
    text("other"),
    Column("balance", "number"),
    integer("balance_updated_time"),
    text("models"),
    Column("group", "varchar(64)", "'default'"),
    integer("used_quota", 0),
    Column("model_mapping", "plain text"),
    Column("status_code_mapping", "varchar(1024)", "''"),
    integer("priority", 0),
    integer("auto_ban", 1),
    text("other_info"),
    short_text("tag"),
    Column("setting", "plain text"),
    Column("param_override", "plain text"),
)
CHANNELS_2025 = Table("channels", _CHANNEL_COLUMNS, (("name",), ("tag",)))
CHANNELS_2026 = Table(
    "channels",
    (
        *_CHANNEL_COLUMNS,
        Column("header_override", "plain text"),
        Column("remark", "varchar(255)"),
        Column("channel_info", "json"),
        text("settings"),
    ),
    (("name",), ("tag",)),
)

#: One row says which version of new-api made the database; one-api has no such table.
SETUPS = Table(
    "setups",
    (
        row_id("unsigned id"),
        Column("version", "varchar(50)", nullable=False),
        Column("initialized_at", "plain bigint", nullable=False),
    ),
)
TABLES_2025 = (LOGS_2025, USERS_2025, TOKENS_2025, CHANNELS_2025, SETUPS)
TABLES_2026 = (LOGS_2026, USERS_2026, TOKENS_2026, CHANNELS_2026, SETUPS)
