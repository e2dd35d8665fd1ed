"""Where the doors for events lie: at fixed paths when the service is alone, below a prefix in a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Request

from logservice import LogService, Principal
from logservice.errors import InvalidValue

WRITER = Principal(1, "gateway", "writer")
DOORS = {"/litellm", "/cliproxyapi", "/api/v1/events", "/v1/traces"}


def let_in(request: Request) -> Principal:
    return WRITER


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Flask]:
    """An application of somebody else, which has no log yet."""
    host = Flask("host", instance_path=str(tmp_path))
    yield host
    if "logservice" in host.extensions:
        host.extensions["logservice"].store.close()


def posts(app: Flask) -> set[str]:
    """Return the paths that take a POST."""
    return {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}


def test_alone_the_service_answers_where_protocols_look_for_it(app: Flask) -> None:
    ingest = {"/api/ingest/litellm", "/api/ingest/cliproxyapi"}
    assert posts(app) == {"/api/log", "/api/v1/events", "/v1/traces"} | ingest


def test_a_host_takes_no_events_unless_it_says_so(host: Flask) -> None:
    LogService(host, authenticate=let_in)
    assert posts(host) == set()


def test_in_a_host_every_door_lies_below_one_prefix(host: Flask) -> None:
    LogService(host, authenticate=let_in, url_prefix="/usage", ingest="/in")
    assert posts(host) == {"/usage"} | {f"/in{door}" for door in DOORS}


@pytest.mark.parametrize("url_prefix", ["/", "", "//"])
def test_a_log_does_not_lie_at_the_root_of_a_host(host: Flask, url_prefix: str) -> None:
    with pytest.raises(InvalidValue, match="url_prefix: the log lies below a path"):
        LogService(host, url_prefix=url_prefix)
    LogService(host, url_prefix="/usage")


@pytest.mark.parametrize("name", ["url_prefix", "ingest", "protocols", "data", "page", "docs", "metrics"])
def test_prefixes_begin_with_a_slash(host: Flask, name: str) -> None:
    given: dict[str, Any] = {name: "usage"}
    with pytest.raises(InvalidValue, match=f"{name}: 'usage' does not begin with a slash"):
        LogService(host, **given)
    LogService(host)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"app": "shop"}, "app: a Flask application is expected, not str"),
        ({"url_prefix": None}, 'url_prefix: a path such as "/usage" is expected, not NoneType'),
        ({"url_prefix": True}, 'url_prefix: a path such as "/usage" is expected, not bool'),
        ({"url_prefix": "/<int:n>"}, "url_prefix: '/<int:n>' is no path"),
        ({"page": "/a page"}, "page: '/a page' is no path"),
        ({"docs": 1}, 'docs: a path such as "/docs", or True, is expected, not int'),
        ({"ingest": b"/in"}, 'ingest: a path such as "/ingest", or True, is expected, not bytes'),
        ({"ingest": True, "protocols": True}, "protocols: a path such as .* is expected, not bool"),
        ({"protocols": ""}, "protocols: needs ingest as well"),
        ({"protocols": "/in", "ingest": False}, "protocols: needs ingest as well"),
        ({"db": "sqlite:///x"}, "db: a Flask-SQLAlchemy instance .*DATABASE_URL.* is expected, not str"),
        ({"engine": "sqlite:///x"}, "engine: an engine of SQLAlchemy .* is expected, not str"),
        ({"bind_key": 1}, "bind_key: the name of a bind is expected, not int"),
        ({"bind_key": "logs"}, "bind_key: needs db"),
        ({"authenticate": "f"}, "authenticate: a function is expected, not str"),
        ({"resolve_key": {}}, "resolve_key: a function is expected, not dict"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_refused_by_its_name(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        LogService(**arguments)


@pytest.mark.parametrize("app", [None, "shop"])
def test_a_log_is_mounted_on_an_application_alone(app: Any) -> None:
    with pytest.raises(InvalidValue, match="app: a Flask application is expected, not"):
        LogService().init_app(app)


@pytest.mark.parametrize(
    ("prefixes", "complaint"),
    [
        ({"data": "/api/log"}, "data: GET /api/log belongs to url_prefix"),
        ({"data": "/api/log/self/"}, "data: GET /api/log/self belongs to url_prefix"),
        ({"page": "/api/log"}, "page: GET /api/log belongs to url_prefix"),
        ({"metrics": "/api/log/token"}, "metrics: GET /api/log/token belongs to url_prefix"),
        ({"page": "/m", "metrics": "/m/"}, "metrics: GET /m belongs to page"),
        ({"page": "/p", "data": "/p"}, "page: GET /p belongs to data"),
        ({"page": "/p", "data": "/p/api/user"}, "page: GET /p/api/user/self belongs to data"),
        ({"docs": "/d", "metrics": "/d/openapi.json"}, "metrics: GET /d/openapi.json belongs to docs"),
    ],
    ids=str,
)
def test_prefixes_that_would_hide_routes_behind_others_are_refused(
    prefixes: dict[str, str], complaint: str
) -> None:
    with pytest.raises(InvalidValue, match=f"{complaint}; one of them needs another prefix"):
        LogService(**prefixes)


@pytest.mark.parametrize(
    "prefixes",
    [
        {"ingest": "/api/log", "protocols": "/api/log", "docs": "/api/log", "page": "/api/log/page"},
        {"page": "/x", "docs": "/x", "metrics": "/x/metrics", "data": "/x/data"},
        {"page": "", "docs": "", "data": "/data", "ingest": "", "protocols": ""},
        dict.fromkeys(("ingest", "data", "page", "docs", "metrics"), True),
    ],
    ids=str,
)
def test_prefixes_may_lie_in_each_other(host: Flask, prefixes: dict[str, Any]) -> None:
    LogService(host, **prefixes)


def test_a_host_whose_blueprint_bears_our_name_has_no_log(host: Flask) -> None:
    host.register_blueprint(Blueprint("logservice", __name__))
    for _ in range(2):
        with pytest.raises(ValueError, match="logservice"):
            LogService(host)
    assert "logservice" not in host.extensions


def test_a_host_may_put_protocols_where_they_are_looked_for(host: Flask) -> None:
    LogService(host, authenticate=let_in, ingest="/in", protocols="")
    assert posts(host) == {"/api/log", "/in/litellm", "/in/cliproxyapi", "/api/v1/events", "/v1/traces"}


def test_a_host_answers_as_the_protocols_demand(host: Flask) -> None:
    LogService(host, authenticate=let_in, ingest="/in")
    client = host.test_client()
    assert client.post("/in/api/v1/events", json=[]).status_code == 204
    bad: Any = client.post("/in/v1/traces", json=[])
    assert (bad.status_code, set(bad.get_json())) == (400, {"message"})
    assert client.get("/in/v1/traces").status_code == 405
    assert "message" not in (client.get("/in/v1/traces").get_json(silent=True) or {})


def reads(app: Flask, path: str) -> set[str]:
    """Return the paths below one that take a GET."""
    rules = app.url_map.iter_rules()
    return {rule.rule for rule in rules if rule.rule.startswith(path) and "GET" in (rule.methods or ())}


def test_alone_the_service_has_the_rows_of_a_dashboard_where_gateways_have_them(app: Flask) -> None:
    assert reads(app, "/api/data") == {"/api/data", "/api/data/self"}


def test_a_host_has_the_rows_of_a_dashboard_where_it_says_so(host: Flask) -> None:
    LogService(host, authenticate=lambda _: Principal(1, "root", "admin"), data="/usage/data")
    assert reads(host, "/usage/data") == {"/usage/data", "/usage/data/self"}
    answer: Any = host.test_client().get("/usage/data/")
    assert (answer.status_code, answer.get_json()["data"]) == (200, [])
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_host_has_no_rows_of_a_dashboard_unless_it_says_so(host: Flask) -> None:
    LogService(host, authenticate=let_in)
    assert not [path for path in reads(host, "/") if "data" in path]
