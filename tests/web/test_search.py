"""`GET /api/log/search` and `/self/search`: rows by a keyword."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import assert_error, assert_ok
from tests.rows import ALICE, NOW, ROOT, contents, make_bobs_event, make_event, post, post_contents

TYPES = {
    1: ("topup", "充值"),
    2: ("consume", "消费"),
    3: ("manage", "管理"),
    4: ("error", "错误"),
    5: ("system", "系统"),
    6: ("refund", "退款"),
    7: ("login", "登录"),
}
BOTH = pytest.mark.parametrize("path", ["/api/log/search", "/api/log/self/search"])


def search(client: FlaskClient, keyword: str, path: str = "/api/log/search", **query: Any) -> list[str]:
    """Return the contents of what is found."""
    headers = ALICE if "self" in path else ROOT
    rows = assert_ok(client.get(path, query_string={"keyword": keyword, **query}, headers=headers))
    assert isinstance(rows, list)
    return contents(rows)


@pytest.mark.parametrize(
    ("number", "keyword"),
    [(number, word) for number, names in TYPES.items() for word in (str(number), *names, names[0].upper())],
)
@BOTH
def test_a_keyword_that_is_a_type_finds_the_rows_of_that_type(
    client: FlaskClient, path: str, number: int, keyword: str
) -> None:
    every = " ".join((*map(str, TYPES), *(name for names in TYPES.values() for name in names)))
    # Each content holds every keyword, so that only the type can tell them apart.
    post(client, *(make_event(type=kind, content=f"{every}: {kind}") for kind in TYPES))
    assert search(client, keyword, path) == [f"{every}: {number}"]


@pytest.mark.parametrize(
    ("content", "keyword"),
    [
        ("upstream answered 429", "answered"),
        ("upstream answered 429", "429"),
        ("upstream answered 429", "UPSTREAM ANS"),
        ("STRASSE", "straße"),
        ("Straße", "STRASSE"),
        ("ΜΟΝΤΕΛΟ", "μοντελο"),
        ("余额不足，请充值后再试", "余额"),
        ("余额不足，请充值后再试", "不"),
        ("余额不足，请充值后再试", "充值后再"),
        ("x", "x"),
        ("100% sure", "0% s"),
        ("a_b", "_"),
        ('it\'s "quoted" * ? [1]', "'s \"q"),
        ('it\'s "quoted" * ? [1]', "* ? [1]"),
        ("emoji 🚀 inside", "🚀"),
        ("8 rows", "8"),
        ("0 rows", "0"),
    ],
)
@BOTH
def test_any_other_keyword_is_looked_for_inside_content_in_any_case(
    client: FlaskClient, path: str, content: str, keyword: str
) -> None:
    post_contents(client, "something else", content, "another thing")
    assert search(client, keyword, path) == [content]


@pytest.mark.parametrize("keyword", ["GPT-5", "gpt-5", "pt-", "5"])
@BOTH
def test_a_keyword_is_looked_for_inside_the_model_name_too(
    client: FlaskClient, path: str, keyword: str
) -> None:
    post(client, make_event(content="other", model_name="claude"))
    post(client, make_event(content="found", model_name="GPT-5-mini"))
    expected = [] if keyword == "5" else ["found"]
    if keyword == "5":
        post(client, make_event(content="typed", type="system", model_name="x"))
        expected = ["typed"]
    assert search(client, keyword, path) == expected


@pytest.mark.parametrize("keyword", ["%", "*", "_", "zzz", "a%c", "b OR 1", "100", "9" * 30, "-1"])
def test_nothing_in_a_keyword_is_special(client: FlaskClient, keyword: str) -> None:
    post_contents(client, "abc", "a b")
    assert search(client, keyword) == []


@BOTH
def test_the_newest_hundred_are_returned(client: FlaskClient, path: str) -> None:
    post_contents(client, *(f"row {number}" for number in range(120)))
    newest = [f"row {number}" for number in range(119, 19, -1)]
    assert search(client, "row", path) == newest
    assert search(client, "consume", path) == newest
    assert search(client, "row", path, page_size=500) == newest


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"type": 4}, ["needle 3"]),
        ({"model_name": "claude"}, ["needle 2"]),
        ({"token_name": "laptop"}, ["needle 3", "needle 2", "needle 1"]),
        ({"token_name": "other"}, []),
        ({"group": "vip"}, ["needle 1"]),
        ({"request_id": "r1"}, ["needle 1"]),
        ({"start_timestamp": NOW - 20}, ["needle 3", "needle 2"]),
        ({"end_timestamp": NOW - 20}, ["needle 2", "needle 1"]),
        ({"page_size": 2}, ["needle 3", "needle 2"]),
        ({"page_size": 0}, ["needle 3", "needle 2", "needle 1"]),
        ({"unknown": "x"}, ["needle 3", "needle 2", "needle 1"]),
    ],
    ids=str,
)
@BOTH
def test_other_filters_apply(client: FlaskClient, path: str, query: dict[str, Any], rows: list[str]) -> None:
    post(
        client,
        make_event(created_at=NOW - 30, content="needle 1", group="vip", request_id="r1"),
        make_event(created_at=NOW - 20, content="needle 2", model_name="claude"),
        make_event(created_at=NOW - 10, content="needle 3", type="error"),
        make_event(created_at=NOW - 10, content="hay"),
    )
    assert search(client, "needle", path, **query) == rows


@pytest.mark.parametrize(
    ("query", "rows"),
    [({"username": "bob"}, ["his"]), ({"channel": "9"}, ["his"]), ({"ip": "192.0.2.8"}, ["his"])],
    ids=str,
)
def test_the_administrator_has_more_filters(
    client: FlaskClient, query: dict[str, str], rows: list[str]
) -> None:
    post(client, make_event(content="hers"), make_bobs_event(content="his", channel_id=9, ip="192.0.2.8"))
    assert search(client, "h", **query) == rows
    assert search(client, "2", **query) == rows


@BOTH
def test_a_type_keyword_and_another_type_contradict_each_other(client: FlaskClient, path: str) -> None:
    post(client, make_event(type="error"), make_event(type="consume"))
    assert search(client, "error", path, type="consume") == []


@pytest.mark.parametrize("keyword", ["row", "consume"])
@BOTH
def test_before_goes_on_where_a_search_ended(client: FlaskClient, path: str, keyword: str) -> None:
    post_contents(client, "row 1", "row 2", "row 3", "row 4", "row 5")
    headers = ALICE if "self" in path else ROOT
    query = {"keyword": keyword, "page_size": 2}
    rows = assert_ok(client.get(path, query_string=query, headers=headers))
    assert contents(rows) == ["row 5", "row 4"]
    assert search(client, keyword, path, page_size=2, before=rows[-1]["id"]) == ["row 3", "row 2"]


@pytest.mark.parametrize("query", ["", "?keyword=", "?keyword=%20", "?key_word=x"])
@BOTH
def test_a_search_needs_a_keyword(client: FlaskClient, path: str, query: str) -> None:
    assert_error(client.get(path + query, headers=ALICE if "self" in path else ROOT), 400, "keyword")
