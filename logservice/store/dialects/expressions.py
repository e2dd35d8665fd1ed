"""Expressions and statements that the engines spell differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Select, Table, Text, bindparam, cast, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect as EngineDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

_INSERTS: Mapping[str, Callable[[Table], Any]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
_GLOB = str.maketrans({"*": "[*]", "?": "[?]", "[": "[[]", "%": "*"})
_LIKE = str.maketrans({"\\": "\\\\", "_": "\\_"})


class Pattern(TypeDecorator[str]):
    """A text in which only `%` is special, sent as the pattern that the engine matches case-sensitively."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: EngineDialect) -> str | None:
        if value is None:
            return None
        return value.translate(_GLOB if dialect.name == "sqlite" else _LIKE)


class matches(FunctionElement[bool]):
    """`matches(column, pattern)`: the text equals the pattern, `%` standing for any run of characters."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[str], pattern: str) -> None:
        super().__init__(column, bindparam(None, pattern, type_=Pattern(), unique=True))


class contains_folded(FunctionElement[bool]):
    """`contains_folded(column, folded)`: the case-folded text contains `folded`, itself case-folded."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[str], folded: str) -> None:
        super().__init__(column, bindparam(None, folded, type_=Text(), unique=True))


def _operator(element: FunctionElement[bool], compiler: Any, spelling: str, **options: Any) -> str:
    left, right = (compiler.process(clause, **options) for clause in element.clauses)
    return spelling.format(left, right)


@compiles(matches, "sqlite")
def _matches_sqlite(element: matches, compiler: Any, **options: Any) -> str:
    return _operator(element, compiler, "{} GLOB {}", **options)


@compiles(matches)
def _matches(element: matches, compiler: Any, **options: Any) -> str:
    return _operator(element, compiler, "{} LIKE {}", **options)


@compiles(contains_folded, "sqlite")
def _contains_sqlite(element: contains_folded, compiler: Any, **options: Any) -> str:
    return _operator(element, compiler, "log_contains_folded({}, {})", **options)


def total(expression: ColumnElement[int]) -> ColumnElement[int]:
    """Return the sum of a column, 0 for no rows, as a 64-bit integer (PostgreSQL's own sum is a Decimal)."""
    return cast(func.coalesce(func.sum(expression), 0), BigInteger)


def add_up(
    name: str, table: Table, measures: tuple[str, ...], source: Select[*tuple[Any, ...]] | None = None
) -> Any:
    """Return the statement that adds rows to a table of sums: new keys are inserted, known ones added to.

    The rows come from `source`, whose columns are those of the table in order, or are given at execution.
    """
    statement = _INSERTS[name](table)
    if source is not None:
        statement = statement.from_select([column.name for column in table.c], source)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={measure: table.c[measure] + statement.excluded[measure] for measure in measures},
    )
