"""ClickHouse's engine in the process of the tests, with a database of its own for each of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

from logservice.store.clickhouse import urls
from logservice.store.clickhouse.sessions import Sessions
from logservice.store.clickhouse.tables import Layout, quoted
from tests.private_servers import NoServer


class NoEngine(NoServer):
    """The engine is not installed."""

    engine = "ClickHouse"


class Engine:
    """The engine on a folder, the only one that this process can ever open.

    It ends with its last client and begins anew with the next, and each time it leaves threads and open files
    behind: so it is held until all tests are done.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._held = Sessions(urls.read(self.url("default"), ""), waiting_time=10)
        self._held.command("SELECT 1")

    def close(self) -> None:
        """End the engine, once nobody else has a client."""
        self._held.dispose()

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"{urls.EMBEDDED}:///{self._folder}?database={database}"

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Lend a database with tables and without rows until the end of the block; yields its URL."""
        name = f"lent_{next(self._numbers)}"
        sessions = Sessions(urls.read(self.url(name), ""), waiting_time=10)
        sessions.create(Layout(name).statements())
        try:
            yield self.url(name)
        finally:
            sessions.create([f"DROP DATABASE {quoted(name)} SYNC"])
            sessions.dispose()


@contextmanager
def running(folder: Path) -> Iterator[Engine]:
    """Give the engine on a folder. Raises NoEngine where it is not installed."""
    if find_spec("chdb") is None or find_spec("clickhouse_connect") is None:
        raise NoEngine("chdb is not installed: pip install '.[test-clickhouse]'")
    with closing(Engine(folder)) as engine:
        yield engine
