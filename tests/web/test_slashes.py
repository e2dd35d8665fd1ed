"""Every route answers with and without a slash at its end, and never with a redirect."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.answers import assert_error
from tests.rows import ALICE_KEY, ROOT

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def spellings(path: str) -> tuple[str, str]:
    """Return a path without and with a slash at its end."""
    bare = path.rstrip("/")
    return bare or "/", f"{bare}/"


def rules(app: Flask) -> list[tuple[str, set[str]]]:
    """Return every path the application knows, its placeholders filled in, and its methods."""
    return [
        (re.sub(r"<[^>]*>", "x", rule.rule), set(rule.methods or ())) for rule in app.url_map.iter_rules()
    ]


def call(client: FlaskClient, path: str, method: str) -> TestResponse:
    """Call with everything that any route wants."""
    query = {"key": ALICE_KEY, "keyword": "x"} if method != "DELETE" else {"target_timestamp": "1"}
    body = {"data": b"{}", "content_type": "application/json"} if "/traces" in path else {"data": b"[]"}
    return client.open(path, method=method, query_string=query, headers=ROOT, **body)


def steady(answer: TestResponse, path: str) -> object:
    """Return what an answer says, without what changes from call to call."""
    bare = spellings(path)[0]
    if bare in ("/metrics", "/docs"):
        # What was counted meanwhile, and the way to files from this URL.
        return answer.content_type
    if bare == "/openapi.json" and answer.data:
        # Where the service is, seen from this URL.
        return answer.get_json() | {"servers": None}
    if bare == "/api/log/health" and answer.data:
        # The room on the disk, which others take and give back meanwhile.
        said = answer.get_json()
        return said | {"data": said["data"] | {"free_bytes": None}}
    return answer.data


def test_the_walk_meets_the_routes_of_the_specification(app: Flask) -> None:
    known = {spellings(path)[0] for path, _ in rules(app)}
    assert {"/api/log", "/api/log/stat", "/api/log/search", "/api/log/token"} <= known
    assert {"/api/log/self", "/api/log/self/stat", "/api/log/self/search", "/api/ingest/litellm"} <= known
    assert {"/api/log/usage", "/api/log/self/usage", "/api/data", "/api/data/self"} <= known
    assert {"/api/log/export", "/api/log/self/export"} <= known
    assert {"/api/ingest/cliproxyapi", "/api/v1/events", "/v1/traces"} <= known


def test_every_route_answers_alike_with_and_without_a_slash(app: Flask, client: FlaskClient) -> None:
    # The files of pages are there under their one name.
    for path, methods in [rule for rule in rules(app) if "/static/" not in rule[0]]:
        for method in methods:
            answers = [call(client, spelling, method) for spelling in spellings(path)]
            good = 204 if (method, path) == ("POST", "/api/v1/events") else 200
            assert {answer.status_code for answer in answers} == {good}, (method, path)
            assert steady(answers[0], path) == steady(answers[1], path), (method, path)


def test_no_path_and_no_method_is_answered_by_a_redirect(app: Flask, client: FlaskClient) -> None:
    for path, _ in rules(app):
        for method in METHODS:
            for spelling in spellings(path):
                assert not 300 <= call(client, spelling, method).status_code < 400, (method, spelling)


def test_an_unknown_method_is_405_with_and_without_a_slash(app: Flask, client: FlaskClient) -> None:
    known: dict[str, set[str]] = {}
    for path, methods in rules(app):
        known.setdefault(spellings(path)[1], set()).update(methods)
    for path, methods in known.items():
        for method in set(METHODS) - methods - {"HEAD"}:
            for spelling in spellings(path):
                answer = call(client, spelling, method)
                if "/traces" in path:  # which has words of its own for failures
                    assert (answer.status_code, "method" in answer.get_json()["message"]) == (405, True)
                else:
                    assert_error(answer, 405, "method")


@pytest.mark.parametrize(
    "path",
    [
        "//api/log/",
        "/api//log/",
        "/api/log//",
        "/api/log//self",
        "/api/log/self//",
        "/api/log/self//stat",
        "/api/log/token//",
        "/api/log//token",
        "/api/ingest//litellm",
        "/api//v1/events",
        "//v1/traces",
        "/v1//traces/",
        "//healthz",
        "/api/log/self/stat/x",
        "/api/log/./self",
        "/api/log/SELF",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_doubled_slash_is_no_redirect_either(client: FlaskClient, path: str, method: str) -> None:
    # Through the environment, for the client itself would take `//api` for a host.
    answer = client.open("/", method=method, environ_overrides={"PATH_INFO": path}, headers=ROOT)
    assert answer.status_code in (200, 400, 404, 405, 415)
    assert "Location" not in answer.headers
