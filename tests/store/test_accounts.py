"""Users and tokens: who is known, by which secret, under which id."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from logservice.errors import AlreadyExists, InvalidValue, NotFound
from logservice.store import accounts
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from logservice.store.tables import metadata, tokens, users
from tests.store_rows import record, table_rows

SECRET = "sixteen characters and more"
FIRST = 2**31


def add_user(store: LogStore, name: str = "root", **given: Any) -> accounts.User:
    return store.write(lambda connection: accounts.add_user(connection, name, **{"secret": SECRET, **given}))


def add_token(store: LogStore, name: str = "laptop", **given: Any) -> accounts.Token:
    given = {"user_id": 1, "key": "sk-0123456789abcdef", **given}
    return store.write(lambda connection: accounts.add_token(connection, name, **given))


def ask(store: LogStore, question: Callable[..., Any], *given: Any) -> Any:
    with store.reading() as connection:
        return question(connection, *given)


def test_a_user_is_known_by_the_access_token_only(store: LogStore) -> None:
    added = add_user(store, role="admin")

    assert store.user_of(SECRET) == added
    assert (added.username, added.role, added.has_login, added.disabled) == ("root", "admin", True, False)
    assert store.user_of(SECRET.upper()) is None
    assert store.user_of("") is None
    assert store.user_of("root") is None


def test_no_secret_is_stored_in_the_clear(store: LogStore) -> None:
    add_user(store)
    add_token(store, key="sk-plain-key-of-somebody")

    stored = str([table_rows(store, table) for table in metadata.sorted_tables])

    assert SECRET not in stored
    assert "plain-key" not in stored
    assert sha256(SECRET.encode()).hexdigest() in stored


def test_ids_assigned_here_start_above_those_of_gateways(store: LogStore) -> None:
    add_user(store, "gateway's", user_id=7, secret=SECRET + "7")

    assert [add_user(store, str(number), secret=SECRET + str(number)).id for number in range(3)] == [
        FIRST,
        FIRST + 1,
        FIRST + 2,
    ]
    assert add_token(store).id == FIRST


@pytest.mark.parametrize("user_id", [0, -1, 2**53])
def test_an_id_must_be_one_that_javascript_holds(store: LogStore, user_id: int) -> None:
    with pytest.raises(InvalidValue, match="id"):
        add_user(store, user_id=user_id)
    with pytest.raises(InvalidValue, match="id"):
        add_token(store, token_id=user_id)


@pytest.mark.parametrize("name", ["", "  ", "x" * 129, "a\0b"])
def test_a_name_has_1_to_128_characters(store: LogStore, name: str) -> None:
    with pytest.raises(InvalidValue, match="username"):
        add_user(store, name)
    with pytest.raises(InvalidValue, match="name"):
        add_token(store, name)


def test_an_unknown_role_is_refused(store: LogStore) -> None:
    with pytest.raises(InvalidValue, match="role"):
        add_user(store, role="king")


@pytest.mark.parametrize("secret", ["", "fifteen letters", " sixteen letters ", "sixteen letters\n"])
def test_a_chosen_secret_needs_16_characters_without_blanks_at_its_ends(secret: str) -> None:
    with pytest.raises(InvalidValue, match="key"):
        accounts.checked_secret("key", secret)


def test_secrets_made_here_are_long_and_differ() -> None:
    made = {accounts.new_secret() for _ in range(100)}

    assert len(made) == 100
    assert {accounts.checked_secret("key", secret) for secret in made} == made


def test_a_login_is_given_once(store: LogStore) -> None:
    add_user(store)

    with pytest.raises(AlreadyExists):
        add_user(store, secret="another secret, long enough")
    with pytest.raises(AlreadyExists):
        add_user(store, "another")


def test_somebody_known_from_events_keeps_the_id_with_a_login(store: LogStore) -> None:
    (row,) = record(store, {"username": "alice"})

    assert add_user(store, "alice").id == row["user_id"]
    assert [user.has_login for user in ask(store, accounts.list_users)] == [True]


def test_an_id_known_from_events_gets_the_login(store: LogStore) -> None:
    record(store, {"username": "alice", "user_id": 7})

    added = add_user(store, "alice", user_id=7)

    assert (added.id, added.has_login) == (7, True)


def test_a_rotated_secret_replaces_the_old_one(store: LogStore) -> None:
    user = add_user(store)

    store.write(lambda connection: accounts.rotate_user(connection, user.id, "the new secret of root"))

    assert store.user_of(SECRET) is None
    assert store.user_of("the new secret of root") == user


def test_a_disabled_user_does_not_enter(store: LogStore) -> None:
    user = add_user(store)

    store.write(lambda connection: accounts.disable(connection, users, user.id))

    assert store.user_of(SECRET) is None
    assert ask(store, accounts.list_users)[0].disabled


def test_a_login_exists_once_one_was_issued(store: LogStore) -> None:
    record(store, {"username": "alice"})
    assert not ask(store, accounts.has_login)

    add_user(store)
    assert ask(store, accounts.has_login)


# Keys


@pytest.mark.parametrize("stored", ["sk-0123456789abcdef", "0123456789abcdef"])
@pytest.mark.parametrize("given", ["sk-0123456789abcdef", "0123456789abcdef"])
def test_a_key_opens_its_token_with_and_without_prefix(store: LogStore, stored: str, given: str) -> None:
    token = add_token(store, key=stored)

    assert store.scope_of_key(given) == Scope.tokens([token.id])


@pytest.mark.parametrize("key", ["", "sk-", "sk-0123456789abcde", "SK-0123456789ABCDEF", "laptop", "%"])
def test_any_other_key_opens_nothing(store: LogStore, key: str) -> None:
    record(store, {"username": "alice", "token_name": "laptop"}, {})
    add_token(store)

    assert store.scope_of_key(key) is None


def test_a_key_that_is_disabled_or_whose_user_is_opens_nothing(store: LogStore) -> None:
    user = add_user(store)
    token = add_token(store, user_id=user.id)
    other = add_token(store, "server", user_id=user.id, key="another key altogether")

    store.write(lambda connection: accounts.disable(connection, tokens, token.id))
    assert store.scope_of_key("sk-0123456789abcdef") is None
    assert store.scope_of_key("another key altogether") == Scope.tokens([other.id])

    store.write(lambda connection: accounts.disable(connection, users, user.id))
    assert store.scope_of_key("another key altogether") is None


@pytest.mark.parametrize("disabled", [0, 1])
def test_a_key_in_two_spellings_is_disabled_as_either(store: LogStore, disabled: int) -> None:
    spellings = ("sk-0123456789abcdef", "0123456789abcdef")
    record(store, *({"token_hash": sha256(key.encode()).hexdigest()} for key in spellings))
    every = ask(store, accounts.list_tokens)
    assert store.scope_of_key(spellings[0]) == Scope.tokens([token.id for token in every])

    store.write(lambda connection: accounts.disable(connection, tokens, every[disabled].id))

    assert [store.scope_of_key(key) for key in spellings] == [None, None]


def test_a_key_is_registered_once(store: LogStore) -> None:
    add_token(store, token_id=7)

    with pytest.raises(AlreadyExists, match="key"):
        add_token(store, "again", key="0123456789abcdef")
    with pytest.raises(AlreadyExists, match="7"):
        add_token(store, "again", token_id=7, key="another key altogether")


def test_a_token_known_by_its_id_only_gets_the_key_and_its_rows(store: LogStore) -> None:
    record(store, {"token_id": 7, "token_name": "laptop"})

    add_token(store, token_id=7)

    assert store.scope_of_key("sk-0123456789abcdef") == Scope.tokens([7])


# Finding


def test_people_and_tokens_are_found_by_name_or_number(store: LogStore) -> None:
    user = add_user(store, user_id=7)
    token = add_token(store, token_id=9)

    assert ask(store, accounts.find_user, "root") == ask(store, accounts.find_user, "7") == user
    assert ask(store, accounts.find_token, "laptop") == ask(store, accounts.find_token, "9") == token


def test_a_name_that_several_bear_is_asked_for_by_number(store: LogStore) -> None:
    record(store, {"username": "root", "user_id": 7}, {"username": "root", "user_id": 8})

    with pytest.raises(InvalidValue, match="7, 8"):
        ask(store, accounts.find_user, "root")
    assert ask(store, accounts.find_user, "8").id == 8


@pytest.mark.parametrize("name", ["nobody", "7", "", "-1", "٧", "9" * 30, "9" * 5000])
@pytest.mark.parametrize("find", [accounts.find_user, accounts.find_token])
def test_who_is_unknown_is_not_found(store: LogStore, find: Any, name: str) -> None:
    with pytest.raises(NotFound):
        ask(store, find, name)
