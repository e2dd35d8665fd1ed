"""The command on live databases: killed and run again, and as the companion of a gateway that writes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from logservice.store import tables
from logservice.store.store import LogStore
from tests.gateways.flavours import create, fill
from tests.imports.conftest import Import
from tests.imports.expected import facts_in, facts_of
from tests.processes import children, has_ended
from tests.serving import open_store
from tests.store_rows import buckets, raw_rows, rebuilt, table_rows

#: Enough for a process of its own that reads.
ROWS = 40_000
#: How often an import is killed. Who asks for a number has it killed on every pair of engines.
KILLS = int(os.environ.get("LOGSERVICE_TEST_KILLS", "2"))
INTERVAL = 1
#: Where the log is, and where the gateway's is.
PAIRS = [("sqlite", "mysql"), ("postgresql", "postgresql"), ("sqlite", "sqlite"), ("postgresql", "sqlite")]
engines = pytest.mark.parametrize(("engine_name", "gateway_engine"), PAIRS, indirect=True)
killed_on = pytest.mark.parametrize(
    ("engine_name", "gateway_engine"),
    PAIRS if "LOGSERVICE_TEST_KILLS" in os.environ else PAIRS[:2],
    indirect=True,
)


@contextmanager
def importing(log_url: str, folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run `logservice import` on a log, and end it at the end of the block if it has not ended by itself."""
    environ = {**os.environ, "LOGSERVICE_DATABASE_URL": log_url, "LOGSERVICE_INSTANCE_PATH": str(folder)}
    command = [sys.executable, "-m", "logservice", "import", *args]
    with subprocess.Popen(
        command, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def done(process: subprocess.Popen[str]) -> Mapping[str, Any]:
    """Return the figures of an import that ends by itself."""
    shown, said = process.communicate(timeout=120)
    assert process.returncode in (0, 1), said
    figures: Mapping[str, Any] = json.loads(shown)
    return figures


@killed_on
def test_an_import_that_is_killed_some_times_equals_one_that_was_not(
    gateway: Engine, gateway_url: str, db_url: str, tmp_path: Path, take: Import, log: LogStore
) -> None:
    create(gateway, "new-api-2026")
    filled = fill(gateway, "new-api-2026", rows=ROWS)
    draw, reached = random.Random(), [0]
    for _ in range(KILLS):
        with importing(db_url, tmp_path, gateway_url) as process, closing(open_store(db_url)) as store:
            # Where the earlier ones came to the end, it has nothing more to do.
            wait_for(lambda: store.count_all() > reached[-1] or process.poll() is not None, seconds=60)
            time.sleep(draw.uniform(0, 0.15))
            readers = children(process.pid)
            process.kill()
            process.wait(timeout=30)
            reached.append(store.count_raw())
            for reader in readers:
                wait_for(partial(has_ended, reader), seconds=30)
    with importing(db_url, tmp_path, gateway_url, "--json") as process:
        figures = done(process)
    assert figures["rows"] + reached[-1] == len(facts_of(filled))
    assert 0 < reached[1] < len(facts_of(filled)), reached

    take()
    with closing(open_store(db_url)) as store:
        assert facts_in(store) == facts_in(log) == facts_of(filled)
        assert buckets(store) == rebuilt(store)
        assert people(store) == people(log)
        if store.dialect.one_writer:
            assert raw_rows(store) == raw_rows(log)


def people(store: LogStore) -> list[list[dict[str, Any]]]:
    """Return users and tokens without when they were registered here."""
    return [
        [{**row, "created_at": 0} for row in table_rows(store, table)]
        for table in (tables.users, tables.tokens)
    ]


@engines
def test_a_gateway_that_goes_on_writing_is_followed(
    gateway: Engine, gateway_url: str, db_url: str, tmp_path: Path
) -> None:
    create(gateway, "new-api-2026")
    writer = [sys.executable, "-m", "tests.gateways.writer", gateway_url, "new-api-2026"]
    with importing(db_url, tmp_path, gateway_url, "--follow", f"{INTERVAL}s") as process:
        written = subprocess.run(
            [*writer, "--rows", "1500", "--seconds", "6"],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        account = json.loads(written.stdout)
        with closing(open_store(db_url)) as store:
            # Two intervals, and what a busy machine takes for its own.
            wait_for(lambda: store.count_raw() >= account["committed"], seconds=2 * INTERVAL + 10)
            time.sleep(INTERVAL)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, said.splitlines()[-1]) == (0, "Stopped.")
    assert gateway.name == "sqlite" or (account["late"] and account["rolled_back"])
    with closing(open_store(db_url)) as store:
        rows = raw_rows(store)
        assert len(rows) == account["committed"]
        for name in ("quota", "prompt_tokens", "completion_tokens"):
            assert sum(row[name] for row in rows) == account[name]
        assert buckets(store) == rebuilt(store)


def wait_for(condition: Any, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.05)


@pytest.mark.parametrize("gateway_engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_following_survives_a_gateway_database_that_is_gone_for_a_while(
    gateway: Engine, gateway_url: str, db_url: str, tmp_path: Path
) -> None:
    create(gateway, "new-api-2026")
    filled = fill(gateway, "new-api-2026", rows=50)
    with importing(db_url, tmp_path, gateway_url, "--follow", f"{INTERVAL}s") as process:
        with closing(open_store(db_url)) as store:
            wait_for(lambda: store.count_raw() == len(facts_of(filled)), seconds=30)
            with gateway.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE logs RENAME TO away")
            assert process.stderr is not None
            told = next(line for line in process.stderr if "trying again" in line)
            with gateway.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE away RENAME TO logs")
                connection.exec_driver_sql("INSERT INTO logs (created_at, type) VALUES (1750000000, 2)")
            wait_for(lambda: store.count_raw() == len(facts_of(filled)) + 1, seconds=30)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    assert "the gateway's database" in told
