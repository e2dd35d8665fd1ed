"""Expressions and statements that the engines spell differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    Join,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect as EngineDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator

from .schema import BLOCK_BITS

_INSERTS: Mapping[str, Callable[[Table], Any]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
_GLOB = str.maketrans({"*": "[*]", "?": "[?]", "[": "[[]", "%": "*"})
_LIKE = str.maketrans({"\\": "\\\\", "_": "\\_"})
_LIKE_PART = str.maketrans({"\\": "\\\\", "_": "\\_", "%": "\\%"})


class _Pattern(TypeDecorator[str]):
    """A text in which only `%` is special, sent as the pattern that the engine matches case-sensitively."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: EngineDialect) -> str | None:
        if value is None:
            return None
        return value.translate(_GLOB if dialect.name == "sqlite" else _LIKE)


class _Part(TypeDecorator[str]):
    """A text that is looked for inside another, sent as it is or as the pattern of it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: EngineDialect) -> str | None:
        if value is None or dialect.name == "sqlite":
            return value
        return f"%{value.translate(_LIKE_PART)}%"


class matches(FunctionElement[bool]):
    """`matches(column, name)`: the text fits the pattern given as a parameter, `%` standing for any run."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[str], name: str) -> None:
        super().__init__(column, bindparam(name, type_=_Pattern()))


class contains(FunctionElement[bool]):
    """`contains(column, name)`: the text given as a parameter stands somewhere in the column's."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[str], name: str) -> None:
        super().__init__(column, bindparam(name, type_=_Part()))


class along_index(FunctionElement[bool]):
    """`along_index(row_id, low, high)`: the row id is from one bound up to, not including, the other.

    A bound is the name of a parameter, or a column.

    To be used where an index that `schema.newest_first` made serves the rows: it may go by blocks of ids.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(
        self, row_id: ColumnElement[int], low: str | ColumnElement[int], high: str | ColumnElement[int]
    ) -> None:
        bounds = [bindparam(end, type_=BigInteger()) if isinstance(end, str) else end for end in (low, high)]
        super().__init__(row_id, *bounds)

    def self_group(self, against: OperatorType | None = None) -> along_index:
        """Stand as it is between conditions: SQLite could not use the index for what is compared with 1."""
        return self


class newest_along_index(FunctionElement[int]):
    """`ORDER BY newest_along_index(row_id)`: by row id, newest first, as an index by blocks gives it."""

    type = BigInteger()
    inherit_cache = True


#: What a list of ranges says of each: which of several tables answers for it, and what it belongs to.
_RANGE = ("place", "step", "low", "high")


class _Ranges(FunctionElement[Any]):
    """The rows of a list of ranges that is given as one parameter."""

    inherit_cache = True

    def __init__(self, name: str) -> None:
        super().__init__(bindparam(name, type_=Text()))


class InOrder(Join):
    """A join of which the left side is read first, and the right one once for each of its rows."""

    inherit_cache = True


def ranges(name: str) -> CTE:
    """Return the rows of a parameter: JSON, an array of `[place, step, low, high]`, all whole numbers."""
    columns = [column(part, BigInteger()) for part in _RANGE]
    given = _Ranges(name).table_valued(*columns)
    return select(*given.c).cte("ranges").prefix_with("MATERIALIZED")


class oldest_along_index(FunctionElement[int]):
    """`ORDER BY oldest_along_index(row_id)`: the same, oldest first."""

    type = BigInteger()
    inherit_cache = True


class json_line(FunctionElement[str]):
    """`json_line(*columns)`: a row as an object of JSON, without spaces, by the labels of its columns."""

    type = Text()
    inherit_cache = True


class joined_lines(FunctionElement[Any]):
    """`joined_lines(column)`: the texts of all rows in their order, each as a line; None for no rows.

    The driver gives them as text or as bytes.
    """

    inherit_cache = True


def _spelt(element: FunctionElement[bool], compiler: Any, spelling: str, **options: Any) -> str:
    left, right = (compiler.process(clause, **options) for clause in element.clauses)
    return spelling.format(left, right)


@compiles(matches, "sqlite")
def _matches_sqlite(element: matches, compiler: Any, **options: Any) -> str:
    return _spelt(element, compiler, "{} GLOB {}", **options)


@compiles(contains, "sqlite")
def _contains_sqlite(element: contains, compiler: Any, **options: Any) -> str:
    return _spelt(element, compiler, "instr({}, {}) > 0", **options)


@compiles(matches)
@compiles(contains)
def _like(element: matches | contains, compiler: Any, **options: Any) -> str:
    return _spelt(element, compiler, "{} LIKE {}", **options)


@compiles(along_index, "sqlite")
def _along_index_sqlite(element: along_index, compiler: Any, **options: Any) -> str:
    row_id, low, high = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{row_id} >= {low} AND {row_id} < {high}"


