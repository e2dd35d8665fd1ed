"""How long rows are kept, as people write it."""

from __future__ import annotations

import pytest

from logservice.store import policy
from logservice.store.policy import Rule
from logservice.store.retention import Purge

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", ()),
        ("consume=90d", (Rule(2, 90 * DAY),)),
        (" consume = 90d , error=14d,5=2w ", (Rule(2, 90 * DAY), Rule(4, 14 * DAY), Rule(5, 14 * DAY))),
        ("消费=1h", (Rule(2, HOUR),)),
    ],
)
def test_rules_are_read(text: str, rules: tuple[Rule, ...]) -> None:
    assert policy.parse(text) == rules


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("90", "'90' is not of the form"),
        ("consume=3x", "'3x' is no span"),
        ("consume=0d", "'0d' is no time at all"),
        ("consume=59m", "less than an hour"),
        ("usage=3d", "^unknown type 'usage'"),
        ("consume=90d;error=14d", "'consume=90d;error=14d' names several types: put commas"),
        ("consume=90d error=14d", "'consume=90d error=14d' names several types: put commas"),
        ("consume=1d,2=3d", "names consume twice"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        policy.parse(text)


def test_whole_hours_go() -> None:
    now = 100 * DAY + 5 * HOUR + 1234.5

    assert Rule(2, 10 * DAY).purge(now, keep_usage=True) == Purge(90 * DAY + 5 * HOUR, 2, keep_usage=True)


def test_nothing_is_older_than_time_itself() -> None:
    assert Rule(2, 10**8).purge(1000, keep_usage=True).before == 1
