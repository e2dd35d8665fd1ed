"""Statements: what a user used in a month, the same before and after its rows were purged."""

from __future__ import annotations

import pytest

from logservice.errors import InvalidValue
from logservice.store import accounts, intervals, statements
from logservice.store.retention import Purge
from logservice.store.statements import Figures, Line, Statement
from logservice.store.store import LogStore
from tests.store_rows import DAY, ENGINES, HOUR, MIDNIGHT, each_of, make_record, make_records

engine_name = each_of(*ENGINES)

#: The first second of November 2023 in UTC; MIDNIGHT is that of the 15th.
NOVEMBER = MIDNIGHT - 14 * DAY


def statement(
    store: LogStore, name: str = "alice", month: str = "2023-11", zone: str = "Asia/Shanghai"
) -> Statement:
    with store.reading() as connection:
        user = accounts.find_user(connection, name)
    return statements.of_month(store.usage, user, month, intervals.zone(zone))


def test_a_line_has_what_calls_cost_less_what_was_given_back(store: LogStore) -> None:
    call = {"model_name": "gpt-4o", "token_name": "laptop", "prompt_tokens": 10, "completion_tokens": 3}
    store.record(
        [
            make_record(**call, quota=100, cached_tokens=2),
            make_record(**call, quota=50),
            make_record(**{**call, "token_name": "phone"}, quota=7),
            make_record(type="error", model_name="gpt-4o", token_name="laptop", quota=0),
            make_record(type="refund", model_name="gpt-4o", token_name="laptop", quota=30),
            make_record(type="refund", quota=5),
            make_record(type="topup", quota=10**9),
            make_record(type="refund", model_name="free", quota=0),
            make_record(username="bob", quota=10**6),
        ]
    )
    found = statement(store)
    assert found.lines == (
        Line("", "", Figures(refunds=5)),
        Line("gpt-4o", "laptop", Figures(3, 1, 20, 6, 2, gross=150, refunds=30)),
        Line("gpt-4o", "phone", Figures(1, 0, 10, 3, 0, gross=7)),
    )
    assert found.total == Figures(4, 1, 30, 9, 2, gross=157, refunds=35)
    assert found.total.net == 122


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("UTC", NOVEMBER),
        ("Asia/Shanghai", NOVEMBER - 8 * HOUR),
        ("Asia/Kathmandu", NOVEMBER - 5 * HOUR - 2700),
        ("America/New_York", NOVEMBER + 4 * HOUR),
    ],
)
def test_a_month_is_that_of_the_zone(store: LogStore, zone: str, first: int) -> None:
    store.record([make_record(created_at=first - 1, quota=1), make_record(created_at=first, quota=10)])
    assert statement(store, zone=zone).total.gross == 10
    assert statement(store, zone=zone, month="2023-10").total.gross == 1


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York"])
@pytest.mark.parametrize("before", [MIDNIGHT, MIDNIGHT - 7777, MIDNIGHT + DAY])
def test_it_is_the_same_after_a_purge_that_keeps_usage(store: LogStore, zone: str, before: int) -> None:
    store.record(make_records(300, days=16))
    store.record(make_records(30, days=16, seed=1, type="refund"))
    asked = [(name, month) for name in ("alice", "bob") for month in ("2023-10", "2023-11")]
    before_purge = [statement(store, name, month, zone) for name, month in asked]
    list(store.purge(Purge(before, keep_usage=True)))
    assert [statement(store, name, month, zone) for name, month in asked] == before_purge
    assert all(found.lines for found in before_purge)


def test_what_is_no_month_is_refused(store: LogStore) -> None:
    store.record([make_record()])
    with pytest.raises(InvalidValue, match="no month"):
        statement(store, month="November")
