"""What the catalog of an engine says about a table, in the words of FACTS.md; and what FACTS.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, text

FACTS = Path(__file__).parent / "FACTS.md"
#: The other names that catalogs have for types.
ALIASES = {
    "timestamp with time zone": "timestamptz",
    "character varying": "varchar",
    "character": "char",
    "bigint(20)": "bigint",
}
_QUERIES = {
    # A primary key that counts by itself is never NULL, whatever this table says.
    "sqlite": 'SELECT name, type, dflt_value, NOT ("notnull" OR pk) FROM pragma_table_info(:table)',
    "postgresql": """
        SELECT attname, format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid), NOT attnotnull
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = to_regclass(:table) AND attnum > 0
    """,
    "mysql": """
        SELECT column_name, column_type, column_default, is_nullable = 'YES'
        FROM information_schema.columns WHERE table_schema = database() AND table_name = :table
    """,
}


class Known(NamedTuple):
    """What is known of a column: the name of its type, its default as SQL, and whether it takes NULL."""

    type: str
    default: str | None
    nullable: bool


def catalog(engine: Engine, table: str) -> dict[str, Known]:
    """Return the columns of a table in the database."""
    with engine.connect() as connection:
        found = connection.execute(text(_QUERIES[engine.name]), {"table": table}).all()
    return {
        name: Known(_type(kind), _default(default, _type(kind)), bool(nullable))
        for name, kind, default, nullable in found
    }


def facts(flavour: str, engine: str, table: str) -> dict[str, Known]:
    """Return the columns of a table as FACTS.md has them."""
    sections = dict(re.findall(r"^#+ (.+?)\n(.+?)(?=^#|\Z)", FACTS.read_text(), re.MULTILINE | re.DOTALL))
    kinds = {row["kind"]: row for row in _rows(sections["Engines"])}
    place = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL"}[engine]
    known = {}
    for row in _rows(sections[f"`{table}`"]):
        if row[flavour] == "x":
            kind = row["kind"]
            default = row["default"].strip("`") or None
            stated = kinds[kind][place] if kind in kinds else kind
            if engine == "mysql" and stated == "json":
                stated = "longtext"  # as MariaDB has it
            known[row["column"].strip("`")] = Known(stated, default, row["null"] == "yes")
    return known


def _rows(section: str) -> Iterator[dict[str, str]]:
    lines = [line for line in section.splitlines() if line.startswith("|")]
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return (dict(zip(names, row, strict=True)) for row in rows)


def _type(name: str) -> str:
    name = name.lower()
    for other, ours in ALIASES.items():
        name = name.replace(other, ours)
    return name


def _default(default: str | None, kind: str) -> str | None:
    """Return a default without the casts of PostgreSQL; a primary key's own sequence is none."""
    if default is None or default == "NULL" or default.startswith("nextval"):
        return None
    if kind == "tinyint(1)":
        return {"0": "false", "1": "true"}[default]
    return re.sub(r"^'(-\d+)'$", r"\1", re.sub(r"::[a-z ()0-9]+$", "", default))
