"""The page as it is served: what it may load, how long it is kept, and below which prefixes it works."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from logservice.web.dashboard import page_files
from tests.answers import assert_error, assert_ok
from tests.page_urls import attribute, leads, loaded
from tests.rows import ALICE, GATEWAY, ROOT, Headers

#: Nothing here needs an engine of its own.
pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")


def test_the_page_may_load_from_its_own_origin_alone(client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe|https?:|\*", policy)


def test_the_page_has_neither_scripts_nor_styles_inside(client: FlaskClient) -> None:
    html = client.get("/").text
    assert re.findall(r"<script[^>]*>([^<]+)", html) == []
    assert not re.search(r"<style| style=| on\w+=", html)


def test_the_page_is_asked_for_anew_and_its_files_are_kept(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.headers["Cache-Control"] == "no-store"
    for name in loaded(page.text):
        file = client.get(f"/{name}")
        assert (file.status_code, "immutable" in file.headers["Cache-Control"]) == (200, True)
        assert client.get(f"/{name}", headers={"If-None-Match": file.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/", "/static/{version}/app.js", "/static/{version}/favicon.svg"])
def test_browsers_take_files_for_what_they_say_they_are(client: FlaskClient, path: str) -> None:
    answer = client.get(path.format(version=page_files().version))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("name", ["../dashboard.py", "%2e%2e/dashboard.py", "nothing.js", "views", ""])
def test_what_is_no_file_of_the_page_is_not_served(client: FlaskClient, name: str) -> None:
    assert_error(client.get(f"/static/{page_files().version}/{name}"), 404, "nothing at this path")


def test_a_file_of_another_version_is_not_served(client: FlaskClient) -> None:
    assert_error(client.get("/static/0123456789abcdef/app.js"), 404, "nothing at this path")


@pytest.mark.parametrize(
    ("headers", "who"),
    [(ROOT, ("root", "admin")), (ALICE, ("alice", "user")), (GATEWAY, ("gateway", "writer"))],
)
def test_the_page_learns_who_asks(client: FlaskClient, headers: Headers, who: tuple[str, str]) -> None:
    answer = client.get("/api/user/self", headers=headers)
    data = assert_ok(answer)
    assert (data["username"], data["role"]) == who
    assert answer.headers["Cache-Control"] == "no-store"


def test_currency_and_quota_come_from_the_settings(client_with) -> None:
    html = client_with(CURRENCY="¥", QUOTA_PER_UNIT="1000").get("/").text
    assert (attribute(html, "data-currency"), attribute(html, "data-quota-per-unit")) == ("¥", "1000.0")


def test_below_a_prefix_of_the_server_all_urls_stay_below_it(app: Flask) -> None:
    client = Client(DispatcherMiddleware(Flask("outside"), {"/logs": app}))
    html = client.get("/logs/").text
    assert leads("/logs/", attribute(html, "data-api")) == "/logs/api/log"
    assert all(client.get(leads("/logs/", name)).status_code == 200 for name in loaded(html))


def test_behind_a_proxy_that_takes_a_prefix_away_urls_are_relative(client: FlaskClient) -> None:
    html = client.get("/").text
    found = [*loaded(html), attribute(html, "data-api"), attribute(html, "data-user")]
    assert not [name for name in found if name.startswith("/") or ":" in name]
