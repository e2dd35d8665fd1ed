"""How gorm, with which the gateways make their tables, turns a field into a column of each engine."""

from __future__ import annotations

from dataclasses import dataclass

#: The type of each kind of field, on SQLite, PostgreSQL and MySQL. FACTS.md says where this is from.
TYPES = {
    "id": (
        "integer PRIMARY KEY AUTOINCREMENT",
        "bigserial PRIMARY KEY",
        "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
    ),
    "unsigned id": (
        "integer PRIMARY KEY AUTOINCREMENT",
        "bigserial PRIMARY KEY",
        "bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY",
    ),
    "integer": ("integer", "bigint", "bigint"),
    "plain bigint": ("bigint", "bigint", "bigint"),
    "unsigned": ("integer", "bigint", "bigint unsigned"),
    "number": ("real", "decimal", "double"),
    "truth": ("numeric", "boolean", "boolean"),
    "text": ("text", "text", "longtext"),
    "plain text": ("text", "text", "text"),
    "short text": ("text", "text", "varchar(191)"),
    "json": ("json", "json", "json"),
    "time": ("datetime", "timestamptz", "datetime(3)"),
}
ENGINES = ("sqlite", "postgresql", "mysql")


@dataclass(frozen=True)
class Column:
    """A column: its kind is a key of TYPES, or a type that every engine takes as it stands."""

    name: str
    kind: str
    #: The default as SQL; None stands for no default.
    default: str | None = None
    nullable: bool = True

    def definition(self, engine: str) -> str:
        """Return the column's part of CREATE TABLE."""
        words = [quoted(self.name, engine), self.type_on(engine)]
        if not self.nullable and "id" not in self.kind.split():
            words.append("NOT NULL")
        if self.default is not None:
            words.append(f"DEFAULT {self.default}")
        return " ".join(words)

    def type_on(self, engine: str) -> str:
        """Return the type with what belongs to it."""
        types = TYPES.get(self.kind)
        return self.kind if types is None else types[ENGINES.index(engine)]


@dataclass(frozen=True)
class Table:
    """A table as gorm makes it: columns in the order of the fields, and indexes."""

    name: str
    columns: tuple[Column, ...]
    #: The columns of each index; those that begin with "unique" are unique.
    indexes: tuple[tuple[str, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def definitions(self, engine: str) -> list[str]:
        """Return the statements that make the table and its indexes."""
        columns = ", ".join(column.definition(engine) for column in self.columns)
        return [f"CREATE TABLE {quoted(self.name, engine)} ({columns})", *self.index_definitions(engine)]

    def index_definitions(self, engine: str) -> list[str]:
        """Return the statements that make the indexes."""
        table = quoted(self.name, engine)
        statements = []
        for words in self.indexes:
            unique, names = ("UNIQUE ", words[1:]) if words[0] == "unique" else ("", words)
            index = quoted(f"idx_{self.name}_{'_'.join(names)}", engine)
            on = ", ".join(quoted(name, engine) for name in names)
            statements.append(f"CREATE {unique}INDEX {index} ON {table} ({on})")
        return statements


def quoted(name: str, engine: str) -> str:
    """Return a name in the quotes of the engine; `group` and `key` need them."""
    return f'"{name}"' if engine == "postgresql" else f"`{name}`"


def row_id(kind: str = "id") -> Column:
    """Return the primary key that counts by itself."""
    return Column("id", kind, nullable=False)


def integer(name: str, default: int | None = None) -> Column:
    """Return a whole number of 64 bits."""
    return Column(name, "integer", None if default is None else str(default))


def text(name: str) -> Column:
    """Return a text of any length."""
    return Column(name, "text")


def short_text(name: str, default: str | None = None) -> Column:
    """Return a text that is indexed or has a default, and is short on MySQL for that."""
    return Column(name, "short text", None if default is None else f"'{default}'")


def truth(name: str, default: str | None = None) -> Column:
    """Return a truth value, a number on SQLite and MySQL."""
    return Column(name, "truth", default)
