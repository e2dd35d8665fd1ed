"""Statements built and compiled once, then run by the driver itself.

A statement depends on the shape of a question (which filters, which tables), not on its values. Building one
costs several times what running it does, so each is built on first use, for each shape and each engine, and
kept as text. Values travel as parameters, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Protocol, cast

from sqlalchemy import ClauseElement, ColumnElement, Executable, PoolProxiedConnection, literal_column
from sqlalchemy.engine import Dialect as EngineDialect
from sqlalchemy.sql.compiler import SQLCompiler

Shape = ParamSpec("Shape")
Row = tuple[Any, ...]

#: Statements kept by one builder. There are a few dozen shapes in use; a stranger cannot fill the memory.
_MOST_KEPT = 500


@dataclass(frozen=True, slots=True)
class Compiled:
    """The text of a statement, its parameters in order or None where the driver takes them by name.

    `fixed` are values written into the statement; `converted` says how a parameter becomes what the engine
    expects; `unpack` makes rows of what it gives, where that is something else.
    """

    sql: str
    order: tuple[str, ...] | None
    fixed: Mapping[str, Any]
    converted: Mapping[str, Callable[[Any], Any]]
    unpack: Callable[[Sequence[Row]], list[Row]] | None

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """Return the values as the driver takes them."""
        given = {**self.fixed, **values}
        for name, convert in self.converted.items():
            given[name] = convert(given[name])
        return given if self.order is None else [given[name] for name in self.order]


class Reader(Protocol):
    """What statements run on: a connection of SQLAlchemy, or a driver's with no more than is needed here."""

    @property
    def dialect(self) -> EngineDialect:
        """The engine's way of speaking."""

    @property
    def connection(self) -> Any:
        """The driver's connection, as the pool gave it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A driver's connection in a transaction that reads one state of the database."""

    dialect: EngineDialect
    connection: PoolProxiedConnection


class Packed(Executable, ClauseElement):
    """A statement whose rows an engine may give in a form of its own."""

    def unpack(self, dialect: EngineDialect) -> Callable[[Sequence[Row]], list[Row]] | None:
        """Return what makes rows of what an engine gives; None, as here, where it gives rows."""
        return None


class prepared(Generic[Shape]):
    """Decorates a function that builds a statement from hashable arguments.

    Called with a connection, values by name and the arguments of the builder, it runs the statement and
    returns its rows. Driver errors pass unchanged.
    """

    def __init__(self, build: Callable[Shape, Executable]) -> None:
        self._build = build
        self._kept: dict[tuple[Any, ...], Compiled] = {}

    def __call__(
        self,
        connection: Reader,
        values: Mapping[str, Any],
        *shape: Shape.args,
        **named: Shape.kwargs,
    ) -> list[Row]:
        """Run the statement of a shape and return its rows."""
        statement = self.compiled(connection.dialect, *shape, **named)
        cursor = connection.connection.cursor()
        cursor.execute(statement.sql, statement.parameters(values))
        rows: list[Row] = cursor.fetchall()
        cursor.close()
        return rows if statement.unpack is None else statement.unpack(rows)

    def compiled(self, dialect: EngineDialect, *shape: Shape.args, **named: Shape.kwargs) -> Compiled:
        """Return the statement of a shape in the words of an engine."""
        key = (dialect.name, dialect.driver, shape, *named.items())
        found = self._kept.get(key)
        if found is None:
            found = compile_statement(self._build(*shape, **named), dialect)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found


def compile_statement(statement: Executable, dialect: EngineDialect) -> Compiled:
    """Compile a statement whose parameters are all named or fixed; it may hold no list of unknown length."""
    found = cast(SQLCompiler, statement.compile(dialect=dialect))  # type: ignore[attr-defined]
    names = found.bind_names.items()
    converters = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in names}
    return Compiled(
        sql=str(found),
        order=None if found.positiontup is None else tuple(found.positiontup),
        fixed={name: bind.value for bind, name in names if not bind.required},
        converted={name: convert for name, convert in converters.items() if convert is not None},
        unpack=statement.unpack(dialect) if isinstance(statement, Packed) else None,
    )


def one_of_constants(column: ColumnElement[Any], numbers: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that a column has one of some numbers that are written into the statement."""
    return column.in_([literal_column(str(int(number))) for number in numbers])
