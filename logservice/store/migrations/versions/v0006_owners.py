"""Usage by users and tokens in buckets from eight hours to a week; the site's of eight hours, not six."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    Table,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
)

from logservice.store import dialects

revision = "0006"
down_revision = "0005"

_HOUR, _WEEK = 3600, 604800
_SIX_HOURS, _EIGHT_HOURS = 21600, 28800
_SPANS = (_EIGHT_HOURS, 86400, _WEEK)
_TEXTS = ("username", "token_name")
_KEY = ("type", "user_id", "username", "token_id", "token_name")
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


def upgrade() -> None:
    """Add a table and fill it, week by week; add up the site's hours anew."""
    connection = op.get_bind()
    hourly, site = (
        Table(f"log_usage_{name}", MetaData(), autoload_with=connection) for name in ("hourly", "site")
    )
    owners = _owners()
    owners.create(connection)
    for week in _weeks(connection, hourly):
        _add_up(connection, owners, hourly, week, _SPANS[0])
        for finer, span in pairwise(_SPANS):
            _add_up(connection, owners, owners, week, span, finer=finer)
        _add_up(connection, site, site, week, _EIGHT_HOURS, finer=_HOUR, names=_SITE_KEY)
    connection.execute(delete(site).where(site.c.span == _SIX_HOURS))


def _owners() -> Table:
    keys: list[Column[Any]] = [
        Column(
            name,
            dialects.PlainText if name in _TEXTS else BigInteger,
            primary_key=True,
            autoincrement=False,
        )
        for name in ("span", "bucket", "retained", *_KEY)
    ]
    sums = (Column(name, BigInteger, nullable=False, server_default="0") for name in _MEASURES)
    return Table("log_usage_owners", MetaData(), *keys, *sums, **dialects.CLUSTERED)


def _weeks(connection: Connection, hourly: Table) -> Iterator[int]:
    """Yield the start of each week that has usage, so that what is added up at once fits into memory."""
    found = connection.scalar(select(func.min(hourly.c.bucket)))
    while found is not None:
        low = found - found % _WEEK
        yield low
        found = connection.scalar(select(func.min(hourly.c.bucket)).where(hourly.c.bucket >= low + _WEEK))


def _add_up(
    connection: Connection,
    target: Table,
    source: Table,
    week: int,
    span: int,
    *,
    finer: int | None = None,
    names: Sequence[str] = _KEY,
) -> None:
    """Add up the buckets of a week, those of a `finer` span where the source has several, by longer spans."""
    bucket = source.c.bucket - source.c.bucket % literal_column(str(span))
    keys = [bucket, source.c.retained, *(source.c[name] for name in names)]
    sums = [cast(func.sum(source.c[name]), BigInteger) for name in _MEASURES]
    found = select(literal_column(str(span)), *keys, *sums).group_by(*keys)
    found = found.where(source.c.bucket >= week, source.c.bucket < week + _WEEK)
    found = found if finer is None else found.where(source.c.span == finer)
    connection.execute(insert(target).from_select([column.name for column in target.c], found))
