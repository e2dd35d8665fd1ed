"""Commands on a service of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logservice.cli import addresses
from logservice.store.store import LogStore
from tests.commands import Run, app_in, invoke


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command on an application of its own."""
    return partial(invoke, tmp_path)


@pytest.fixture
def peek(tmp_path: Path) -> Iterator[LogStore]:
    """The store, to see what a command did."""
    with closing(app_in(tmp_path).extensions["logservice"].store) as store:
        yield store


@pytest.fixture
def execution(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note what the process would have become instead of becoming it."""
    seen: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *args: seen.append(args))
    # Whatever listens on this machine: the port of these tests is never opened.
    monkeypatch.setattr(addresses, "refuse_taken", lambda _bind: None)
    return seen
