"""Texts that look like a page, or like more headers, are data in every answer."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.access import ROUTES, call
from tests.answers import assert_error
from tests.conftest import MakeApp, with_everybody
from tests.rows import ALICE, ALICE_KEY, ROOT, bearer, make_event, post

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")

HARM = '<script>alert("x")</script><img src=x onerror=alert(1)>'
CALLERS = (ROOT, ALICE, bearer(ALICE_KEY), {})
DATA = {"application/json", "application/x-ndjson", "text/csv"}


@pytest.fixture(scope="module")
def app(make_shared_app: MakeApp) -> Flask:
    """A service with one row of Alice's that has markup wherever a text may be."""
    app = with_everybody(make_shared_app())
    texts = ("username", "token_name", "model_name", "channel_name", "group", "ip", "request_id", "content")
    post(app.test_client(), make_event(**dict.fromkeys(texts, HARM), other={HARM: HARM}))
    return app


def test_no_answer_with_rows_is_a_page(client: FlaskClient) -> None:
    shown = set()
    for (method, path), door in ROUTES.items():
        for headers in CALLERS:
            reading = {"keyword": "script", "group_by": "model_name"} if method == "GET" else {}
            query = {**door.query, **reading}
            for more in ({}, {"format": "csv"}) if path.endswith("export") else ({},):
                answer = call(client, method, path, headers, query_string={**query, **more})
                assert answer.headers["X-Content-Type-Options"] == "nosniff", path
                if "script>" in answer.text and "alert" in answer.text:
                    assert answer.mimetype in DATA, path
                    shown.add(path)
    expected = {path for (_, path), door in ROUTES.items() if door.shows != "no rows" and "stat" not in path}
    assert shown == expected


def test_what_is_refused_is_no_page_either(client: FlaskClient) -> None:
    for path in ("/api/log", "/api/log/self", "/api/log/export", f"/nothing/{HARM}", "/docs/x"):
        for headers in CALLERS:
            answer = client.get(path, query_string={"type": HARM, "format": HARM}, headers=headers)
            assert (answer.mimetype, answer.status_code >= 400) == ("application/json", True), path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path


@pytest.mark.parametrize("path", ["/api/log/export", "/api/log/self/export"])
def test_an_export_is_a_file_whose_name_nobody_else_chose(client: FlaskClient, path: str) -> None:
    for query in ({}, {"format": "csv"}, {"format": "csv", "after": "1"}, {"username": HARM, "group": HARM}):
        said = client.get(path, query_string=query, headers=ROOT).headers["Content-Disposition"]
        assert re.fullmatch(r"attachment; filename=[\w-]+\.(csv|ndjson)", said)
    for after in ('1"; filename=x.html', "1\r\nX-Other: y", "../x"):
        answer = client.get(path, query_string={"after": after}, headers=ROOT)
        assert_error(answer, 400, "after")
        assert "X-Other" not in answer.headers
