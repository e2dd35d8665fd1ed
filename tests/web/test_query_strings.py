"""Query strings: what each parameter of the table finds."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import assert_ok
from tests.rows import NOW, ROOT, contents, make_bobs_event, make_event, post


def found(client: FlaskClient, **query: Any) -> list[str]:
    """Return the contents of what the administrator finds."""
    data = assert_ok(client.get("/api/log/", query_string=query, headers=ROOT))
    assert data["total"] == len(data["items"])
    return contents(data["items"])


#: Values of `type`, and the rows that they find.
TYPES = {
    "0": ["4", "2", "1"],
    "-0": ["4", "2", "1"],
    "2": ["2"],
    " 2 ": ["2"],
    "consume": ["2"],
    "CONSUME": ["2"],
    "消费": ["2"],
    "4": ["4"],
    "error": ["4"],
    "错误": ["4"],
    "1": ["1"],
    "topup": ["1"],
    "7": [],
}


def test_a_type_is_a_number_or_a_name_and_0_is_all(client: FlaskClient) -> None:
    post(client, *(make_event(type=kind, created_at=NOW - 9 + kind, content=str(kind)) for kind in (1, 2, 4)))
    assert {value: found(client, type=value) for value in TYPES} == TYPES


#: Ranges from and to a second, each None where it is not asked for, and the rows that they find by their age.
RANGES = {
    (NOW - 20, None): ["30", "20"],
    (NOW - 19, None): ["30"],
    (None, NOW - 20): ["20", "10"],
    (None, NOW - 21): ["10"],
    (NOW - 20, NOW - 20): ["20"],
    (0, 0): ["30", "20", "10"],
    (f"{NOW - 20}.999", None): ["30", "20"],
    (None, f"{NOW - 20}.999"): ["20", "10"],
    (f"{NOW - 20}.", None): ["30", "20"],
    ("-5", NOW): ["30", "20", "10"],
    ("-0.5", None): ["30", "20", "10"],
    (None, "-5"): [],
    (NOW, NOW - 30): [],
    (None, 2**32 - 1): ["30", "20", "10"],
    (None, 2**32): ["30", "20", "10"],
    (None, 99_999_999_999): ["30", "20", "10"],
    (2**32 - 1, None): [],
    (99_999_999_999, None): [],
    (99_999_999_999, 99_999_999_999): [],
}


@pytest.mark.parametrize("more", [{}, {"request_id": "r"}], ids=str)
def test_a_range_is_inclusive_and_0_is_open(client: FlaskClient, more: dict[str, str]) -> None:
    ages = (10, 20, 30)
    post(client, *(make_event(created_at=NOW - 40 + age, content=str(age), request_id="r") for age in ages))
    within = {
        (start, end): found(client, start_timestamp=start, end_timestamp=end, **more) for start, end in RANGES
    }
    assert within == RANGES


#: Newest first.
NAMES = [
    "élan",
    "大模型",
    "star*",
    "brackets[x]",
    "back\\slash",
    "gpt_4o",
    "gpt-4o-mini",
    "GPT-4o",
    "gpt-4o",
]
#: What is asked for, and which of the names that finds.
PATTERNS = {
    "gpt-4o": ["gpt-4o"],
    "GPT-4o": ["GPT-4o"],
    "gpt": [],
    "gpt%": ["gpt_4o", "gpt-4o-mini", "gpt-4o"],
    "GPT%": ["GPT-4o"],
    "%4o": ["gpt_4o", "GPT-4o", "gpt-4o"],
    "%mini%": ["gpt-4o-mini"],
    "g%4%": ["gpt_4o", "gpt-4o-mini", "gpt-4o"],
    "gpt_4o": ["gpt_4o"],
    "gpt_4o%": ["gpt_4o"],
    "gpt?4o%": [],
    "gpt*": [],
    "[gG]pt%": [],
    "%\\%": ["back\\slash"],
    "%[x]%": ["brackets[x]"],
    "%*%": ["star*"],
    "%模型%": ["大模型"],
    "é%": ["élan"],
    "É%": [],
    "%": NAMES,
    "%%": NAMES,
}


@pytest.mark.parametrize("name", ["username", "token_name", "model_name"])
def test_a_name_is_exact_and_a_percent_sign_makes_a_pattern_in_which_nothing_else_is_special(
    client: FlaskClient, name: str
) -> None:
    events = (
        make_event(created_at=NOW - at, content=text, **{name: text})
        for at, text in enumerate(NAMES, start=1)
    )
    post(client, *events)
    assert {value: found(client, **{name: value}) for value in PATTERNS} == PATTERNS


#: Filters as a query string, and the rows that they find.
FILTERS = {
    "channel=3": ["one"],
    "channel=%2B3": ["one"],
    "channel=5": [],
    "channel=-3": [],
    "group=vip": ["two"],
    "group=vi%25": [],
    "group=VIP": [],
    "request_id=r-1": ["one"],
    "request_id=r-%25": [],
    "ip=192.0.2.1": ["one"],
    "ip=192.0.2.%25": [],
    "username=bob&group=vip&channel=4": ["two"],
    "username=alice&group=vip": [],
}


def test_channel_group_request_and_address_are_exact_and_filters_add_up(client: FlaskClient) -> None:
    post(
        client,
        make_event(content="one", request_id="r-1", ip="192.0.2.1"),
        make_bobs_event(content="two", request_id="r-2", ip="192.0.2.2", channel_id=4, group="vip"),
    )
    listed = {query: assert_ok(client.get(f"/api/log/?{query}", headers=ROOT)) for query in FILTERS}
    assert {query: contents(data["items"]) for query, data in listed.items()} == FILTERS
    assert {query: data["total"] for query, data in listed.items()} == {
        query: len(rows) for query, rows in FILTERS.items()
    }
