"""How much of its files a log on PostgreSQL really uses.

Deleting leaves dead rows, and vacuum turns them into room for new ones: the files hardly ever get smaller. So
what a table takes is estimated as its size, indexes included, times the share of its pages that its rows
would fill: their number times their average width, read from some of its pages. A part of an index that
deleted rows leave empty counts as free likewise.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, literal, literal_column, select, table, text

#: Tables that hold nearly all of the log; the others are taken as they are.
_LARGE = ("log_records", "log_contents", "log_usage_hourly", "log_usage_site", "log_usage_owners")
#: Pages that are read to learn how wide rows are: about a tenth of a second.
_PAGES = 2_000

# A table, and its partitions if it has any.
_FILES = text("""
    SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS BIGINT),
           CAST(coalesce(sum(pg_table_size(oid)), 0) AS BIGINT)
    FROM pg_class
    WHERE oid = to_regclass(:name)
       OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(:name))
""")
_BLOCK = text("SELECT CAST(current_setting('block_size') AS BIGINT)")
# A row takes the width of its values and its header, in steps of eight bytes, and a pointer of four.
_WIDTH = func.avg(literal_column("(pg_column_size(one.*) + 7) / 8 * 8 + 4"))

#: What each table takes with its indexes, in bytes.
SIZES = text("""
    SELECT relname, pg_total_relation_size(oid) AS size FROM pg_class
    WHERE relkind = 'r' AND relname LIKE 'log\\_%' AND pg_table_is_visible(oid) ORDER BY relname
""")


def unused(connection: Connection, *, rows: int) -> int:
    """Return about how many bytes of the large tables are free or dead; `rows` are in `log_records`."""
    return sum(_unused(connection, name, rows if name == "log_records" else None) for name in _LARGE)


def _unused(connection: Connection, name: str, rows: int | None) -> int:
    total, heap = connection.execute(_FILES, {"name": name}).one()
    number = _count(connection, name) if rows is None else rows
    if not number or not heap:
        return int(total)
    share = number * _width(connection, name, heap) / heap
    return int(total * max(1 - share, 0))


def _count(connection: Connection, name: str) -> int:
    return connection.scalar(select(func.count()).select_from(table(name))) or 0


def _width(connection: Connection, name: str, heap: int) -> float:
    """Return the average width of rows on some of the pages, or on all where those hold none."""
    block = connection.scalar(_BLOCK) or 0
    for percent in (min(100.0, 100 * _PAGES * block / heap), 100.0):
        sampled = table(name).tablesample(func.system(percent), name="one", seed=literal(0))
        width = connection.scalar(select(_WIDTH).select_from(sampled))
        if width is not None:
            return float(width)
    return 0.0
