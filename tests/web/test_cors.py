"""Which web origins may read what."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.access import KEY_ROUTE, ROUTES, call
from tests.rows import ALICE_KEY, ROOT

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")

ORIGIN = "https://somewhere.example"
LISTED = "https://dashboard.example"
ALLOW = "Access-Control-Allow-"

#: How the token route can end, for better or worse.
ENDS = (
    ("GET", f"/api/log/token?key={ALICE_KEY}", 200),
    ("GET", f"/api/log/token/?key={ALICE_KEY}", 200),
    ("GET", "/api/log/token", 200),
    ("GET", "/api/log/token?key=sk-unknown", 200),
    ("GET", f"/api/log/token?key={ALICE_KEY}&p=abc", 400),
    ("POST", "/api/log/token", 405),
)
#: All other routes of the log, and those outside it, whose answers hold none.
OTHERS = [(method, path) for method, path in ROUTES if path.startswith(("/api/log", "/api/data", "/api/v1"))]
OTHERS += [(method, path) for method, path in ROUTES if path.startswith(("/api/ingest", "/v1"))]
OTHERS.remove(("GET", KEY_ROUTE))
OUTSIDE = [(method, path) for method, path in ROUTES if (method, path) not in OTHERS and path != KEY_ROUTE]
FOREIGN = (ORIGIN, "null", f"{LISTED}.evil.example", "http://dashboard.example", "https://xdashboard.example")
#: What a browser sends beside the origin if a page asks for it.
CREDENTIALS = {**ROOT, "Cookie": "session=1"}


def from_origin(client: FlaskClient, method: str, path: str, origin: str, **headers: str) -> TestResponse:
    """Call as a browser does for a page of some origin."""
    return client.open(path, method=method, headers={"Origin": origin, **headers})


def preflight(
    client: FlaskClient, path: str, origin: str, method: str = "GET", names: str = ""
) -> TestResponse:
    """Ask as a browser does before a call with headers of its own."""
    asked: dict[str, Any] = {"Access-Control-Request-Method": method}
    if names:
        asked["Access-Control-Request-Headers"] = names
    return from_origin(client, "OPTIONS", path, origin, **asked)


def listed(value: str) -> set[str]:
    """Return the parts of a header."""
    return {part.strip().lower() for part in value.split(",")}


@pytest.mark.parametrize(("method", "path", "status"), ENDS)
@pytest.mark.parametrize("origin", [ORIGIN, "null", "http://localhost:3000"])
def test_any_origin_reads_what_the_token_route_answers(
    client: FlaskClient, method: str, path: str, status: int, origin: str
) -> None:
    answer = from_origin(client, method, path, origin)
    assert answer.status_code == status
    assert answer.headers.getlist(f"{ALLOW}Origin") == ["*"]
    assert f"{ALLOW}Credentials" not in answer.headers


def test_any_origin_reads_that_the_database_failed(client: FlaskClient, store) -> None:
    store.write(lambda connection: connection.exec_driver_sql("DROP TABLE log_tokens"))
    answer = from_origin(client, "GET", f"/api/log/token?key={ALICE_KEY}", ORIGIN)
    assert answer.status_code == 503
    assert answer.headers[f"{ALLOW}Origin"] == "*"


@pytest.mark.parametrize("path", ["/api/log/token", "/api/log/token/", "/api/log/token?key=x"])
@pytest.mark.parametrize(
    "names", ["", "content-type", "authorization", "content-type, authorization", "x-other"]
)
def test_options_of_the_token_route_allows_get_and_names_both_headers(
    client: FlaskClient, path: str, names: str
) -> None:
    answer = preflight(client, path, ORIGIN, names=names)
    assert 200 <= answer.status_code < 300
    assert answer.headers[f"{ALLOW}Origin"] == "*"
    assert "get" in listed(answer.headers[f"{ALLOW}Methods"])
    assert {"content-type", "authorization"} <= listed(answer.headers[f"{ALLOW}Headers"])
    assert f"{ALLOW}Credentials" not in answer.headers


def test_options_is_answered_in_full_to_whoever_asks(client: FlaskClient) -> None:
    answer = client.options("/api/log/token")
    assert 200 <= answer.status_code < 300
    assert "get" in listed(answer.headers[f"{ALLOW}Methods"])
    assert {"content-type", "authorization"} <= listed(answer.headers[f"{ALLOW}Headers"])


def grants(answer: TestResponse) -> dict[str, str]:
    """Return what an answer allows pages of another origin."""
    return {name: value for name, value in answer.headers if name.startswith(ALLOW)}


def asked_from(client: FlaskClient, method: str, path: str, origin: str) -> list[TestResponse]:
    """Call as a page may: at once, with what its browser knows of the user, and asking first."""
    return [
        call(client, method, path, {"Origin": origin}),
        call(client, method, path, {"Origin": origin, **CREDENTIALS}),
        from_origin(client, method, path, origin, **CREDENTIALS),
        preflight(client, path, origin, method),
        preflight(client, path, origin, method, "authorization, content-type, x-other"),
    ]


def test_all_but_the_token_route_is_closed_to_pages_of_other_origins(client: FlaskClient) -> None:
    for method, path in [*OTHERS, *OUTSIDE]:
        for origin in (ORIGIN, "null", "http://127.0.0.1:8000"):
            for answer in asked_from(client, method, path, origin):
                assert grants(answer) == {}, (method, path, origin)


def test_a_setting_opens_the_other_routes_to_listed_origins_and_no_others(client_with) -> None:
    client = client_with(CORS_ORIGINS=f"{LISTED},https://second.example")
    for method, path in OTHERS:
        for answer in asked_from(client, method, path, LISTED):
            granted = grants(answer)
            assert granted.pop(f"{ALLOW}Origin") == LISTED, (method, path)
            # Cookies and the like are nobody's to send.
            assert granted.keys() <= {f"{ALLOW}Methods", f"{ALLOW}Headers"}, (method, path)
        asked = preflight(client, path, LISTED, method, "authorization")
        assert method.lower() in listed(asked.headers[f"{ALLOW}Methods"])
        assert "authorization" in listed(asked.headers[f"{ALLOW}Headers"])
        for origin in FOREIGN:
            for answer in asked_from(client, method, path, origin):
                assert f"{ALLOW}Origin" not in answer.headers, (method, path, origin)
    for method, path in OUTSIDE:
        for answer in asked_from(client, method, path, LISTED):
            assert grants(answer) == {}, (method, path)


@pytest.mark.parametrize(("method", "path", "status"), ENDS)
@pytest.mark.parametrize("origin", [ORIGIN, LISTED])
def test_the_token_route_stays_open_to_all_beside_listed_origins(
    client_with, client: FlaskClient, method: str, path: str, status: int, origin: str
) -> None:
    answer = from_origin(client_with(CORS_ORIGINS=LISTED), method, path, origin)
    assert answer.headers.getlist(f"{ALLOW}Origin") == ["*"]


def test_an_origin_of_ipv6_is_taken_as_it_stands(client_with) -> None:
    client = client_with(CORS_ORIGINS="http://[::1]:5173")
    for origin, is_open in (("http://[::1]:5173", True), ("http://:", False), ("http://[::1]:51731", False)):
        answer = from_origin(client, "GET", "/api/log/", origin, **ROOT)
        assert (answer.headers.get(f"{ALLOW}Origin") == origin) is is_open, origin


def test_a_star_lets_any_origin_in(client_with) -> None:
    answer = from_origin(client_with(CORS_ORIGINS="*"), "GET", "/api/log/", ORIGIN, **ROOT)
    assert answer.headers[f"{ALLOW}Origin"] == ORIGIN
