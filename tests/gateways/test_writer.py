"""The live writer tells exactly what it committed, and is as untidy as a gateway."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.gateways.flavours import create, engine_of

ROOT = Path(__file__).parent.parent.parent
FLAVOUR = "new-api-2026"


@pytest.fixture
def engine(gateway_url: str) -> Iterator[Engine]:
    """The engine of a database with empty tables."""
    engine = engine_of(gateway_url)
    create(engine, FLAVOUR)
    yield engine
    engine.dispose()


@contextmanager
def writing(url: str, *, rows: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.gateways.writer", url, FLAVOUR]
    with subprocess.Popen(
        [*command, "--rows", str(rows), "--seconds", str(seconds)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    answer, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return dict(json.loads(answer))


def ids_in(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT id FROM logs ORDER BY id")).scalars())


def sums_in(engine: Engine) -> dict[str, int]:
    names = ("quota", "prompt_tokens", "completion_tokens")
    sums = ", ".join(f"sum({name}) AS {name}" for name in names)
    query = text(f"SELECT count(*) AS committed, max(id) AS last_id, {sums} FROM logs")
    with engine.connect() as connection:
        return {name: int(value) for name, value in connection.execute(query).mappings().one().items()}


def test_it_tells_what_it_committed(engine: Engine, gateway_url: str) -> None:
    with writing(gateway_url, rows=300, seconds=1) as process:
        account = told(process)
    found = sums_in(engine)
    assert {name: account[name] for name in found} == found
    assert account["committed"] + account["rolled_back"] == 300
    assert sum(account["types"].values()) == account["committed"]


@pytest.mark.parametrize("gateway_engine", ["postgresql", "mysql"], indirect=True)
def test_lower_ids_appear_late_and_some_never(engine: Engine, gateway_url: str) -> None:
    highest, seen, late = 0, set[int](), set[int]()
    with writing(gateway_url, rows=600, seconds=3) as process:
        while process.poll() is None:
            new = set(ids_in(engine)) - seen
            late |= {row_id for row_id in new if row_id < highest}
            seen |= new
            highest = max(seen, default=0)
            time.sleep(0.02)
        account = told(process)
    assert late
    assert account["late"] >= len(late)
    ids = ids_in(engine)
    assert len(set(range(ids[0], ids[-1])) - set(ids)) > 0
    assert account["rolled_back"] > 0


@pytest.mark.parametrize("gateway_engine", ["sqlite"], indirect=True)
def test_on_sqlite_ids_follow_each_other(engine: Engine, gateway_url: str) -> None:
    with writing(gateway_url, rows=100, seconds=0.5) as process:
        account = told(process)
    assert (account["late"], account["rolled_back"]) == (0, 0)
    assert ids_in(engine) == list(range(1, 101))


def test_sigterm_ends_it_early_with_an_account(engine: Engine, gateway_url: str) -> None:
    with writing(gateway_url, rows=100_000, seconds=600) as process:
        while not ids_in(engine):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        account = told(process)
    assert 0 < account["committed"] == sums_in(engine)["committed"] < 100_000


def test_the_same_people_go_on_in_a_database_that_has_some(engine: Engine, gateway_url: str) -> None:
    for _ in range(2):
        with writing(gateway_url, rows=20, seconds=0) as process:
            told(process)
    with engine.connect() as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM users WHERE username = 'root'")).scalar_one() == 1
        )
