"""Users and tokens as a gateway knows them: what changes there changes here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from logservice.store import accounts, tables
from logservice.store.accounts import User
from logservice.store.gateway_accounts import GatewayToken, GatewayUser
from logservice.store.imports import Imports
from logservice.store.records import hash_key
from logservice.store.store import LogStore
from tests.store_rows import make_record, raw_rows, table_rows

SECRET = "alice-at-the-gateway"
ALICE = GatewayUser(5, "alice", "user", False, accounts.hash_secret(SECRET))
ROOT = GatewayUser(1, "root", "admin", False, None)
KEY = "k" * 48
LAPTOP = GatewayToken(7, "laptop", 5, False, hash_key(KEY), accounts.hash_secret(KEY))


def take_over(
    store: LogStore, users: Sequence[GatewayUser] = (ROOT, ALICE), tokens: Sequence[GatewayToken] = (LAPTOP,)
) -> list[str]:
    return Imports(store).take_over(users, tokens)


def user(store: LogStore, user_id: int = 5) -> dict[str, Any]:
    return next(row for row in table_rows(store, tables.users) if row["id"] == user_id)


def opened(store: LogStore, key: str = KEY) -> tuple[int, ...]:
    scope = store.scope_of_key(key)
    return () if scope is None or scope.token_ids is None else tuple(scope.token_ids)


def test_secrets_of_the_gateway_open_their_doors(store: LogStore) -> None:
    assert take_over(store) == []

    found = store.user_of(SECRET)
    assert found is not None
    assert (found.id, found.username, found.role) == (5, "alice", "user")
    assert opened(store) == opened(store, f"sk-{KEY}") == (7,)
    assert user(store, 1)["role"] == "admin"
    assert user(store, 1)["access_token_hash"] is None


def test_the_same_again_changes_nothing(store: LogStore) -> None:
    take_over(store)
    before = table_rows(store, tables.users), table_rows(store, tables.tokens)

    take_over(store)

    assert (table_rows(store, tables.users), table_rows(store, tables.tokens)) == before


@pytest.mark.parametrize("change", [{"disabled": True}, {"access_token_hash": None}])
def test_who_may_not_enter_there_may_not_enter_here(store: LogStore, change: dict[str, Any]) -> None:
    take_over(store)

    take_over(store, [ROOT, replace(ALICE, **change)])

    assert store.user_of(SECRET) is None


def test_changes_are_followed(store: LogStore) -> None:
    take_over(store)

    take_over(store, [ROOT, replace(ALICE, username="alicia", role="admin", access_token_hash="f" * 64)])

    assert (user(store)["username"], user(store)["role"]) == ("alicia", "admin")
    assert store.user_of(SECRET) is None


def test_whoever_is_gone_there_may_not_enter_here_until_they_are_back(store: LogStore) -> None:
    take_over(store)

    take_over(store, [ROOT], [])
    assert (store.user_of(SECRET), opened(store)) == (None, ())

    take_over(store)
    assert store.user_of(SECRET) is not None
    assert opened(store) == (7,)


def test_a_database_without_users_takes_nobody_s_access(store: LogStore) -> None:
    take_over(store)

    take_over(store, [], [])

    assert store.user_of(SECRET) is not None


def test_what_was_decided_here_stays_until_the_gateway_says_something_new(store: LogStore) -> None:
    take_over(store)
    store.write(lambda connection: accounts.disable(connection, tables.users, 5))

    take_over(store)
    assert store.user_of(SECRET) is None

    take_over(store, [ROOT, replace(ALICE, username="alicia")])
    assert store.user_of(SECRET) is None
    assert user(store)["username"] == "alicia"


def test_a_login_that_was_given_here_is_not_taken_away(store: LogStore) -> None:
    own = "a-login-of-this-service"

    def add(connection: Any) -> User:
        return accounts.add_user(connection, "alice", role="admin", user_id=5, secret=own)

    store.write(add)

    take_over(store)

    found = store.user_of(own)
    assert found is not None
    assert found.role == "admin"


def test_who_was_known_from_events_gets_the_login_of_the_gateway(store: LogStore) -> None:
    store.record([make_record(user_id=5, username="alice")])

    take_over(store)

    assert store.user_of(SECRET) is not None


def test_a_key_opens_the_rows_it_was_known_by_and_those_of_the_gateway(store: LogStore) -> None:
    store.record([make_record(token_key=f"sk-{KEY}")])
    [known] = opened(store)

    assert take_over(store) == []

    assert set(opened(store)) == {known, 7}


def test_a_secret_that_two_bear_opens_the_rows_of_one_and_that_is_said(store: LogStore) -> None:
    people = [ALICE, replace(ALICE, id=6, username="bob")]
    for _ in range(2):
        [refused] = take_over(store, people)
        assert "user 6" in refused

    found = store.user_of(SECRET)
    assert found is not None
    assert found.username == "alice"


def test_a_secret_that_was_refused_is_taken_once_it_is_free(store: LogStore) -> None:
    bob = replace(ALICE, id=6, username="bob")
    take_over(store, [ALICE, bob])

    assert take_over(store, [replace(ALICE, access_token_hash=None), bob]) == []

    found = store.user_of(SECRET)
    assert found is not None
    assert found.username == "bob"


def test_tokens_of_users_who_are_gone_open_nothing(store: LogStore) -> None:
    take_over(store, [ROOT], [LAPTOP])
    assert opened(store) == ()

    take_over(store)
    assert opened(store) == (7,)


def test_a_key_that_was_known_before_is_closed_with_the_gateway_s(store: LogStore) -> None:
    store.record([make_record(token_key=KEY)])
    take_over(store)
    assert len(opened(store)) == 2

    take_over(store, tokens=[replace(LAPTOP, disabled=True)])
    assert opened(store) == ()

    take_over(store)
    assert len(opened(store)) == 2


def test_a_name_stands_for_who_can_enter(store: LogStore) -> None:
    store.record([make_record(username="alice", content="before")])
    take_over(store)

    store.record([make_record(username="alice", content="after")])

    assert {row["content"]: row["user_id"] for row in raw_rows(store)}["after"] == 5


def test_secrets_may_pass_from_one_to_another(store: LogStore) -> None:
    bob = GatewayUser(6, "bob", "user", False, accounts.hash_secret("bob-at-the-gateway"))
    take_over(store, [ALICE, bob], [LAPTOP, replace(LAPTOP, id=8, key_hash="8" * 64, bare_hash="9" * 64)])

    swapped = [
        replace(ALICE, access_token_hash=bob.access_token_hash),
        replace(bob, access_token_hash=ALICE.access_token_hash),
    ]
    assert take_over(store, swapped, [replace(LAPTOP, id=9)]) == []

    found = store.user_of(SECRET)
    assert found is not None
    assert found.username == "bob"
    assert opened(store) == (9,)


def test_somebody_of_another_gateway_is_not_touched(store: LogStore) -> None:
    store.write(lambda connection: accounts.add_user(connection, "local", role="admin", secret="x" * 20))
    before = [row for row in table_rows(store, tables.users) if row["username"] == "local"]

    take_over(store)

    assert [row for row in table_rows(store, tables.users) if row["username"] == "local"] == before
