"""Every test of the web floor runs on ClickHouse as well, unless it says which engines it is about."""

from __future__ import annotations

import pytest

from tests.store_rows import ENGINES


@pytest.fixture(scope="session", params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that a test runs on."""
    name: str = request.param
    return name
