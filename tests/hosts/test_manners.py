"""A good guest: what is not below its prefix stays as it was, and what is below it is its own."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest
from flask import Blueprint, Flask, abort
from flask_cors import CORS

from logservice import LogService, Principal
from logservice.web.principal import Authenticate
from tests.answers import assert_error, assert_ok
from tests.hosts.conftest import MakeHost

ROOT = Principal(1, "root", "admin")
EVERYTHING: dict[str, Any] = {"ingest": True, "data": True, "page": True, "docs": True, "metrics": True}


def let_in(_request: Any) -> Principal:
    return ROOT


def refuse(status: int) -> Authenticate:
    """Recognise callers as an application does that ends a request by itself."""
    return lambda _request: abort(status)


def traits(app: Flask) -> dict[str, Any]:
    """Return what an extension could change of an application, and of the process around it."""
    loggers = (logging.root, logging.getLogger("logservice"), logging.getLogger("gunicorn"), app.logger)
    return {
        "config": {name: value for name, value in app.config.items() if "LOGSERVICE_" not in name},
        "error handlers": {name: dict(kinds) for name, kinds in app.error_handler_spec[None].items()},
        "before requests": list(app.before_request_funcs.get(None, ())),
        "teardowns": (list(app.teardown_request_funcs.get(None, ())), list(app.teardown_appcontext_funcs)),
        "url processors": (list(app.url_value_preprocessors[None]), list(app.url_default_functions[None])),
        "context": list(app.template_context_processors[None]),
        "shell": list(app.shell_context_processors),
        "jinja": (sorted(app.jinja_env.globals), sorted(app.jinja_env.filters), sorted(app.jinja_env.tests)),
        "jinja options": (app.jinja_env.autoescape, app.jinja_env.trim_blocks, app.jinja_env.undefined),
        "map": (app.url_map.merge_slashes, app.url_map.strict_slashes, sorted(app.url_map.converters)),
        "classes": (app.session_interface, app.json, app.request_class, app.response_class),
        "loggers": [(log.level, list(log.handlers), list(log.filters), log.propagate) for log in loggers],
        "handlers of errors": (app.handle_exception, app.handle_user_exception, app.wsgi_app),
    }


def test_nothing_of_the_application_changes_but_what_bears_our_name(host: Flask) -> None:
    before, extensions, commands = traits(host), set(host.extensions), set(host.cli.commands)
    rules = {(rule.rule, rule.endpoint) for rule in host.url_map.iter_rules()}
    LogService(host, authenticate=let_in, url_prefix="/usage", **EVERYTHING)
    assert traits(host) == before
    assert set(host.extensions) - extensions == {"logservice"}
    assert set(host.cli.commands) - commands == {"logservice"}
    added = {(rule.rule, rule.endpoint) for rule in host.url_map.iter_rules()} - rules
    assert all(path == "/usage" or path.startswith("/usage/") for path, _ in added)
    assert all(endpoint.startswith("logservice") for _, endpoint in added)
    assert all(name.startswith("logservice") for name in host.blueprints)


def test_blueprints_of_the_host_may_bear_the_names_of_ours(host: Flask) -> None:
    for name in ("admin", "public", "self", "data", "page", "events", "static_files"):
        bp = Blueprint(name, __name__, url_prefix=f"/{name}")
        bp.add_url_rule("/", "logs", lambda name=name: f"the host's {name}")
        host.register_blueprint(bp)
    LogService(host, authenticate=let_in, **EVERYTHING)
    client = host.test_client()
    assert client.get("/admin/").text == "the host's admin"
    assert client.get("/data/").text == "the host's data"
    assert_ok(client.get("/api/log/"))


def with_pages_for_errors(host: Flask) -> Flask:
    """Give a host pages of its own for all that can go wrong."""
    for status in (400, 401, 403, 404, 405, 413, 415, 500):
        host.register_error_handler(status, lambda _error, status=status: (f"the host's {status}", status))
    return host


@pytest.mark.parametrize("path", ["/nowhere", "/usage/nowhere", "/usage/12/34"])
def test_the_page_for_lost_visitors_stays_the_hosts(host: Flask, path: str) -> None:
    LogService(with_pages_for_errors(host), authenticate=let_in, url_prefix="/usage", **EVERYTHING)
    answer = host.test_client().get(path)
    assert (answer.status_code, answer.text) == (404, "the host's 404")


def test_routes_of_the_log_answer_in_their_envelope_whatever_pages_a_host_has(make_host: MakeHost) -> None:
    host = with_pages_for_errors(make_host(LOGSERVICE_MAX_BODY="1KB"))
    LogService(host, authenticate=let_in, url_prefix="/usage", **EVERYTHING)
    client = host.test_client()
    assert_error(client.get("/usage/?start_timestamp=soon"), 400, "start_timestamp")
    assert_error(client.post("/usage/", data=b" " * 2000, content_type="application/json"), 413, "body")
    assert_error(client.post("/usage/", data="x", content_type="text/plain"), 415, "Content-Type")
    assert_error(client.get("/usage/page/static/none/none.js"), 404, "nothing at this path")
    assert client.post("/usage/ingest/v1/traces", data=b"{", content_type="application/json").is_json


def test_pages_of_other_sites_post_nothing_with_a_cookie(host: Flask) -> None:
    """Browsers send these types, with cookies, without asking first; no type at all is one of them."""
    LogService(host, authenticate=let_in, url_prefix="/usage", ingest=True)
    client = host.test_client()
    types = (None, "", "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded")
    for path in ("", "/ingest/litellm", "/ingest/cliproxyapi", "/ingest/api/v1/events", "/ingest/v1/traces"):
        for kind in (*types, "multipart/form-data; boundary=x"):
            answer = client.post(f"/usage{path}", data=b'{"content": "forged"}', content_type=kind)
            assert answer.status_code == 415, (path, kind)
            assert "Content-Type" in answer.text
    assert assert_ok(client.get("/usage/"))["total"] == 0


def test_access_tokens_need_no_content_type(host: Flask) -> None:
    """No browser sends them on its own."""
    LogService(host, ingest=True)
    added = host.test_cli_runner().invoke(args=["logservice", "user", "add", "gateway", "--role", "writer"])
    sent = {"Authorization": f"Bearer {added.output.split()[-1]}"}
    assert_ok(host.test_client().post("/api/log/", data=b'{"content": "sent"}', headers=sent))


@pytest.mark.parametrize("status", [400, 401, 403, 418, 429, 500, 503])
def test_what_authenticate_aborts_with_is_the_answer(host: Flask, status: int) -> None:
    LogService(with_pages_for_errors(host), authenticate=refuse(status), **EVERYTHING)
    client = host.test_client()
    assert_error(client.get("/api/log/"), status, "")
    assert_error(client.get("/api/log/?start_timestamp=soon"), status, "")
    assert client.post("/api/log/ingest/v1/traces", json={}).status_code == status


def test_a_guest_of_two_applications_keeps_them_apart(make_host: MakeHost) -> None:
    """One process, one class, two prefixes, two ways to log in, two databases, two settings."""
    service = LogService(authenticate=let_in, url_prefix="/usage")
    first, second = make_host(), make_host(LOGSERVICE_LEGACY_STATUS="1")
    service.init_app(first)
    LogService(second, url_prefix="/logs", authenticate=lambda _: Principal(7, "alice"), page=True)
    with first.app_context():
        service.record(content="of the first")
    assert assert_ok(first.test_client().get("/usage/"))["total"] == 1
    assert assert_ok(second.test_client().get("/logs/self"))["total"] == 0
    assert_error(second.test_client().get("/logs/"), 200, "role")
    assert second.test_client().get("/usage/").status_code == 404
    assert first.test_client().get("/usage/page/").status_code == 404


def test_one_instance_serves_all_applications_of_a_factory(make_host: MakeHost) -> None:
    service = LogService(authenticate=let_in)
    hosts = [make_host(), make_host()]
    for host in hosts:
        service.init_app(host)
    with hosts[0].app_context():
        service.record(content="once")
    assert [assert_ok(host.test_client().get("/api/log/"))["total"] for host in hosts] == [1, 0]


def test_an_application_takes_one_log(host: Flask) -> None:
    LogService(host)
    with pytest.raises(RuntimeError, match="already"):
        LogService(host)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_hosts_own_origins_hold_for_its_own_routes_alone(host: Flask, is_first: bool) -> None:
    host.add_url_rule("/", "home", lambda: "home")
    if is_first:
        CORS(host, origins=["https://host.example"], supports_credentials=True)
    LogService(host, authenticate=let_in, url_prefix="/usage")
    if not is_first:
        CORS(host, origins=["https://host.example"], supports_credentials=True)
    client = host.test_client()
    for origin, answered in (
        ("https://host.example", ["https://host.example"]),
        ("https://other.example", []),
    ):
        key = client.get("/usage/token?key=sk-unknown", headers={"Origin": origin})
        assert key.headers.getlist("Access-Control-Allow-Origin") == ["*"]
        assert "Access-Control-Allow-Credentials" not in key.headers
        home = client.get("/", headers={"Origin": origin})
        assert home.headers.getlist("Access-Control-Allow-Origin") == answered


@pytest.mark.parametrize("is_first", [True, False])
def test_where_origins_are_listed_a_host_lets_in_no_others(make_host: MakeHost, is_first: bool) -> None:
    """However open the host is, and whichever of the two was registered first."""
    host = make_host(LOGSERVICE_CORS_ORIGINS="https://pages.example")
    if is_first:
        CORS(host, supports_credentials=True)
    LogService(host, authenticate=let_in, url_prefix="/usage", **EVERYTHING)
    if not is_first:
        CORS(host, supports_credentials=True)
    client = host.test_client()
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for path, method in itertools.product(
        ("/usage/", "/usage/self", "/usage/ingest/litellm"), ("GET", "OPTIONS")
    ):
        listed, other = (
            client.open(path, method=method, headers={"Origin": origin, **asking}).headers
            for origin in ("https://pages.example", "https://other.example")
        )
        assert listed.getlist("Access-Control-Allow-Origin") == ["https://pages.example"]
        assert "Access-Control-Allow-Credentials" not in listed
        assert not [name for name, _ in other if name.startswith("Access-Control-Allow-")]


def test_no_origin_is_let_in_elsewhere(make_host: MakeHost) -> None:
    host = make_host(LOGSERVICE_CORS_ORIGINS="https://pages.example")
    host.add_url_rule("/", "home", lambda: "home")
    host.add_url_rule("/usages", "usages", lambda: "home")
    LogService(host, authenticate=let_in, url_prefix="/usage")
    client, sent = host.test_client(), {"Origin": "https://pages.example"}
    assert "Access-Control-Allow-Origin" in client.get("/usage/", headers=sent).headers
    for path in ("/", "/usages", "/nowhere"):
        assert not [name for name, _ in client.get(path, headers=sent).headers if name.startswith("Access-")]


def test_what_is_asked_for_lies_below_the_prefix(host: Flask) -> None:
    LogService(host, authenticate=let_in, url_prefix="/usage/", **EVERYTHING)
    client = host.test_client()
    assert_ok(client.get("/usage/"))
    assert_ok(client.get("/usage/data"))
    assert_ok(client.post("/usage/", json={"content": "posted"}))
    assert client.post("/usage/ingest/api/v1/events", json=[]).status_code == 204
    assert client.get("/usage/page").mimetype == "text/html"
