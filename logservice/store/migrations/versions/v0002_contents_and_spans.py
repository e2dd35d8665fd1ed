"""Contents in a table of their own, once an hour; site buckets of five spans instead of days only.

Rows are copied into a new table hour by hour and added up week by week, so that an old log of many years is
brought up in the memory that its fullest week takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    MetaData,
    Sequence,
    Table,
    and_,
    case,
    cast,
    false,
    func,
    insert,
    literal_column,
    select,
)

from logservice.store import dialects

revision = "0002"
down_revision = "0001"

_HOUR = 3600
_HOUR_IDS = _HOUR << 21
_WEEK_IDS = 7 * 24 * _HOUR_IDS
_BATCH = 10_000
_SPANS = (900, 3600, 21600, 86400, 604800)
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
_NUMBERS = (
    *("type", "user_id", "token_id", "channel_id", "quota", "prompt_tokens", "completion_tokens"),
    *("cached_tokens", "use_time_ms", "first_token_ms", "content_id"),
)
_TEXTS = ("username", "token_name", "model_name", "group", "ip", "request_id", "channel_name", "other")


def upgrade() -> None:
    """Copy the rows and their contents, and add up the new buckets."""
    connection = op.get_bind()
    metadata = MetaData()
    contents, records, site = _contents(metadata), _records(metadata), _site(metadata)
    Sequence("log_sequence", start=0, minvalue=0, maxvalue=2**21 - 1, cycle=True, metadata=metadata)
    _drop_indexes()
    hourly = Table("log_usage_hourly", metadata, autoload_with=connection)
    dialects.answering("log_usage_hourly_user", hourly.c.user_id, hourly.c.bucket)
    op.rename_table("log_records", "log_records_old")
    metadata.create_all(connection)
    for index in hourly.indexes:
        index.create(connection, checkfirst=True)
    old = Table("log_records_old", MetaData(), autoload_with=connection)
    for rows in _hours(connection, old):
        _copy(connection, rows, records, contents)
    op.drop_table("log_records_old")
    _add_up(connection, records, site)
    op.drop_table("log_usage_daily")
    op.execute("DROP TABLE IF EXISTS log_content_index")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _text(name: str) -> Column[str]:
    return Column(name, dialects.PlainText, nullable=False, server_default="")


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


def _id() -> Column[int]:
    return Column("id", dialects.BigKey, primary_key=True, autoincrement=False)


def _contents(metadata: MetaData) -> Table:
    folded = Column("folded", dialects.PlainText)
    key = (_id(), _number("hour"), _number("digest"))
    contents = Table("log_contents", metadata, *key, _flag("shared"), _text("content"), folded)
    Index("log_contents_digest", contents.c.hour, contents.c.digest)
    return contents


def _records(metadata: MetaData) -> Table:
    columns: list[Column[Any]] = [_id(), *map(_number, _NUMBERS), _flag("is_stream"), *map(_text, _TEXTS)]
    records = Table("log_records", metadata, *columns)
    dialects.newest_first("log_records_user", records.c.user_id)
    dialects.newest_first("log_records_token", records.c.token_id, records.c.token_id != 0)
    dialects.newest_first("log_records_request", records.c.request_id, records.c.request_id != "")
    return records


def _site(metadata: MetaData) -> Table:
    keys: list[Column[Any]] = [
        Column(
            key,
            dialects.PlainText if key in ("model_name", "group") else BigInteger,
            primary_key=True,
            autoincrement=False,
        )
        for key in ("span", "bucket", "retained", *_SITE_KEY)
    ]
    return Table("log_usage_site", metadata, *keys, *map(_number, _MEASURES), **dialects.CLUSTERED)


def _drop_indexes() -> None:
    """The new table's indexes have the same names."""
    for name in ("records_user", "records_token", "records_request", "usage_hourly_user"):
        op.execute(f"DROP INDEX log_{name}")


def _hours(connection: Connection, old: Table) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each hour that has any, oldest first."""
    low = 0
    while True:
        first = connection.scalar(select(old.c.id).where(old.c.id >= low).order_by(old.c.id).limit(1))
        if first is None:
            return
        low = first - first % _HOUR_IDS + _HOUR_IDS
        rows = select(old).where(old.c.id >= first, old.c.id < low).order_by(old.c.id)
        yield [dict(row) for row in connection.execute(rows).mappings()]


def _copy(connection: Connection, rows: list[dict[str, Any]], records: Table, contents: Table) -> None:
    bearers: dict[str, list[int]] = {}
    for row in rows:
        if row["content"]:
            bearers.setdefault(row["content"], []).append(row["id"])
    for row in rows:
        row["content_id"] = bearers.get(row.pop("content"), [0])[0]
    new = [
        {
            "id": ids[0],
            "hour": (ids[0] >> 21) // _HOUR * _HOUR,
            "digest": _digest(said),
            "shared": len(ids) > 1,
            "content": said,
            "folded": _folded(said),
        }
        for said, ids in bearers.items()
    ]
    for start in range(0, len(new), _BATCH):
        connection.execute(insert(contents), new[start : start + _BATCH])
    for start in range(0, len(rows), _BATCH):
        connection.execute(insert(records), rows[start : start + _BATCH])


def _digest(said: str) -> int:
    return int.from_bytes(blake2b(said.encode(), digest_size=8).digest(), signed=True)


def _folded(said: str) -> str | None:
    folded = said.casefold()
    return None if folded == said else folded


def _add_up(connection: Connection, records: Table, site: Table) -> None:
    """Add up quarters from the rows, and from the usage kept in the hourly table; then what is longer."""
    second = records.c.id.op(">>")(literal_column("21"))
    calls = case((records.c.type.in_((2, 4)), 1), else_=0)
    # A cast, for GROUP BY takes a bare number for the place of a column.
    present = cast(literal_column("0"), BigInteger)
    of_one = {"bucket": second, "retained": present, "rows": literal_column("1"), "requests": calls}
    for low in _weeks(connection, records):
        week = [records.c.id >= low, records.c.id < low + _WEEK_IDS]
        _insert_sums(connection, site, records, 900, where=and_(*week), **of_one)
    hourly = Table("log_usage_hourly", MetaData(), autoload_with=connection)
    _insert_sums(connection, site, hourly, 900, where=hourly.c.retained == 1)
    for finer, span in pairwise(_SPANS):
        _insert_sums(connection, site, site, span, where=site.c.span == finer)


def _weeks(connection: Connection, records: Table) -> Iterator[int]:
    """Yield the first id of each week that has rows, so that what is added up at once fits into memory."""
    found = connection.scalar(select(func.min(records.c.id)))
    while found is not None:
        low = found - found % _WEEK_IDS
        yield low
        found = connection.scalar(select(func.min(records.c.id)).where(records.c.id >= low + _WEEK_IDS))


def _insert_sums(
    connection: Connection,
    site: Table,
    source: Table,
    span: int,
    where: ColumnElement[bool] | None = None,
    **expressions: Any,
) -> None:
    """Add up a table by spans of so many seconds; `expressions` stand for columns that it does not have."""
    columns = {**source.c, **expressions}
    bucket = columns["bucket"] - columns["bucket"] % literal_column(str(span))
    keys = [bucket, columns["retained"], *(columns[name] for name in _SITE_KEY)]
    sums = [cast(func.sum(columns[name]), BigInteger) for name in _MEASURES]
    found = select(literal_column(str(span)), *keys, *sums).group_by(*keys)
    found = found if where is None else found.where(where)
    connection.execute(insert(site).from_select([column.name for column in site.c], found))
