"""Who a host says the callers are, and which keys it says it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, redirect
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from logservice import LogService, Principal, current_logs
from logservice.errors import InvalidValue, Unavailable
from tests.answers import assert_error, assert_ok
from tests.hosts.conftest import MakeHost

ALICE = Principal(7, "alice")


class NotSignedIn(Exception):
    """An exception of the host, for which it has a page."""


def raising(error: BaseException) -> Callable[[Any], Principal]:
    def authenticate(_request: Any) -> Principal:
        raise error

    return authenticate


def test_none_is_a_stranger(host: Flask) -> None:
    LogService(host, authenticate=lambda _: None)
    answer = host.test_client().get("/api/log/self")
    assert_error(answer, 401, "access token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_without_it_the_tokens_issued_here_apply(host: Flask) -> None:
    LogService(host)
    run = host.test_cli_runner().invoke
    added = run(args=["logservice", "user", "add", "root", "--role", "admin"])
    assert added.exit_code == 0, added.output
    token = added.output.split()[-1]
    client = host.test_client()
    assert_error(client.get("/api/log/"), 401, "access token")
    assert_ok(client.get("/api/log/", headers={"Authorization": f"Bearer {token}"}))


def test_a_host_may_ask_for_credentials_in_its_own_way(host: Flask) -> None:
    challenge = WWWAuthenticate("basic", {"realm": "the host"})
    LogService(host, authenticate=raising(Unauthorized("please sign in", www_authenticate=challenge)))
    answer = host.test_client().get("/api/log/self")
    assert_error(answer, 401, "please sign in")
    assert answer.headers.getlist("WWW-Authenticate") == ['Basic realm="the host"']


def test_a_host_may_answer_by_itself(host: Flask) -> None:
    LogService(host, authenticate=lambda _: abort(redirect("/login")))
    answer = host.test_client().get("/api/log/self")
    assert (answer.status_code, answer.location) == (302, "/login")


def test_an_exception_of_the_host_is_answered_by_the_host(host: Flask) -> None:
    host.register_error_handler(NotSignedIn, lambda _error: ("the host's door", 401))
    LogService(host, authenticate=raising(NotSignedIn()))
    answer = host.test_client().get("/api/log/self")
    assert (answer.status_code, answer.text) == (401, "the host's door")


def test_an_error_of_ours_keeps_its_meaning(host: Flask) -> None:
    LogService(host, authenticate=raising(Unavailable("the users cannot be reached", retry_after=5)))
    answer = host.test_client().get("/api/log/self")
    assert_error(answer, 503, "获取日志失败")
    assert answer.headers["Retry-After"] == "5"


def test_a_mistake_lets_nobody_in_and_says_nothing_of_itself(
    host: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    LogService(host, authenticate=raising(ZeroDivisionError("a secret of the host")))
    answer = host.test_client().get("/api/log/self")
    assert_error(answer, 500, "server")
    assert "secret" not in answer.text
    assert [record.name for record in caplog.records] == ["host"]


def test_a_mistake_is_shown_where_the_host_shows_its_own(make_host: MakeHost) -> None:
    host = make_host(TESTING=True)
    LogService(host, authenticate=raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        host.test_client().get("/api/log/self")


def test_whatever_is_no_principal_is_refused_by_name(make_host: MakeHost) -> None:
    host = make_host(TESTING=True)
    someone: Any = lambda _: {"id": 7}  # noqa: E731 - what a host might write, whatever its type
    LogService(host, authenticate=someone)
    with pytest.raises(TypeError, match="authenticate returned dict; it returns a Principal or None"):
        host.test_client().get("/api/log/self")


@pytest.mark.parametrize("user_id", [None, "7", 7.0, True, 0, -1])
def test_what_is_no_id_of_a_user_is_nobody(make_host: MakeHost, user_id: Any) -> None:
    """None would stand for everybody, True for the user 1, and 0 for all rows of no user."""
    host = make_host()
    LogService(host, authenticate=lambda _: Principal(user_id, "guest"))
    with host.app_context():
        for owner in (0, 1, 7):
            current_logs.record(user_id=owner, content="somebody's own")
    for path in ("", "/search?keyword=own", "/stat", "/usage", "/export"):
        answer = host.test_client().get(f"/api/log/self{path}")
        assert_error(answer, 500, "server")
        assert "somebody's" not in answer.text
    with pytest.raises((TypeError, ValueError), match="Principal: user_id is"):
        Principal(user_id)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"role": "Admin"}, "role is 'Admin'; it is one of user, admin, writer"),
        ({"role": None}, "role is None"),
        ({"username": None}, "username is NoneType"),
        ({"username": 7}, "username is int"),
    ],
)
def test_a_role_or_name_that_is_none_is_named(given: dict[str, Any], reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"Principal: {reason}"):
        Principal(7, **given)


@pytest.mark.parametrize("name", ["authenticate", "resolve_key"])
def test_what_cannot_be_called_is_refused_at_once(name: str) -> None:
    given: dict[str, Any] = {name: "who_is_asking"}
    with pytest.raises(InvalidValue, match=f"{name}: a function is expected, not str"):
        LogService(**given)


# -- keys --------------------------------------------------------------------------------------------------

KEYS: dict[str, Any] = {"sk-one": 11, "sk-two": [12, 13], "plain": 14, "sk-empty": [], "sk-zero": 0}


@pytest.fixture
def keys(host: Flask) -> Flask:
    """A host that keeps its keys by itself, with a row of each."""
    LogService(host, authenticate=lambda _: ALICE, resolve_key=KEYS.get)
    with host.app_context():
        for token_id in (0, 11, 12, 13, 14, 15):
            current_logs.record(token_id=token_id, user_id=7, content=str(token_id))
        current_logs.record(token_key="sk-registered", user_id=7, content="registered")
    return host


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("sk-one", ["11"]),
        ("one", ["11"]),
        ("sk-two", ["12", "13"]),
        ("plain", ["14"]),
        ("sk-plain", ["14"]),
    ],
)
def test_a_key_of_the_host_shows_its_own_rows(keys: Flask, key: str, found: list[str]) -> None:
    client = keys.test_client()
    for answer in (
        client.get(f"/api/log/token?key={key}"),
        client.get("/api/log/token", headers={"Authorization": f"Bearer {key}"}),
    ):
        assert [row["content"] for row in assert_ok(answer)] == found


@pytest.mark.parametrize("key", ["sk-nobody", "sk-empty", "sk-zero", "sk-registered", ""])
def test_a_key_that_the_host_does_not_know_shows_nothing(keys: Flask, key: str) -> None:
    """Nor does one that events brought along: the host may have withdrawn it."""
    assert_error(keys.test_client().get(f"/api/log/token?key={key}"), 200, "Token不存在或无权限")


@pytest.mark.parametrize("found", [True, "12", [None], ["1"], 1.0])
def test_what_is_no_id_of_a_token_shows_nothing(make_host: MakeHost, found: Any) -> None:
    """True would be the token 1, and "12" the tokens 1 and 2."""
    host = make_host()
    LogService(host, resolve_key=lambda _: found)
    with host.app_context():
        current_logs.record_many({"token_id": token_id, "content": "a key's own"} for token_id in (1, 2, 12))
    answer = host.test_client().get("/api/log/token?key=sk-one")
    assert_error(answer, 500, "server")
    assert "a key's" not in answer.text


def test_what_resolve_key_raises_is_answered_like_what_authenticate_raises(host: Flask) -> None:
    def resolve(_key: str) -> int | None:
        raise Unavailable("the keys cannot be reached")

    LogService(host, resolve_key=resolve)
    assert_error(host.test_client().get("/api/log/token?key=sk-one"), 503, "获取日志失败")
