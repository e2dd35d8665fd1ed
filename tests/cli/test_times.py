"""Times as commands take them: a second, a date, an age."""

from __future__ import annotations

import pytest

from logservice.cli import times
from logservice.errors import InvalidValue
from tests.commands import NOW


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("1700000000", 1_700_000_000),
        (" 1700000000.9 ", 1_700_000_000),
        ("1", 1),
        ("90d", NOW - 90 * 86400),
        ("2w", NOW - 14 * 86400),
        ("12h", NOW - 12 * 3600),
        ("30m", NOW - 1800),
        ("1s", NOW - 1),
        ("2025-01-31", 1_738_281_600),
        ("2025-01-31T12:00:00", 1_738_324_800),
        ("2025-01-31 12:00:00.9", 1_738_324_800),
        ("2025-01-31T12:00:00Z", 1_738_324_800),
        ("2025-01-31T20:00:00+08:00", 1_738_324_800),
        ("2999-01-01", 32_472_144_000),
    ],
)
def test_a_time_is_epoch_seconds_iso_or_an_age(text: str, second: int) -> None:
    assert times.parse(text, now=NOW + 0.5) == second


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("170000000000", "milliseconds"),
        ("1700000000000", "milliseconds"),
        ("0", "after the start of 1970"),
        ("1969-12-31", "after the start of 1970"),
        ("0001-01-01T00:00+23:59", "1970"),
        ("99999d", "after the start of 1970"),
        ("0d", "'0d' is no time at all; the shortest is 1s"),
        ("-5", "is no time"),
        ("90", None),
        ("90y", "is no time"),
        ("9d 3h", "is no time"),
        ("٣d", "is no time"),
        ("", "is no time"),
        ("yesterday", "is no time"),
        ("2025-02-30", "is no time"),
        ("x" * 500, "is no time"),
    ],
)
def test_what_is_no_time_is_refused_with_the_reason(text: str, reason: str | None) -> None:
    if reason is None:
        assert times.parse(text, now=NOW) == int(text)
        return
    with pytest.raises(InvalidValue, match=reason):
        times.parse(text, now=NOW)


@pytest.mark.parametrize("text", [str(NOW + 1), "2999-01-01", "99999999999"])
def test_a_past_time_is_not_in_the_future(text: str) -> None:
    with pytest.raises(InvalidValue, match="in the future"):
        times.parse_past(text, now=NOW)
    assert times.parse_past(str(NOW), now=NOW) == NOW
    assert times.parse_past("1000000", now=NOW) == 1_000_000
    with pytest.raises(InvalidValue, match="is a unit missing"):
        times.parse_past("999999", now=NOW)
