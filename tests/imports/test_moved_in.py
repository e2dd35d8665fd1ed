"""A gateway has moved in: every row once, its people with their keys, whatever database it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import product

import pytest
from sqlalchemy import create_engine

from logservice.imports import reading
from logservice.imports.databases import open_database
from logservice.imports.gateway import GatewayImport, Taken
from logservice.store import dialects
from logservice.store.store import LogStore
from tests.conftest import gateway_database
from tests.gateways.flavours import FLAVOURS, Filled, create, engine_of, fill
from tests.imports.expected import can_be_stored, facts_in, facts_of
from tests.rows import NOW
from tests.store_rows import buckets, raw_rows, rebuilt

ROWS = 1500
BATCH = 400
ENGINES = ("sqlite", "postgresql", "mysql")


@dataclass(frozen=True)
class Moved:
    """What a gateway held, the log that it was imported into, and what each batch brought."""

    filled: Filled
    log: LogStore
    taken: list[Taken]


@pytest.fixture(scope="module", params=product(ENGINES, FLAVOURS), ids="-".join)
def moved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """A gateway of each flavour on each engine with rows of every kind, after its import."""
    engine, flavour = request.param
    folder = tmp_path_factory.mktemp("moved")
    own = dialects.engine_settings(f"sqlite:///{folder / 'log.db'}", "")
    with (
        gateway_database(engine, request, folder) as url,
        closing(LogStore(create_engine(**own), clock=lambda: NOW)) as log,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(reading, "BATCH", BATCH)
        gateway = engine_of(url)
        create(gateway, flavour)
        filled = fill(gateway, flavour, rows=ROWS)
        gateway.dispose()
        with closing(open_database(url)) as database:
            importing = GatewayImport(log, database)
            importing.accounts()
            taken = list(importing.rows())
        yield Moved(filled, log, taken)


def test_every_row_arrives_once_with_all_it_says(moved: Moved) -> None:
    assert facts_in(moved.log) == facts_of(moved.filled)
    assert buckets(moved.log) == rebuilt(moved.log)
    refused = {row_id: reason for batch in moved.taken for row_id, reason in batch.found.refused.items()}
    assert set(refused) == {row["id"] for row in moved.filled.logs if not can_be_stored(row)}
    assert all("created_at: 0 is not after the start of 1970" in reason for reason in refused.values())


def test_kinds_without_a_name_are_counted(moved: Moved) -> None:
    unknown = sum((batch.found.unknown_kinds for batch in moved.taken), Counter[int]())

    assert unknown == Counter({42: 1, -1: 1})


def test_people_enter_with_what_they_have(moved: Moved) -> None:
    for user in moved.filled.users:
        secret = (user["access_token"] or "").strip()
        may_enter = bool(secret) and user["status"] in (1, None) and not user.get("deleted_at")
        found = moved.log.user_of(secret) if secret else None
        assert (found is not None) is may_enter, user
        assert found is None or found.id == user["id"]
        assert found is None or (found.role == "admin") is ((user["role"] or 0) >= 10)


def test_keys_open_the_rows_of_their_token(moved: Moved) -> None:
    welcome = {
        user["id"]
        for user in moved.filled.users
        if user["status"] in (1, None) and not user.get("deleted_at")
    }
    for token in moved.filled.tokens:
        key = (token["key"] or "").strip()
        opens = token["status"] != 2 and not token.get("deleted_at") and token["user_id"] in welcome
        scope = moved.log.scope_of_key(f"sk-{key}") if key else None
        assert (scope is not None) is (opens and bool(key)), token
        assert scope is None or scope.token_ids == (token["id"],)


def test_rows_with_a_token_name_only_are_tied_to_the_one_of_that_user(moved: Moved) -> None:
    bearers = Counter((token["user_id"], token["name"]) for token in moved.filled.tokens)
    by_name = {(token["user_id"], token["name"]): token["id"] for token in moved.filled.tokens}
    nameless = [row for row in moved.filled.logs if can_be_stored(row) and not row.get("token_id")]
    expected = Counter(
        by_name[key] if bearers[key] == 1 else 0
        for row in nameless
        if (key := (row["user_id"] or 0, row["token_name"] or ""))[1]
    )
    given = Counter(
        row["token_id"] for row in moved.filled.logs if can_be_stored(row) and row.get("token_id")
    )
    found = Counter(row["token_id"] for row in raw_rows(moved.log) if row["token_name"] or row["token_id"])
    assert found == expected + given


def test_channels_bear_their_names(moved: Moved) -> None:
    names = {channel["id"]: channel["name"] or "" for channel in moved.filled.channels}
    assert all(row["channel_name"] == names.get(row["channel_id"], "") for row in raw_rows(moved.log))
    assert any(row["channel_name"] for row in raw_rows(moved.log))
