"""Whose an event is: users and tokens resolved from names, ids, keys and hashes; unknown ones registered."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from logservice.store import accounts
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from logservice.store.tables import tokens, users
from tests.store_rows import (
    ENGINES,
    FIELDS,
    SQL_ENGINES,
    Row,
    buckets,
    contents,
    each_of,
    empty,
    make_record,
    page,
    raw_rows,
    record,
    table_rows,
)

engine_name = each_of(*ENGINES)

FIRST = 2**31
KEY = "sk-a-key-of-alice"
HASH = sha256(KEY.encode()).hexdigest()


def send(store: LogStore, *events: Row) -> list[Row]:
    """Record events that carry nothing but what they say, and return the rows they became."""
    store.record([make_record(**{"username": None, **event}) for event in events])
    return raw_rows(store)


def whose(rows: list[Row]) -> list[tuple[Any, ...]]:
    return [(row["user_id"], row["username"], row["token_id"], row["token_name"]) for row in rows]


def rows_of_key(store: LogStore, key: str) -> list[str]:
    scope = store.scope_of_key(key)
    return [] if scope is None else contents(page(store, scope=scope).rows)


# Users


def test_unknown_users_are_registered_without_a_login_above_the_ids_of_gateways(store: LogStore) -> None:
    rows = send(store, {"username": "alice"}, {"username": "bob"}, {"username": "alice"})

    assert [row["user_id"] for row in rows] == [FIRST, FIRST + 1, FIRST]
    with store.reading() as connection:
        known = accounts.list_users(connection)
    assert [(user.id, user.username, user.role, user.has_login) for user in known] == [
        (FIRST, "alice", "user", False),
        (FIRST + 1, "bob", "user", False),
    ]


def test_a_known_name_keeps_its_id(store: LogStore) -> None:
    for _ in range(2):
        rows = send(store, {"username": "alice"}, {"username": "bob", "user_id": 7})

    assert [row["user_id"] for row in rows] == [FIRST, 7, FIRST, 7]


def test_an_id_alone_gets_the_name_it_is_known_by(store: LogStore) -> None:
    send(store, {"user_id": 7, "username": "alice"})

    assert send(store, {"user_id": 7})[-1]["username"] == "alice"


def test_an_id_that_was_met_without_a_name_is_named_once_the_name_is_seen(store: LogStore) -> None:
    send(store, {"user_id": 7})
    send(store, {"user_id": 7, "username": "alice"})

    assert [user["username"] for user in table_rows(store, users)] == ["alice"]


def test_names_are_snapshots(store: LogStore) -> None:
    rows = send(
        store,
        {"user_id": 7, "username": "alice", "token_name": "old"},
        {"user_id": 7, "username": "alicia", "token_name": "new"},
    )

    assert [(row["username"], row["token_name"]) for row in rows] == [("alice", "old"), ("alicia", "new")]


def test_names_may_repeat_under_different_ids(store: LogStore) -> None:
    send(store, {"user_id": 1, "username": "root"}, {"user_id": 2, "username": "root"})

    assert page(store, scope=Scope.user(1)).total == page(store, scope=Scope.user(2)).total == 1


def test_of_several_bearers_of_a_name_one_registered_here_is_meant_and_else_the_lowest(
    store: LogStore,
) -> None:
    send(store, {"user_id": 9, "username": "root"}, {"user_id": 5, "username": "root"})
    assert send(store, {"username": "root"})[-1]["user_id"] == 5

    store.write(lambda connection: accounts.add_user(connection, "root", user_id=FIRST + 50, secret="x" * 16))
    assert send(store, {"username": "root"})[-1]["user_id"] == FIRST + 50


def test_an_event_of_nobody_belongs_to_nobody(store: LogStore) -> None:
    assert whose(send(store, {})) == [(0, "", 0, "")]
    assert table_rows(store, users) == table_rows(store, tokens) == []


@pytest.mark.parametrize("user_id", [2**52 - 1, 2**52, 2**53 - 1])
def test_a_gateway_with_huge_ids_does_not_stop_registration(store: LogStore, user_id: int) -> None:
    send(store, {"user_id": user_id, "username": "huge"})

    for name in ("a", "b", "c"):
        send(store, {"username": name})

    found = [row["user_id"] for row in raw_rows(store)]
    assert len(set(found)) == 4
    assert max(found) < 2**53


# Tokens


@pytest.mark.parametrize(
    "event",
    [
        {"token_key": KEY},
        {"token_key": KEY.removeprefix("sk-")},
        {"token_hash": HASH},
        {"token_hash": HASH.upper()},
        {"token_hash": sha256(KEY.removeprefix("sk-").encode()).hexdigest()},
    ],
    ids=str,
)
def test_a_key_seen_only_in_events_opens_its_rows_with_and_without_prefix(
    store: LogStore, event: Row
) -> None:
    send(store, {**event, "username": "alice", "content": "mine"}, {"username": "alice", "content": "other"})

    assert rows_of_key(store, KEY) == ["mine"]
    assert rows_of_key(store, KEY.removeprefix("sk-")) == ["mine"]
    assert rows_of_key(store, KEY + "x") == []


def test_a_key_in_several_spellings_opens_all_its_rows(store: LogStore) -> None:
    bare = sha256(KEY.removeprefix("sk-").encode()).hexdigest()

    send(store, {"token_hash": HASH, "content": "1"}, {"token_hash": bare, "content": "2"})
    send(store, {"token_key": KEY, "content": "3"})

    assert rows_of_key(store, KEY) == ["3", "2", "1"]


def test_a_key_is_registered_with_its_name_and_owner(store: LogStore) -> None:
    send(store, {"token_key": KEY, "token_name": "laptop", "username": "alice"})
    send(store, {"token_key": KEY})

    assert whose(raw_rows(store)) == [(FIRST, "alice", FIRST, "laptop")] * 2
    with store.reading() as connection:
        (token,) = accounts.list_tokens(connection)
    assert (token.id, token.name, token.user_id, token.has_key) == (FIRST, "laptop", FIRST, True)


def test_the_token_id_of_a_gateway_is_kept_for_a_new_key(store: LogStore) -> None:
    send(store, {"token_key": KEY, "token_id": 7, "content": "keyed"}, {"token_id": 7, "content": "by id"})

    assert store.scope_of_key(KEY) == Scope.tokens([7])
    assert rows_of_key(store, KEY) == ["by id", "keyed"]


def test_a_token_id_that_belongs_to_another_key_is_not_shared(store: LogStore) -> None:
    send(store, {"token_key": KEY, "token_id": 7, "content": "alice's"})
    send(store, {"token_key": "sk-another", "token_id": 7, "content": "bob's"})
    send(
        store,
        {"token_key": "sk-third", "token_id": 8, "content": "third"},
        {"token_key": "sk-fourth", "token_id": 8, "content": "fourth"},
    )

    assert rows_of_key(store, KEY) == ["alice's"]
    assert rows_of_key(store, "sk-another") == ["bob's"]
    assert rows_of_key(store, "sk-third") == ["third"]
    assert rows_of_key(store, "sk-fourth") == ["fourth"]


def test_the_key_decides_whatever_id_comes_with_it(store: LogStore) -> None:
    send(store, {"token_key": KEY, "token_id": 7})

    assert send(store, {"token_key": KEY, "token_id": 9})[-1]["token_id"] == 7


def test_a_new_key_never_opens_rows_that_came_with_an_id_of_ours(store: LogStore) -> None:
    send(store, {"token_id": FIRST, "content": "imported from another installation"})
    send(store, {"token_key": KEY, "content": "mine"})

    assert rows_of_key(store, KEY) == ["mine"]


def test_a_new_key_never_opens_rows_of_its_own_batch_that_came_with_an_id_of_ours(store: LogStore) -> None:
    send(store, {"token_key": KEY, "content": "mine"}, {"token_id": FIRST, "content": "imported"})

    assert rows_of_key(store, KEY) == ["mine"]


def test_a_token_name_resolves_when_exactly_one_token_of_that_user_bears_it(store: LogStore) -> None:
    send(
        store,
        {"user_id": 1, "token_key": "sk-1", "token_name": "laptop"},
        {"user_id": 2, "token_key": "sk-2", "token_name": "laptop"},
        {"user_id": 2, "token_key": "sk-3", "token_name": "server"},
        {"user_id": 2, "token_key": "sk-4", "token_name": "server"},
    )

    rows = send(
        store,
        {"user_id": 1, "token_name": "laptop"},
        {"user_id": 2, "token_name": "laptop"},
        {"user_id": 2, "token_name": "server"},
        {"user_id": 2, "token_name": "unknown"},
        {"user_id": 3, "token_name": "laptop"},
        {"token_name": "laptop"},
        {"user_id": 1, "token_name": "Laptop"},
    )

    by_key = [row["token_id"] for row in rows[:2]]
    assert [row["token_id"] for row in rows[4:]] == [*by_key, 0, 0, 0, 0, 0]


def test_a_token_name_alone_registers_no_token(store: LogStore) -> None:
    send(store, {"username": "alice", "token_name": "laptop"})

    assert table_rows(store, tokens) == []


def test_many_people_and_keys_in_one_batch_are_told_apart(store: LogStore) -> None:
    events = [{"username": f"user {n % 1200}", "token_key": f"sk-{n % 1300}"} for n in range(2600)]

    rows = send(store, *events)

    assert len({row["user_id"] for row in rows}) == 1200
    assert len({row["token_id"] for row in rows}) == 1300
    assert len({(row["username"], row["user_id"]) for row in rows}) == 1200


# One batch or many

LAPTOP = {"username": "alice", "token_name": "laptop"}


@pytest.mark.parametrize(
    "events",
    [
        [{"username": "alice", "user_id": 7}, {"username": "alice"}],
        [{"username": "alice"}, {"username": "alice", "user_id": 7}],
        [{"user_id": 7}, {"user_id": 7, "username": "alice"}, {"user_id": 7}],
        [{**LAPTOP, "token_key": KEY}, LAPTOP],
        [LAPTOP, {**LAPTOP, "token_key": KEY}],
        [{**LAPTOP, "token_key": KEY}, LAPTOP, {**LAPTOP, "token_key": "sk-second"}, LAPTOP],
        [{**LAPTOP, "token_key": KEY}, {"token_key": KEY}],
        [{"token_key": KEY}, {**LAPTOP, "token_key": KEY}, {"token_key": KEY}],
        [{"token_key": KEY, "token_id": 7}, {"token_key": "sk-second", "token_id": 7}, {"token_id": 7}],
    ],
    ids=str,
)
def test_events_resolve_alike_whether_they_come_together_or_one_by_one(
    store: LogStore, events: list[Row]
) -> None:
    send(store, *events)
    together = whose(raw_rows(store)), buckets(store)
    empty(store)

    for event in events:
        send(store, event)

    assert (whose(raw_rows(store)), buckets(store)) == together


@SQL_ENGINES
def test_a_batch_that_failed_registers_nobody(store: LogStore) -> None:
    spoiled = [make_record(username="new", token_key=KEY), make_record()]
    spoiled[1].row["quota"] = None

    with pytest.raises(Exception, match="quota"):
        store.record(spoiled)

    assert table_rows(store, users) == table_rows(store, tokens) == []
    assert store.scope_of_key(KEY) is None


def test_no_row_shows_a_key_or_its_hash(store: LogStore) -> None:
    record(store, {"token_key": KEY})

    shown = str(page(store, fields=FIELDS).rows)

    assert KEY not in shown
    assert HASH not in shown
