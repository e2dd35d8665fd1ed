"""`GET /api/log/`: all rows, page by page."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import assert_ok
from tests.rows import ALICE, NOW, ROOT, contents, make_bobs_event, make_event, post, post_contents

NUMBERS = [str(number) for number in range(1, 31)]
NEWEST = NUMBERS[::-1]


def page_of(client: FlaskClient, **query: Any) -> dict[str, Any]:
    """Ask as the administrator."""
    data = assert_ok(client.get("/api/log/", query_string=query, headers=ROOT))
    assert isinstance(data, dict)
    return data


def test_the_administrator_sees_everybody_newest_first(client: FlaskClient) -> None:
    post(
        client,
        make_event(created_at=NOW - 3, content="oldest"),
        make_bobs_event(created_at=NOW - 1, content="newest"),
        make_event(created_at=NOW - 2, content="late"),
    )
    data = page_of(client)
    assert contents(data["items"]) == ["newest", "late", "oldest"]
    assert data["total"] == 3


def test_an_empty_log_has_an_empty_list(client: FlaskClient) -> None:
    assert page_of(client) == {"items": [], "total": 0, "page": 1, "page_size": 20}


@pytest.mark.parametrize(
    ("query", "rows", "page", "page_size"),
    [
        ({}, NEWEST[:20], 1, 20),
        ({"p": 1}, NEWEST[:20], 1, 20),
        ({"p": 0}, NEWEST[:20], 1, 20),
        ({"p": -3}, NEWEST[:20], 1, 20),
        ({"p": ""}, NEWEST[:20], 1, 20),
        ({"p": 2}, NEWEST[20:], 2, 20),
        ({"p": 3}, [], 3, 20),
        ({"p": 10**12}, [], 10**12, 20),
        ({"page": 2}, NEWEST[20:], 2, 20),
        ({"page": 0}, NEWEST[:20], 1, 20),
        ({"page": 2, "p": ""}, NEWEST[20:], 2, 20),
        ({"page": 3, "p": 2}, NEWEST[20:], 2, 20),
        ({"page": "abc", "p": 2}, NEWEST[20:], 2, 20),
        ({"p": 2**63 - 1, "page_size": 100}, [], 2**63 - 1, 100),
        ({"page_size": 7}, NEWEST[:7], 1, 7),
        ({"page_size": 7, "p": 5}, NEWEST[28:], 5, 7),
        ({"page_size": 0}, NEWEST[:20], 1, 20),
        ({"page_size": -1}, NEWEST[:20], 1, 20),
        ({"page_size": ""}, NEWEST[:20], 1, 20),
        ({"page_size": 100}, NEWEST, 1, 100),
        ({"page_size": 101}, NEWEST, 1, 100),
        ({"page_size": 2**63 - 1}, NEWEST, 1, 100),
    ],
    ids=str,
)
def test_a_page_reports_the_number_and_size_used_and_the_true_total(
    client: FlaskClient, query: dict[str, Any], rows: list[str], page: int, page_size: int
) -> None:
    post_contents(client, *NUMBERS)
    data = page_of(client, **query)
    assert contents(data["items"]) == rows
    assert (data["total"], data["page"], data["page_size"]) == (30, page, page_size)


def test_a_page_has_a_hundred_rows_at_most(client: FlaskClient) -> None:
    post_contents(client, *(str(number) for number in range(120)))
    data = page_of(client, page_size=500)
    assert contents(data["items"]) == [str(number) for number in range(119, 19, -1)]
    assert data["page_size"] == 100


# Cursors


def ids_of(client: FlaskClient) -> dict[str, int]:
    """Return the id of each row by its content."""
    return {row["content"]: row["id"] for row in page_of(client, page_size=100)["items"]}


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ("20", None, NEWEST[11:16]),
        ("3", None, ["2", "1"]),
        ("1", None, []),
        (None, "20", ["25", "24", "23", "22", "21"]),
        (None, "28", ["30", "29"]),
        (None, "30", []),
        ("20", "17", ["19", "18"]),
        ("20", "10", ["19", "18", "17", "16", "15"]),
        ("10", "20", []),
    ],
)
def test_a_cursor_shows_the_rows_next_to_it_newest_first(
    client: FlaskClient, before: str | None, after: str | None, rows: list[str]
) -> None:
    post_contents(client, *NUMBERS)
    ids = ids_of(client)
    cursor = {"before": before and ids[before], "after": after and ids[after]}
    data = page_of(client, page_size=5, p=3, **{name: value for name, value in cursor.items() if value})
    assert contents(data["items"]) == rows
    # `p` is ignored and reported as 1; `total` ignores cursors.
    assert (data["page"], data["page_size"], data["total"]) == (1, 5, 30)


@pytest.mark.parametrize("path", ["/api/log/", "/api/log/self"])
def test_walking_by_cursor_meets_every_row_once(client: FlaskClient, path: str) -> None:
    post_contents(client, *NUMBERS)
    seen: list[str] = []
    query: dict[str, Any] = {"page_size": 7}
    while rows := assert_ok(client.get(path, query_string=query, headers=ROOT if path[-1] == "/" else ALICE))[
        "items"
    ]:
        seen += contents(rows)
        query["before"] = rows[-1]["id"]
    assert seen == NEWEST


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        (0, None, 0),
        (-1, None, 0),
        (2**63 - 1, None, 3),
        (-(2**63), None, 0),
        (None, 0, 3),
        (None, -5, 3),
        (None, 2**63 - 1, 0),
        (None, -(2**63), 3),
    ],
)
@pytest.mark.parametrize("more", [{}, {"request_id": "r"}], ids=str)
def test_a_cursor_far_outside_is_answered(
    client: FlaskClient, before: int | None, after: int | None, count: int, more: dict[str, str]
) -> None:
    post_contents(client, "a", "b", "c", request_id="r")
    cursor = {"before": before, "after": after, **more}
    data = page_of(client, **{name: value for name, value in cursor.items() if value is not None})
    assert (len(data["items"]), data["total"]) == (count, 3)
