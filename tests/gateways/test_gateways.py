"""The invented gateways have real tables, and what is in them is what their makers say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from tests.gateways.flavours import FLAVOURS, Filled, add, create, engine_of, fill

SUMS = ("quota", "prompt_tokens", "completion_tokens", "user_id", "channel_id", "created_at")


@pytest.fixture
def engine(gateway_url: str) -> Iterator[Engine]:
    """The engine of an empty database."""
    engine = engine_of(gateway_url)
    yield engine
    engine.dispose()


def sums_in(engine: Engine, first_id: int = 0) -> dict[str, int]:
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in SUMS)
    query = text(f"SELECT count(*) AS rows_, {sums} FROM logs WHERE id >= :first")
    with engine.connect() as connection:
        return {
            name: int(value)
            for name, value in connection.execute(query, {"first": first_id}).one()._mapping.items()
        }


def sums_of(filled: Filled) -> dict[str, int]:
    rows = list(filled.logs)
    return {"rows_": len(rows)} | {name: sum(row[name] or 0 for row in rows) for name in SUMS}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_is_filled_in_is_what_is_there(engine: Engine, flavour: str) -> None:
    create(engine, flavour)
    filled = fill(engine, flavour, rows=1000)
    assert sums_in(engine) == sums_of(filled)
    with engine.connect() as connection:
        types = connection.execute(text("SELECT type, count(*) FROM logs GROUP BY type")).all()
    assert dict(map(tuple, types)) == Counter(row["type"] for row in filled.logs)