@compiles(along_index)
def _along_index(element: along_index, compiler: Any, **options: Any) -> str:
    row_id, low, high = (compiler.process(clause, **options) for clause in element.clauses)
    block = f"{row_id} >> {BLOCK_BITS}"
    blocks = f"{block} >= {low} >> {BLOCK_BITS} AND {block} <= {high} >> {BLOCK_BITS}"
    # Without the sum the planner would read the whole range from the primary key as well.
    return f"{blocks} AND {row_id} + 0 >= {low} AND {row_id} + 0 < {high}"


@compiles(_Ranges, "sqlite")
def _ranges_sqlite(element: _Ranges, compiler: Any, **options: Any) -> str:
    given = compiler.process(element.clauses, **options)
    cells = (f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(_RANGE))
    return f"(SELECT {', '.join(cells)} FROM json_each({given}))"  # nosec B608 # the parameter's name


@compiles(_Ranges)
def _ranges(element: _Ranges, compiler: Any, **options: Any) -> str:
    given = compiler.process(element.clauses, **options)
    cells = (f"CAST(value ->> {place} AS BIGINT) AS {name}" for place, name in enumerate(_RANGE))
    source = f"jsonb_array_elements(CAST({given} AS JSONB)) AS given(value)"
    return f"(SELECT {', '.join(cells)} FROM {source})"  # nosec B608 # the parameter's name


@compiles(InOrder, "sqlite")
def _in_order_sqlite(element: InOrder, compiler: Any, *, asfrom: bool = False, **options: Any) -> str:
    """Spell the join so that the planner leaves its order alone."""
    left, right = (compiler.process(side, asfrom=True, **options) for side in (element.left, element.right))
    return f"{left} CROSS JOIN {right} ON {compiler.process(element.onclause, **options)}"


@compiles(newest_along_index, "sqlite")
def _newest_along_index_sqlite(element: newest_along_index, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.clauses, **options)} DESC"


@compiles(newest_along_index)
def _newest_along_index(element: newest_along_index, compiler: Any, **options: Any) -> str:
    row_id = compiler.process(element.clauses, **options)
    return f"{row_id} >> {BLOCK_BITS} DESC, {row_id} DESC"


@compiles(oldest_along_index, "sqlite")
def _oldest_along_index_sqlite(element: oldest_along_index, compiler: Any, **options: Any) -> str:
    spelled: str = compiler.process(element.clauses, **options)
    return spelled


@compiles(oldest_along_index)
def _oldest_along_index(element: oldest_along_index, compiler: Any, **options: Any) -> str:
    row_id = compiler.process(element.clauses, **options)
    return f"{row_id} >> {BLOCK_BITS}, {row_id}"


@compiles(json_line, "sqlite")
def _json_line_sqlite(element: json_line, compiler: Any, **options: Any) -> str:
    pairs = (f"'{column.name}', {_json_sqlite(column, compiler, **options)}" for column in element.clauses)
    return f"json_object({', '.join(pairs)})"


def _json_sqlite(column: ColumnElement[Any], compiler: Any, **options: Any) -> str:
    value: str = compiler.process(column, **options)
    if isinstance(column.type, Boolean):
        return f"CASE WHEN {value} THEN json('true') ELSE json('false') END"
    return value


@compiles(json_line)
def _json_line(element: json_line, compiler: Any, **options: Any) -> str:
    """Spell it with the function that takes rows: the one that takes pairs writes spaces."""
    cells = (
        f"{compiler.process(column, **options)} AS {compiler.preparer.quote(column.name)}"
        for column in element.clauses
    )
    row = f"(SELECT {', '.join(cells)}) AS line"
    return f"(SELECT CAST(row_to_json(line) AS TEXT) FROM {row})"  # nosec B608 # columns


@compiles(joined_lines, "sqlite")
def _joined_lines_sqlite(element: joined_lines, compiler: Any, **options: Any) -> str:
    """Spell it as bytes: a text would be decoded by the driver, only to be encoded again."""
    lines = compiler.process(element.clauses, **options)
    return f"CAST(group_concat({lines}, char(10)) || char(10) AS BLOB)"


@compiles(joined_lines)
def _joined_lines(element: joined_lines, compiler: Any, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, chr(10)) || chr(10)"


def total(expression: ColumnElement[int], *, where: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    """Return the sum of a column, over the rows that `where` picks if given, as a 64-bit integer.

    It is 0 for no rows. (PostgreSQL's own sum is a Decimal.)
    """
    summed = func.sum(expression)
    return cast(
        func.coalesce(summed if where is None else summed.filter(where), literal_column("0")), BigInteger
    )


def add_up(name: str, table: Table, source: Select[*tuple[Any, ...]] | None = None) -> Any:
    """Return the statement that adds rows to a table of sums: new keys are inserted, known ones added to.

    The rows come from `source`, whose columns are those of the table in order, or are given at execution.
    """
    statement = _INSERTS[name](table)
    if source is not None:
        statement = statement.from_select([column.name for column in table.c], source)
    measures = [column.name for column in table.c if not column.primary_key]
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={measure: table.c[measure] + statement.excluded[measure] for measure in measures},
    )
