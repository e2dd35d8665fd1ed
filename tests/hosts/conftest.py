"""Applications of somebody else, in which the log is a guest."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.postgresql_server import Server

MakeHost = Callable[..., Flask]


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[MakeHost]:
    """Make applications without a log: `make_host(SECRET_KEY="x")`. A log they get is closed at the end."""
    hosts: list[Flask] = []

    def make(**config: Any) -> Flask:
        host = Flask("host", instance_path=str(tmp_path / f"host-{len(hosts)}"))
        host.config.update(config)
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        if "logservice" in host.extensions:
            host.extensions["logservice"].store.close()


@pytest.fixture
def host(make_host: MakeHost) -> Flask:
    """One such application."""
    return make_host()


@pytest.fixture
def new_databases(postgresql: Server) -> Iterator[Callable[[], str]]:
    """Create empty databases on the PostgreSQL server, as hosts have them; they are dropped at the end."""
    names: list[str] = []

    def create() -> str:
        names.append(f"host_{uuid.uuid4().hex[:12]}")
        postgresql.create_database(names[-1])
        return postgresql.url(names[-1]).replace("postgresql://", "postgresql+psycopg://")

    yield create
    for name in names:
        postgresql.drop_database(name)
