"""Query strings: every parameter of the table, what it finds, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE,
    ALICE_KEY,
    NOW,
    ROOT,
    contents,
    make_bobs_event,
    make_event,
    post,
    post_contents,
)

#: Every route that reads, who may call it, and the parameters it knows by kind.
RANGE = {"type": "type", "start_timestamp": "time", "end_timestamp": "time", "model_name": "text"}
OWN = RANGE | {"token_name": "text", "group": "text", "request_id": "text"}
ALL = OWN | {"username": "text", "channel": "number", "ip": "text"}
PAGING = {"p": "number", "page_size": "number", "before": "number", "after": "number"}
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
    (f"/api/log/token?key={ALICE_KEY}", {}, RANGE | {"p": "number", "page_size": "number"}),
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


def ask(client: FlaskClient, path: str, who: dict[str, str], name: str, value: str) -> Any:
    """Call a route that may have a query string already with one more parameter."""
    path, _, query = path.partition("?")
    given = dict(pair.split("=") for pair in query.split("&") if pair)
    return client.get(path, query_string={**given, name: value}, headers=who)


def found(client: FlaskClient, **query: Any) -> list[str]:
    """Return the contents of what the administrator finds."""
    data = assert_ok(client.get("/api/log/", query_string=query, headers=ROOT))
    assert data["total"] == len(data["items"])
    return contents(data["items"])


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
    post_contents(client, "x", "x")
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
    post_contents(client, "x")
    numbers = {"p": 2**63 - 1, "page_size": 2**63 - 1, "before": 2**63 - 1, "after": -(2**63)}
    times = {"start_timestamp": 10**11 - 1, "end_timestamp": -(10**11) + 1}
    data = assert_ok(client.get("/api/log/", query_string={**numbers, **times}, headers=ROOT))
    assert (data["items"], data["total"]) == ([], 0)


# type


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("0", [4, 2, 1]),
        ("-0", [4, 2, 1]),
        ("2", [2]),
        (" 2 ", [2]),
        ("consume", [2]),
        ("CONSUME", [2]),
        ("消费", [2]),
        ("4", [4]),
        ("error", [4]),
        ("错误", [4]),
        ("1", [1]),
        ("topup", [1]),
        ("7", []),
    ],
)
def test_a_type_is_a_number_or_a_name_and_0_is_all(client: FlaskClient, value: str, kinds: list[int]) -> None:
    post(client, *(make_event(type=kind, created_at=NOW - 9 + kind) for kind in (1, 2, 4)))
    data = assert_ok(client.get("/api/log/", query_string={"type": value}, headers=ROOT))
    assert [row["type"] for row in data["items"]] == kinds


# Times


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"start_timestamp": NOW - 20}, ["30", "20"]),
        ({"start_timestamp": NOW - 19}, ["30"]),
        ({"end_timestamp": NOW - 20}, ["20", "10"]),
        ({"end_timestamp": NOW - 21}, ["10"]),
        ({"start_timestamp": NOW - 20, "end_timestamp": NOW - 20}, ["20"]),
        ({"start_timestamp": 0, "end_timestamp": 0}, ["30", "20", "10"]),
        ({"start_timestamp": f"{NOW - 20}.999"}, ["30", "20"]),
        ({"end_timestamp": f"{NOW - 20}.999"}, ["20", "10"]),
        ({"start_timestamp": f"{NOW - 20}."}, ["30", "20"]),
        ({"start_timestamp": "-5", "end_timestamp": NOW}, ["30", "20", "10"]),
        ({"start_timestamp": "-0.5"}, ["30", "20", "10"]),
        ({"end_timestamp": "-5"}, []),
        ({"start_timestamp": NOW, "end_timestamp": NOW - 30}, []),
        ({"end_timestamp": 2**32 - 1}, ["30", "20", "10"]),
        ({"end_timestamp": 2**32}, ["30", "20", "10"]),
        ({"end_timestamp": 99_999_999_999}, ["30", "20", "10"]),
        ({"start_timestamp": 2**32 - 1}, []),
        ({"start_timestamp": 99_999_999_999}, []),
        ({"start_timestamp": 99_999_999_999, "end_timestamp": 99_999_999_999}, []),
    ],
    ids=str,
)
@pytest.mark.parametrize("more", [{}, {"request_id": "r"}], ids=str)
def test_a_range_is_inclusive_and_0_is_open(
    client: FlaskClient, query: dict[str, Any], rows: list[str], more: dict[str, str]
) -> None:
    post(
        client,
        *(make_event(created_at=NOW - 40 + age, content=str(age), request_id="r") for age in (10, 20, 30)),
    )
    assert found(client, **query, **more) == rows


@pytest.mark.parametrize("name", ["start_timestamp", "end_timestamp"])
@pytest.mark.parametrize("value", [f"{NOW}000", "100000000000", f"{NOW}000000", "100000000000.5"])
@pytest.mark.parametrize("path", ["/api/log/", "/api/log/stat", "/api/log/search?keyword=x"])
def test_milliseconds_are_refused_by_that_word(client: FlaskClient, path: str, value: str, name: str) -> None:
    message = assert_error(ask(client, path, ROOT, name, value), 400, "milliseconds")
    assert name in message


# Texts


@pytest.mark.parametrize("name", ["username", "token_name", "model_name"])
@pytest.mark.parametrize(
    ("value", "rows"),
    [
        ("gpt-4o", ["gpt-4o"]),
        ("GPT-4o", ["GPT-4o"]),
        ("gpt", []),
        ("gpt%", ["gpt_4o", "gpt-4o-mini", "gpt-4o"]),
        ("GPT%", ["GPT-4o"]),
        ("%4o", ["gpt_4o", "GPT-4o", "gpt-4o"]),
        ("%mini%", ["gpt-4o-mini"]),
        ("g%4%", ["gpt_4o", "gpt-4o-mini", "gpt-4o"]),
        ("gpt_4o", ["gpt_4o"]),
        ("gpt_4o%", ["gpt_4o"]),
        ("gpt?4o%", []),
        ("gpt*", []),
        ("[gG]pt%", []),
        ("%\\%", ["back\\slash"]),
        ("%[x]%", ["brackets[x]"]),
        ("%*%", ["star*"]),
        ("%模型%", ["大模型"]),
        ("é%", ["élan"]),
        ("É%", []),
        ("%", None),
        ("%%", None),
    ],
)
def test_a_name_is_exact_and_a_percent_sign_makes_a_pattern_in_which_nothing_else_is_special(
    client: FlaskClient, name: str, value: str, rows: list[str] | None
) -> None:
    names = [
        "gpt-4o",
        "GPT-4o",
        "gpt-4o-mini",
        "gpt_4o",
        "back\\slash",
        "brackets[x]",
        "star*",
        "大模型",
        "élan",
    ]
    post(
        client,
        *(
            make_event(created_at=NOW - 99 + at, content=text, **{name: text})
            for at, text in enumerate(names)
        ),
    )
    assert found(client, **{name: value}) == (names[::-1] if rows is None else rows)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"channel": 3}, ["one"]),
        ({"channel": "+3"}, ["one"]),
        ({"channel": 5}, []),
        ({"channel": -3}, []),
        ({"group": "vip"}, ["two"]),
        ({"group": "vi%"}, []),
        ({"group": "VIP"}, []),
        ({"request_id": "r-1"}, ["one"]),
        ({"request_id": "r-%"}, []),
        ({"ip": "192.0.2.1"}, ["one"]),
        ({"ip": "192.0.2.%"}, []),
        ({"username": "bob", "group": "vip", "channel": 4}, ["two"]),
        ({"username": "alice", "group": "vip"}, []),
    ],
    ids=str,
)
def test_channel_group_request_and_address_are_exact_and_filters_add_up(
    client: FlaskClient, query: dict[str, Any], rows: list[str]
) -> None:
    post(
        client,
        make_event(content="one", request_id="r-1", ip="192.0.2.1"),
        make_bobs_event(content="two", request_id="r-2", ip="192.0.2.2", channel_id=4, group="vip"),
    )
    assert found(client, **query) == rows


def test_channel_is_the_number_and_never_the_name(client: FlaskClient) -> None:
    assert_error(client.get("/api/log/?channel=east", headers=ROOT), 400, "channel")
