"""`logservice user` and `logservice token`: logins and keys, and the secrets that open them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logservice.store.records import hash_key
from logservice.store.store import LogStore
from tests.commands import Run, assert_done, assert_error, event

SECRET = "a-secret-of-more-than-16"


# -- users ---------------------------------------------------------------------------------------------------


def test_user_add_prints_the_secret_once_and_it_opens_the_door(run: Run, peek: LogStore) -> None:
    added = json.loads(assert_done(run("user", "add", "alice", "--role", "admin", "--json")))
    found = peek.user_of(added["access_token"])
    assert found is not None
    assert (found.username, found.role, found.id) == ("alice", "admin", added["id"])
    assert added["access_token"] not in run("user", "list").stdout


def test_user_add_takes_an_id_and_a_secret(run: Run, peek: LogStore) -> None:
    shown = assert_done(run("user", "add", "alice", "--id", "7", "--access-token", SECRET))
    assert shown == "User alice (id 7, role user) was added.\n"
    found = peek.user_of(SECRET)
    assert found is not None
    assert found.id == 7


def test_user_add_gives_somebody_known_from_events_a_login(run: Run) -> None:
    run("import", "-", input=event(user_id=5))
    added = json.loads(assert_done(run("user", "add", "alice", "--json")))
    assert added["id"] == 5


def test_a_name_with_blanks_that_came_with_events_can_have_a_login(run: Run) -> None:
    run("import", "-", input=event(user_id=5, username=" alice "))
    added = json.loads(assert_done(run("user", "add", " alice ", "--json")))
    assert (added["id"], added["username"]) == (5, " alice ")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["alice"], "has a login already"),
        (["bob", "--access-token", "short"], "16 characters or more"),
        (["bob", "--access-token", SECRET], "in use already"),
        (["bob", "--id", "0"], "from 1 to"),
        (["bob", "--id", str(2**70)], "from 1 to"),
        ([" "], "1 to 128 characters"),
        (["x" * 129], "1 to 128 characters"),
        ([" bob"], "NAME: ' bob' has blanks at its ends; it would be another user than 'bob'"),
        (["bob\t"], "NAME: 'bob\\t' has blanks at its ends"),
    ],
)
def test_user_add_refuses(run: Run, args: list[str], text: str) -> None:
    run("user", "add", "alice", "--access-token", SECRET)
    assert_error(run("user", "add", *args), text)


def test_user_rotate_ends_the_old_token(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice", "--access-token", SECRET)
    fresh = json.loads(assert_done(run("user", "rotate", "alice", "--json")))["access_token"]
    assert peek.user_of(SECRET) is None
    assert peek.user_of(fresh) is not None


def test_user_rotate_refuses_strangers_and_those_without_a_login(run: Run) -> None:
    run("import", "-", input=event())
    assert_error(run("user", "rotate", "alice"), "has no login")
    assert_error(run("user", "rotate", "nobody"), "no user is called 'nobody'")


def test_user_disable_locks_out_until_rotated(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice", "--id", "7", "--access-token", SECRET)
    assert assert_done(run("user", "disable", "7")) == "User alice (id 7) is disabled.\n"
    assert peek.user_of(SECRET) is None
    assert "disabled" in run("user", "list").stdout
    fresh = json.loads(run("user", "rotate", "alice", "--json").stdout)
    assert not fresh["disabled"]
    assert peek.user_of(fresh["access_token"]) is not None


def test_user_list_shows_everybody(run: Run) -> None:
    run("user", "add", "alice", "--role", "writer")
    run("import", "-", input=event(username="bob"))
    listed = json.loads(assert_done(run("user", "list", "--json")))
    assert [(user["username"], user["role"], user["has_login"]) for user in listed] == [
        ("alice", "writer", True),
        ("bob", "user", False),
    ]


# -- tokens --------------------------------------------------------------------------------------------------


def test_token_add_makes_a_key_that_opens_its_rows(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice", "--id", "7")
    added = json.loads(assert_done(run("token", "add", "laptop", "--user", "alice", "--id", "3", "--json")))
    assert added["key"].startswith("sk-")
    assert (added["id"], added["user_id"]) == (3, 7)
    assert peek.scope_of_key(added["key"]) is not None
    assert peek.scope_of_key(added["key"].removeprefix("sk-")) is not None


def test_token_add_does_not_repeat_a_key_it_was_given(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice")
    assert SECRET not in assert_done(run("token", "add", "laptop", "--user", "alice", "--key", SECRET))
    assert peek.scope_of_key(SECRET) is not None


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["other", "--user", "nobody"], "no user is called 'nobody'"),
        (["other", "--user", "alice", "--key", "short"], "16 characters or more"),
        (["other", "--user", "alice", "--key", SECRET], "in use already"),
        (["other", "--user", "alice", "--id", "3"], "exists already"),
        (["other"], "Missing option '--user'"),
    ],
)
def test_token_add_refuses(run: Run, args: list[str], text: str) -> None:
    run("user", "add", "alice")
    run("token", "add", "laptop", "--user", "alice", "--id", "3", "--key", SECRET)
    assert_error(run("token", "add", *args), text)


def test_token_list_and_disable(run: Run, peek: LogStore) -> None:
    run("user", "add", "alice")
    run("token", "add", "laptop", "--user", "alice", "--key", SECRET)
    [listed] = json.loads(assert_done(run("token", "list", "--json")))
    assert (listed["name"], listed["username"], listed["has_key"]) == ("laptop", "alice", True)
    assert "is disabled" in assert_done(run("token", "disable", "laptop"))
    assert "disabled" in assert_done(run("token", "list"))
    assert peek.scope_of_key(SECRET) is None
    assert_error(run("token", "disable", "desktop"), "no token is called 'desktop'")


def test_secrets_are_kept_as_hashes_only(run: Run, peek: LogStore, tmp_path: Path) -> None:
    made = [
        json.loads(run("user", "add", "alice", "--json").stdout)["access_token"],
        json.loads(run("user", "rotate", "alice", "--json").stdout)["access_token"],
        json.loads(run("token", "add", "laptop", "--user", "alice", "--json").stdout)["key"].removeprefix(
            "sk-"
        ),
    ]
    run("user", "add", "bob", "--access-token", SECRET)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert hash_key(made[2]).encode() in stored
    assert not [secret for secret in [*made, SECRET] if secret.encode() in stored]
