"""The one table of rows, as statements see it and as a server is told to make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ColumnElement, MetaData, Table, Text, func, literal_column
from sqlalchemy.types import TypeEngine

from .. import idempotency, ids, tables
from ..buckets import QUARTER


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def quoted(name: str) -> str:
    """Return a name as statements have it."""
    inner = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{inner}`"


# What is stored of a row: the columns of the SQL table, with the content itself in place of its id, the
# second that ids begin with, and the case-folded content where that differs.
_TEXTS = ("username", "token_name", "model_name", "group", "ip", "request_id", "channel_name", "other")
_NUMBERS = tuple(
    column.name
    for column in tables.records.c
    if isinstance(column.type, BigInteger) and column.name not in ("id", "content_id")
)


def _column(name: str, kind: TypeEngine[Any]) -> Column[Any]:
    return Column(name, kind, nullable=False)


records = Table(
    "log_records",
    MetaData(),
    _column("id", BigInteger()),
    _column("created_at", BigInteger()),
    *(_column(name, BigInteger()) for name in _NUMBERS),
    _column("is_stream", Boolean()),
    *(_column(name, Text()) for name in _TEXTS),
    _column("content", Text()),
    _column("folded", Text()),
)
COLUMNS = tuple(column.name for column in records.c)

#: What a keyword is looked for in.
searched: ColumnElement[str] = func.if_(
    records.c.folded == literal_column("''"), records.c.content, records.c.folded
)

# How each column is kept. Names are few; numbers are mostly small, and those next to each other are alike.
_KINDS = {
    "id": "Int64 CODEC(DoubleDelta, ZSTD(1))",
    "created_at": "UInt32 CODEC(DoubleDelta, ZSTD(1))",
    "is_stream": "Bool",
    **dict.fromkeys(_NUMBERS, "Int64 CODEC(T64, ZSTD(1))"),
    **dict.fromkeys(("username", "token_name", "model_name", "group"), "LowCardinality(String)"),
    **dict.fromkeys(
        ("ip", "request_id", "channel_name", "other", "content", "folded"), "String CODEC(ZSTD(1))"
    ),
    "channel_name": "LowCardinality(String)",
}
# What leads past the blocks of rows that hold none of a value.
_INDEXES = (
    "INDEX log_records_user user_id TYPE bloom_filter(0.01) GRANULARITY 1",
    "INDEX log_records_token token_id TYPE bloom_filter(0.01) GRANULARITY 1",
    "INDEX log_records_request request_id TYPE bloom_filter(0.01) GRANULARITY 1",
    "INDEX log_records_searched if(folded = '', content, folded) TYPE ngrambf_v1(3, 16384, 3, 0)",
)
_SUMMED = ("quota", "prompt_tokens", "completion_tokens", "cached_tokens", "use_time_ms")


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums that the engine keeps beside each part of the rows, and reads in place of rows by itself.

    It does so where a statement asks for spans of so many `seconds`, some of the `dimensions` and the sums,
    and for nothing else. They are in the order of what is `leading`, and of time.
    """

    name: str
    seconds: int
    dimensions: tuple[str, ...]
    leading: tuple[str, ...] = ()

    @property
    def projection(self) -> str:
        """What makes the table have them."""
        rest = (quoted(name) for name in self.dimensions if name not in self.leading)
        span = f"intDiv(created_at, {self.seconds})"
        keys = ", ".join((*map(quoted, self.leading), span, *rest))
        sums = ", ".join(f"sum({name})" for name in _SUMMED)
        return f"PROJECTION {self.name} (SELECT {keys}, count(), min(created_at), {sums} GROUP BY {keys})"


#: By what the whole site is told apart by, in the order of time; and by what tells who used something.
SUMS = (
    Sums("log_records_site", QUARTER, tables.SITE_DIMENSIONS),
    Sums("log_records_owners", ids.HOUR, tables.OWNER_DIMENSIONS, leading=("user_id",)),
)
#: The same as the driver takes them, in the order of COLUMNS.
KINDS = tuple(_KINDS[name].partition(" CODEC")[0] for name in COLUMNS)
# A block is answered once it is on disk, as the servers do not wait for by themselves.
_DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1"
#: Blocks whose tokens a table without replicas remembers, so that one that comes again is not stored again.
REMEMBERED_BLOCKS = 10_000


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows lie: in a table of one server, or in parts of a table on all servers of a cluster."""

    database: str
    cluster: str | None = None

    @property
    def stored(self) -> str:
        """The name of the table that has rows itself."""
        return records.name if self.cluster is None else f"{records.name}_local"

    @property
    def everywhere(self) -> str:
        """What follows the name of a table in a statement that every server is to carry out."""
        return "" if self.cluster is None else f" ON CLUSTER {quoted(self.cluster)}"

    @property
    def bytes_on_disk(self) -> str:
        """The statement that tells bytes and rows on disk, deleted ones included, each shard counted once."""
        parts = "system.parts" if self.cluster is None else f"cluster({quoted(self.cluster)}, system.parts)"
        ours = f"active AND database = '{_escaped(self.database)}' AND table = '{self.stored}'"
        return f"SELECT sum(bytes_on_disk), sum(rows) FROM {parts} WHERE {ours}"  # nosec B608 # names of ours, escaped

    def statements(self) -> Iterator[str]:
        """Yield what creates the database and the tables, those that are missing."""
        yield f"CREATE DATABASE IF NOT EXISTS {quoted(self.database)}{self.everywhere}"
        yield self._table()
        if self.cluster is not None:
            yield self._distributed()

    def _table(self) -> str:
        columns = [f"{quoted(name)} {_KINDS[name]}" for name in COLUMNS]
        if self.cluster is None:
            engine, window = "MergeTree", f"non_replicated_deduplication_window = {REMEMBERED_BLOCKS}"
        else:
            place = f"/clickhouse/tables/{{shard}}/{self.database}/{records.name}"
            engine, window = (
                f"ReplicatedMergeTree('{place}', '{{replica}}')",
                f"replicated_deduplication_window = {REMEMBERED_BLOCKS}, "
                f"replicated_deduplication_window_seconds = {2 * idempotency.REMEMBERED}",
            )
        return (
            f"CREATE TABLE IF NOT EXISTS {self._named(self.stored)}{self.everywhere} "
            f"({', '.join([*columns, *_INDEXES, *(sums.projection for sums in SUMS)])}) ENGINE = {engine} "
            "PARTITION BY toYYYYMM(toDateTime(created_at, 'UTC')) ORDER BY (created_at, id) "
            f"SETTINGS {window}, {_DURABLE}, lightweight_mutation_projection_mode = 'rebuild'"
        )

    def _distributed(self) -> str:
        target = f"{quoted(self.cluster or '')}, {quoted(self.database)}, {quoted(self.stored)}"
        return (
            f"CREATE TABLE IF NOT EXISTS {self._named(records.name)}{self.everywhere} "
            f"AS {self._named(self.stored)} ENGINE = Distributed({target}, user_id)"
        )

    def _named(self, table: str) -> str:
        return f"{quoted(self.database)}.{quoted(table)}"
