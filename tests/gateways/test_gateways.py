"""The invented gateways have real tables, and what is in them is what their makers say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from tests.gateways.catalogs import catalog, facts
from tests.gateways.flavours import FLAVOURS, Filled, add, create, engine_of, fill

SUMS = ("quota", "prompt_tokens", "completion_tokens", "user_id", "channel_id", "created_at")


@pytest.fixture
def engine(gateway_url: str) -> Iterator[Engine]:
    """The engine of an empty database."""
    engine = engine_of(gateway_url)
    yield engine
    engine.dispose()


def sums_in(engine: Engine, *, first_id: int = 0) -> dict[str, int]:
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in SUMS)
    query = text(f"SELECT count(*) AS found, {sums} FROM logs WHERE id >= :first_id")
    with engine.connect() as connection:
        found = connection.execute(query, {"first_id": first_id}).mappings().one()
        return {name: int(value) for name, value in found.items()}


def sums_of(filled: Filled) -> dict[str, int]:
    rows = list(filled.logs)
    return {"found": len(rows)} | {name: sum(row[name] or 0 for row in rows) for name in SUMS}


def column_of(engine: Engine, table: str, column: str) -> list[object]:
    with engine.connect() as connection:
        return list(connection.execute(text(f"SELECT {column} FROM {table} ORDER BY id")).scalars())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_tables_have_the_columns_of_the_facts(engine: Engine, flavour: str) -> None:
    create(engine, flavour)
    for table in FLAVOURS[flavour]:
        assert catalog(engine, table) == facts(flavour, engine.name, table)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_is_filled_in_is_what_is_there(engine: Engine, flavour: str) -> None:
    create(engine, flavour)
    filled = fill(engine, flavour, rows=1000)
    assert sums_in(engine) == sums_of(filled)
    assert Counter(column_of(engine, "logs", "type")) == Counter(row["type"] for row in filled.logs)
    for table in ("users", "tokens", "channels"):
        assert column_of(engine, table, "id") == [row["id"] for row in getattr(filled, table)]


def test_texts_arrive_as_they_are(engine: Engine) -> None:
    create(engine, "new-api-2026")
    filled = fill(engine, "new-api-2026", rows=200)
    for name in ("content", "username", "token_name", "other", "ip", "request_id"):
        assert column_of(engine, "logs", name) == [row[name] for row in filled.logs]


def test_more_rows_continue_behind_the_last(engine: Engine) -> None:
    create(engine, "one-api-2025")
    first = fill(engine, "one-api-2025", rows=300)
    more = add(engine, first, rows=200)
    ids = [row["id"] for row in more.logs]
    assert min(ids) > max(row["id"] for row in first.logs)
    assert sums_in(engine, first_id=min(ids)) == sums_of(more)
    assert sums_in(engine)["found"] == 500


def test_a_filling_with_late_indexes_has_them_all(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.gateways.flavours.MANY", 100)
    create(engine, "new-api-2025-04")
    filled = fill(engine, "new-api-2025-04", rows=150)
    assert sums_in(engine) == sums_of(filled)
    with engine.begin() as connection:
        indexes = FLAVOURS["new-api-2025-04"]["logs"].indexes
        for names in indexes:
            on = " ON logs" if engine.name == "mysql" else ""
            connection.execute(text(f"DROP INDEX idx_logs_{'_'.join(names)}{on}"))


def test_the_database_gives_the_next_id_itself(engine: Engine) -> None:
    create(engine, "one-api-2025")
    filled = fill(engine, "one-api-2025", rows=50)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO logs (content) VALUES ('by itself')"))
    assert max(column_of(engine, "logs", "id")) > max(row["id"] for row in filled.logs)
