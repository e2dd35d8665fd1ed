"""Query strings that nobody should send: what is refused, by name, and what is ignored, on every route."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.answers import assert_error, assert_ok
from tests.conftest import MakeApp, with_everybody
from tests.rows import ALICE, ALICE_KEY, NOW, ROOT, post_contents

#: Every route that reads, who may call it, and the parameters it knows by kind.
RANGE = {"type": "type", "start_timestamp": "time", "end_timestamp": "time", "model_name": "text"}
OWN = RANGE | {"token_name": "text", "group": "text", "request_id": "text"}
ALL = OWN | {"username": "text", "channel": "number", "ip": "text"}
PAGING = {"p": "number", "page": "number", "page_size": "number", "before": "number", "after": "number"}
SEARCH = {"page_size": "number", "before": "number"}
ROUTES = (
    ("/api/log/", ROOT, ALL | PAGING),
    ("/api/log/self", ALICE, OWN | PAGING),
    ("/api/log/stat", ROOT, ALL),
    ("/api/log/self/stat", ALICE, OWN),
    ("/api/log/search?keyword=x", ROOT, ALL | SEARCH),
    ("/api/log/self/search?keyword=x", ALICE, OWN | SEARCH),
    ("/api/log/usage", ROOT, ALL),
    ("/api/log/self/usage", ALICE, OWN),
    ("/api/data/", ROOT, {"start_timestamp": "time", "end_timestamp": "time", "username": "text"}),
    ("/api/data/self", ALICE, {"start_timestamp": "time", "end_timestamp": "time"}),
    (f"/api/log/token?key={ALICE_KEY}", {}, RANGE | {"p": "number", "page": "number", "page_size": "number"}),
)
KNOWN = [(path, who, name, kind) for path, who, names in ROUTES for name, kind in names.items()]
EACH = pytest.mark.parametrize(("path", "who", "name", "kind"), KNOWN, ids=str)

REFUSED = {
    "number": [
        "abc",
        "NaN",
        "inf",
        "1.5",
        "1e3",
        "0x1",
        "1_000",
        "١",
        "9" * 5000,
        "1\0",
        "\0",
        "--1",
        "null",
    ],
    "time": [
        "abc",
        "NaN",
        "Infinity",
        "1e9",
        "0x1",
        "1_000",
        "2025-01-01",
        "١",
        "9" * 5000,
        "1\0",
        "\0",
        ".",
    ],
    "type": ["abc", "NaN", "8", "-1", "2.0", "unknown", "9" * 5000, "2\0", "\0"],
    "text": ["\0", "a\0b"],
}
BEYOND_64_BITS = [str(2**63), str(-(2**63) - 1), str(2**64), str(10**30)]


@pytest.fixture(scope="module")
def app(make_shared_app: MakeApp) -> Flask:
    """One service with two rows for all: nothing here stores any."""
    app = with_everybody(make_shared_app())
    post_contents(app.test_client(), "x", "x")
    return app


def ask(client: FlaskClient, path: str, who: dict[str, str], name: str, value: str) -> Any:
    """Call a route that may have a query string already with one more parameter."""
    path, _, query = path.partition("?")
    given = dict(pair.split("=") for pair in query.split("&") if pair)
    return client.get(path, query_string={**given, name: value}, headers=who)


@EACH
def test_what_cannot_be_read_is_refused_by_name(
    client: FlaskClient, path: str, who: dict[str, str], name: str, kind: str
) -> None:
    refused = REFUSED[kind] + ([] if kind == "text" else BEYOND_64_BITS)
    for value in refused:
        assert_error(ask(client, path, who, name, value), 400, f"{name}: ")


@EACH
def test_an_empty_value_is_an_absent_one(
    client: FlaskClient, path: str, who: dict[str, str], name: str, kind: str
) -> None:
    empty, absent = (assert_ok(ask(client, path, who, given, "")) for given in (name, "nothing"))
    assert empty == absent


@pytest.mark.parametrize(("path", "who", "names"), ROUTES)
def test_an_unknown_parameter_is_ignored(
    client: FlaskClient, path: str, who: dict[str, str], names: dict[str, str]
) -> None:
    for name in ("unknown", "P", "Type", "sort", "", "types", "model_names", "user_id", "_", "é"):
        assert_ok(ask(client, path, who, name, "abc\0"))


NASTY = ["'", '"', "\\", "%", "%%%", "_", "[", "*", "\ud800", "\ufeff", "😀", "a" * 100_000, "';DROP TABLE x"]


@EACH
def test_nothing_that_a_client_sends_is_a_mistake_of_ours(
    client: FlaskClient, path: str, who: dict[str, str], name: str, kind: str
) -> None:
    for value in [*NASTY, str(2**63 - 1), str(-(2**63)), "0", "-1", "99999999999"]:
        answer = ask(client, path, who, name, value.encode("utf-8", "surrogatepass"))
        assert answer.status_code in (200, 400), (value, answer.text)


def test_every_parameter_at_its_extremes_at_once(client: FlaskClient) -> None:
    numbers = {"p": 2**63 - 1, "page_size": 2**63 - 1, "before": 2**63 - 1, "after": -(2**63)}
    times = {"start_timestamp": 10**11 - 1, "end_timestamp": -(10**11) + 1}
    data = assert_ok(client.get("/api/log/", query_string={**numbers, **times}, headers=ROOT))
    assert (data["items"], data["total"]) == ([], 0)


@pytest.mark.parametrize("name", ["start_timestamp", "end_timestamp"])
@pytest.mark.parametrize("value", [f"{NOW}000", "100000000000", f"{NOW}000000", "100000000000.5"])
@pytest.mark.parametrize("path", ["/api/log/", "/api/log/stat", "/api/log/search?keyword=x"])
def test_milliseconds_are_refused_by_that_word(client: FlaskClient, path: str, value: str, name: str) -> None:
    message = assert_error(ask(client, path, ROOT, name, value), 400, "milliseconds")
    assert name in message


@pytest.mark.parametrize("name", ["start_timestamp", "end_timestamp"])
def test_a_date_is_refused_with_an_example_of_a_time(client: FlaskClient, name: str) -> None:
    message = assert_error(client.get(f"/api/log/?{name}=2025-01-01", headers=ROOT), 400, name)
    assert message == f"{name}: not a number of epoch seconds, such as 1735689600"


def test_channel_is_the_number_and_never_the_name(client: FlaskClient) -> None:
    assert_error(client.get("/api/log/?channel=east", headers=ROOT), 400, "channel")
