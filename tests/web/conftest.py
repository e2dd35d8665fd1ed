"""Every test of the web floor runs on ClickHouse as well, unless it says which engines it is about."""

from __future__ import annotations

from tests.store_rows import ENGINES, each_of

engine_name = each_of(*ENGINES)
