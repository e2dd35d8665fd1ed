"""Nothing that a caller sends widens what they see: parameters, headers, bodies, ways to write a path."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from logservice.web.described import facts_of
from tests.access import (
    CALLERS,
    EVERYTHING,
    KEY_ROUTE,
    NOTHING,
    OWN_ROUTES,
    ROUTES,
    Caller,
    app_of_everybody,
    call,
    seen,
)
from tests.conftest import MakeApp
from tests.rows import ALICE_KEY, BOB_ID, BOB_KEY, BOB_TOKEN_ID, ROOT, ROOT_TOKEN

#: Parameters that no route knows, and somebody may hope for.
HOPES = ("user_id", "user", "id", "token_id", "token_key", "token", "key", "channel_id", "scope", "role")
HOPES += ("types", "model_names", "admin", "all", "filter", "where", "order_by", "fields", "include")

#: What stands in the rows of others, patterns, and what would end a text of SQL or stand for a value.
VALUES = (
    "bob",
    "BOB",
    "phone",
    str(BOB_ID),
    str(BOB_TOKEN_ID),
    BOB_KEY,
    "content of-phone",
    "model_name of-phone",
    "group of-phone",
    "request_id of-phone",
    "192.0.2.3",
    "%",
    "%phone%",
    "_____",
    "*",
    "alice,bob",
    "consume",
    "' OR '1'='1",
    "%' OR 1=1 --",
    "\\' OR 1=1 --",
    '" OR ""="',
    "\\%",
    "') OR user_id IN (8) --",
    "'; DROP TABLE log_records; --",
    "%(scope_user)s :scope_user ? $1",
    "bob\0",
)


@pytest.fixture(scope="module")
def app(make_shared_app: MakeApp) -> Flask:
    return app_of_everybody(make_shared_app)


def parameters(app: Flask, path: str) -> set[str]:
    """Return the names that a route knows."""
    [view] = [
        app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        if rule.rule == path and "GET" in (rule.methods or ())
    ]
    schema = facts_of(view).query
    return set() if schema is None else set(schema().fields)


def unknown_parameters(app: Flask, path: str) -> set[str]:
    """Return the names that other routes know, and those that none does."""
    known = {name for method, other in ROUTES if method == "GET" for name in parameters(app, other)}
    return {*known, *HOPES} - parameters(app, path)


def caller_of(path: str) -> Caller:
    return CALLERS["a key" if path == KEY_ROUTE else "a user"]


def good_query(path: str) -> dict[str, str]:
    """Return what a good call of a route sends; with two keys, the first one counts."""
    return {"key": ALICE_KEY} if path == KEY_ROUTE else ROUTES["GET", path].query


def assert_own_rows_at_most(answer: TestResponse, caller: Caller, sent: object) -> None:
    assert answer.status_code in (200, 400), (sent, answer.text)
    assert seen(answer) <= caller.rows, (sent, answer.text)


@pytest.mark.parametrize("path", OWN_ROUTES)
def test_no_parameter_shows_the_rows_of_others(app: Flask, client: FlaskClient, path: str) -> None:
    caller, query = caller_of(path), good_query(path)
    hopes = unknown_parameters(app, path) - query.keys()
    assert {"username", "channel", "ip", "user_id"} <= hopes
    for value in VALUES:
        sent = dict.fromkeys(hopes, value) | query
        answer = call(client, "GET", path, caller.headers, query_string=sent)
        assert seen(answer) == caller.rows, (sent, answer.text)
        for name in parameters(app, path):
            sent = {**query, name: value}
            answer = call(client, "GET", path, caller.headers, query_string=sent)
            assert_own_rows_at_most(answer, caller, sent)


@pytest.mark.parametrize("path", OWN_ROUTES)
def test_a_parameter_that_comes_twice_or_in_other_letters_widens_nothing(
    app: Flask, client: FlaskClient, path: str
) -> None:
    caller, query = caller_of(path), good_query(path)
    for name in parameters(app, path) | {"key", "username", "user_id"}:
        others = BOB_KEY if name == "key" else "phone"
        mine = query.get(name, "")
        odd = dict.fromkeys((name.upper(), f"{name}[]", f"{name}[0]", f" {name}", f"{name}\x00"), others)
        for sent in (
            {**query, name: [mine, others]},
            {**query, name: [mine, "", others, "%"]},
            {**query, **odd},
        ):
            answer = call(client, "GET", path, caller.headers, query_string=sent)
            assert_own_rows_at_most(answer, caller, sent)


def test_administrators_meet_no_mistake_of_ours_either(app: Flask, client: FlaskClient) -> None:
    texts = {"username", "token_name", "model_name", "group", "request_id", "ip", "keyword"}
    for path in [path for (_, path), door in ROUTES.items() if door.shows == "all rows"]:
        for value in VALUES:
            sent = ROUTES["GET", path].query | dict.fromkeys(texts & parameters(app, path), value)
            answer = call(client, "GET", path, ROOT, query_string=sent)
            assert answer.status_code == (400 if "\0" in value else 200), (path, sent, answer.text)
    assert seen(client.get("/api/log", headers=ROOT)) == EVERYTHING


#: Headers by which other programs take a method, a path or a person for another.
HEADERS = {
    "X-HTTP-Method-Override": "DELETE",
    "X-HTTP-Method": "DELETE",
    "X-Method-Override": "POST",
    "X-Original-URL": "/api/log/",
    "X-Rewrite-URL": "/api/log/",
    "X-Forwarded-Uri": "/api/log/",
    "X-Forwarded-Prefix": "/api/log",
    "X-Forwarded-User": "bob",
    "X-Remote-User": "root",
    "Remote-User": "root",
    "X-User-Id": str(BOB_ID),
    "New-API-User": "1",
    "Veloera-User": str(BOB_ID),
    "User-id": "nonsense",
    "X-Role": "admin",
    "X-Api-Key": BOB_KEY,
    "X-Access-Token": ROOT_TOKEN,
    "Cookie": f"session={ROOT_TOKEN}; token={ROOT_TOKEN}; user=1",
    "Range": "bytes=0-100000",
    "If-None-Match": "*",
}


@pytest.mark.parametrize("name", ["nobody", "a user", "a writer", "a key"])
def test_no_header_makes_somebody_else_of_a_caller(client: FlaskClient, name: str) -> None:
    caller = CALLERS[name]
    for method, path in ROUTES:
        plain = call(client, method, path, caller.headers)
        answer = call(client, method, path, {**HEADERS, **caller.headers})
        told = (method, path, answer.text)
        assert (answer.status_code, seen(answer)) == (plain.status_code, seen(plain)), told


BODIES = (
    {"json": {"username": "bob", "user_id": BOB_ID, "scope": "site", "role": "admin"}},
    {"data": {"username": "bob", "key": BOB_KEY, "_method": "DELETE"}},
    {"data": b"\x1f\x8b\x08", "content_type": "application/x-ndjson"},
)


def test_no_body_of_a_get_shows_more(client: FlaskClient) -> None:
    for path in OWN_ROUTES:
        caller = caller_of(path)
        for body in BODIES:
            answer = client.get(path, headers=caller.headers, query_string=ROUTES["GET", path].query, **body)
            assert seen(answer) == caller.rows, (path, body)


#: Ways to write a path that other programs take for the administrator's.
PATHS = (
    "/API/LOG/",
    "/api/Log",
    "/api/log/self/..",
    "/api/log/self/../",
    "/api/log/self/../stat",
    "/api/log/./",
    "/api//log/",
    "//api/log/",
    "/api/log//",
    "/api/log;/self",
    "/api/log/;x=self",
    "/api/log/%2e",
    "/api/log/self%2f..%2f",
    "/api/log/\\self",
    "/api/log/ ",
    "/api/log/\t",
    "/api/log/\0",
    "/api/log.json",
    "/api/log/export/",
    "/static/0/../../api/log/",
)


@pytest.mark.parametrize("name", ["a user", "a key", "a disabled admin"])
def test_no_spelling_of_a_path_opens_what_is_the_administrator_s(client: FlaskClient, name: str) -> None:
    for path in PATHS:
        for method in ("GET", "HEAD", "POST", "DELETE", "TRACE"):
            # Through the environment, for the client itself would take `//api` for a host.
            environ = {"PATH_INFO": path}
            answer = client.open("/", method=method, environ_overrides=environ, headers=CALLERS[name].headers)
            assert answer.status_code in (401, 403, 404, 405), (method, path)
            assert seen(answer) == NOTHING, (method, path)
