"""Who may see what: every route, every caller, and the rows of everybody else.

The routes are those of the application: one without a line in the table of tests/access.py fails.
"""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from logservice.store.prepared import prepared
from logservice.store.schema import VERSION_TABLE
from logservice.web import auth
from logservice.web.auth import UNKNOWN_KEY
from tests.access import (
    CALLERS,
    CAROL_TOKEN,
    CLOSED,
    FILES,
    KEY_ROUTE,
    LOGINS,
    OLD_TOKEN,
    ROUTES,
    SCRAPER_TOKEN,
    TABLET_KEY,
    WATCH_KEY,
    app_of_everybody,
    call,
    seen,
    spellings,
)
from tests.answers import assert_error, assert_ok
from tests.conftest import MakeApp
from tests.rows import (
    ALICE_KEY,
    ALICE_TOKEN,
    BOB,
    BOB_ID,
    BOB_TOKEN_ID,
    GATEWAY,
    bearer,
    make_event,
    post,
)


@pytest.fixture(scope="module")
def app(make_shared_app: MakeApp) -> Flask:
    return app_of_everybody(make_shared_app)


def test_every_route_has_a_line_in_the_table(app: Flask) -> None:
    there = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert there == ROUTES.keys() | FILES


@pytest.mark.parametrize("name", CALLERS)
def test_everybody_sees_their_own_rows_and_no_others(client: FlaskClient, name: str) -> None:
    caller = CALLERS[name]
    for (method, path), door in ROUTES.items():
        for spelling in spellings(path):
            answer = call(client, method, spelling, caller.headers)
            told = (method, spelling, answer.text)
            assert seen(answer) == door.rows_for(caller), told
            if caller.role in door.opens_to:
                assert answer.status_code == door.status, told
                assert not answer.text.startswith('{"success":false'), told
            elif path == KEY_ROUTE:
                assert_error(answer, 200, UNKNOWN_KEY)
            else:
                assert answer.status_code == (403 if caller.role in LOGINS else 401), told
                assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401), told


@pytest.mark.parametrize("name", ["nobody", "a user", "an admin", "a writer", "a key"])
def test_head_and_options_tell_no_more_than_get(client: FlaskClient, name: str) -> None:
    headers = CALLERS[name].headers
    for method, path in ROUTES:
        options = client.open(path, method="OPTIONS", headers=headers)
        assert (options.status_code, options.data) == (200, b""), path
        if method == "GET":
            got, head = (call(client, asked, path, headers) for asked in ("GET", "HEAD"))
            assert (head.status_code, head.data) == (got.status_code, b""), path


def test_a_stranger_learns_nothing_about_parameters_and_bodies(client: FlaskClient) -> None:
    unreadable = {"p": "abc", "type": "abc", "target_timestamp": "abc", "format": "abc", "nonsense": "\0"}
    for method, path in CLOSED:
        for token in ("nobody-has-this-token", CAROL_TOKEN, OLD_TOKEN, TABLET_KEY):
            answers = [
                call(client, method, path, bearer(token)),
                call(client, method, path, bearer(token), query_string=unreadable, data=b"{"),
            ]
            assert {answer.status_code for answer in answers} == {200 if path == KEY_ROUTE else 401}, path
            assert answers[0].data == answers[1].data, path


def test_somebody_is_told_by_the_id_and_not_by_the_name(client: FlaskClient) -> None:
    namesake = {"user_id": 99, "username": "bob", "token_id": 990, "token_name": "phone"}
    post(client, make_event(**namesake, content="of-namesake"))
    assert seen(client.get("/api/log/self", headers=BOB)) == {"phone"}


def test_a_writer_learns_nothing_of_the_log_from_what_it_writes(client: FlaskClient) -> None:
    unnamed = {"user_id": BOB_ID, "username": "", "token_id": 0, "token_name": "phone", "content": "written"}
    events = [make_event(**unnamed), {"user_id": BOB_ID, "nonsense": 1}]
    data = assert_ok(client.post("/api/log/", json=events, headers=GATEWAY))
    [refused] = data.pop("rejected")
    assert data == {"accepted": 1}
    assert "bob" not in str(refused)


def test_a_key_that_a_writer_made_up_opens_no_rows_of_a_token_that_has_one(client: FlaskClient) -> None:
    mine = {"token_id": BOB_TOKEN_ID, "token_key": "sk-made-up-by-a-writer", "content": "mine"}
    assert_ok(client.post("/api/log/", json=[mine], headers=GATEWAY))
    rows = assert_ok(client.get(KEY_ROUTE, headers=bearer("sk-made-up-by-a-writer")))
    assert [row["content"] for row in rows] == ["mine"]


# -- secrets are looked up, and never compared --------------------------------------------------------------


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the database from now on, in order, without the values."""
    asked: list[str] = []
    run = prepared.__call__

    def noting(self: Any, connection: Any, values: Any, *shape: Any, **named: Any) -> Any:
        asked.append(self.compiled(connection.dialect, *shape, **named).sql)
        return run(self, connection, values, *shape, **named)

    monkeypatch.setattr(prepared, "__call__", noting)
    return asked


def test_a_known_secret_takes_the_same_way_as_an_unknown_one(
    client: FlaskClient, statements: list[str]
) -> None:
    # Where nobody sees rows by it, the answers differ in their words alone.
    tokens = (GATEWAY["Authorization"].split()[1], ALICE_TOKEN, CAROL_TOKEN, OLD_TOKEN, "unknown-to-all-0001")
    keys = (ALICE_KEY, TABLET_KEY, WATCH_KEY, "sk-unknown-to-everybody")
    for path, secrets in (("/api/log", tokens), (KEY_ROUTE, keys)):
        ways = []
        for secret in secrets:
            statements.clear()
            client.get(path, headers=bearer(secret), query_string={"p": "abc"})
            ways.append(list(statements))
        assert ways == [ways[0]] * len(ways)
        # Each transaction looks first whether the schema is still the one it knows.
        [found_by_its_hash] = [way for way in ways[0] if VERSION_TABLE not in way]
        assert "_hash" in found_by_its_hash


def test_the_one_secret_that_is_compared_takes_as_long_whatever_it_is(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(auth, "compare_digest", lambda given, known: bool(compared.append((given, known))))
    assert_error(client.get("/metrics", headers=bearer("the-token-of-promethea")), 401, "")
    assert compared == [(b"the-token-of-promethea", SCRAPER_TOKEN.encode())]
