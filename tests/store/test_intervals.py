"""Hours, days, weeks and months, as the clocks of every zone show them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logservice.errors import InvalidValue
from logservice.store import intervals
from logservice.store.ids import DAY, HOUR, MAX_SECOND
from tests.calendars import shown, start_of

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
CUT = ("hour", "day", "week", "month")


def second(text: str) -> int:
    """Return a moment in UTC as epoch seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def starts(interval: str, zone: str, low: str, high: str) -> list[str]:
    tz = intervals.zone(zone)
    found = intervals.steps(interval, tz, second(low), second(high))
    return [intervals.moment(step.start, tz) for step in found]


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    low=st.integers(1, MAX_SECOND),
    length=st.integers(1, 40 * DAY),
    interval=st.sampled_from(CUT),
    data=st.data(),
)
def test_every_second_lies_in_the_interval_that_its_clock_shows(
    zone: str, low: int, length: int, interval: str, data: st.DataObject
) -> None:
    tz = intervals.zone(zone)
    asked = data.draw(st.integers(low, low + length - 1))
    found = intervals.steps(interval, tz, low, low + length)
    [mine] = [step for step in found if any(begin <= asked < end for begin, end in step.spans)]
    for begin, end in mine.spans:
        shows = {shown(at, interval, tz) for at in (begin, end - 1, asked)}
        assert len(shows) == 1
    spans = sorted(span for step in found for span in step.spans)
    assert all(end == begin for (_, end), (begin, _) in pairwise(spans))
    assert spans[0][0] <= low
    assert spans[-1][1] >= low + length


@pytest.mark.parametrize(
    "zone", ["Asia/Kolkata", "Australia/Lord_Howe", "America/New_York", "America/Havana"]
)
@pytest.mark.parametrize("interval", CUT)
def test_an_interval_starts_where_the_clock_says_so(zone: str, interval: str) -> None:
    tz = intervals.zone(zone)
    low = second("2023-03-01")
    for step in intervals.steps(interval, tz, low, low + 30 * DAY):
        assert step.start == start_of(step.start, interval, tz)
        assert step.start == start_of(step.spans[-1][1] - 1, interval, tz)


def test_an_hour_that_is_lived_through_twice_is_two_hours() -> None:
    assert starts("hour", "America/New_York", "2023-11-05T05:00", "2023-11-05T08:00") == [
        "2023-11-05T01:00:00-04:00",
        "2023-11-05T01:00:00-05:00",
        "2023-11-05T02:00:00-05:00",
    ]


def test_an_hour_that_clocks_leave_half_way_begins_anew_there() -> None:
    assert starts("hour", "Australia/Lord_Howe", "2023-04-01T14:00", "2023-04-01T16:00") == [
        "2023-04-02T01:00:00+11:00",
        "2023-04-02T01:30:00+10:30",
        "2023-04-02T02:00:00+10:30",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2023-03-12", 23),
        ("America/New_York", "2023-11-05", 25),
        ("Australia/Lord_Howe", "2023-04-02", 24.5),
        ("Africa/Casablanca", "2023-03-19", 25),
        ("Asia/Kathmandu", "2023-03-19", 24),
    ],
)
def test_days_are_as_long_as_the_clocks_make_them(zone: str, day: str, hours: float) -> None:
    tz = intervals.zone(zone)
    noon = int(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=tz).timestamp())
    [step] = intervals.steps("day", tz, noon, noon + 1)
    [(begin, end)] = step.spans
    assert (end - begin) / HOUR == hours


def test_a_date_that_clocks_came_back_to_is_one_day() -> None:
    # In 2006 Newfoundland went back to 23:01 at one minute past midnight.
    tz = intervals.zone("America/St_Johns")
    midnight = int(datetime(2006, 10, 29, tzinfo=tz).timestamp())
    before, after = intervals.steps("day", tz, midnight - HOUR, midnight + 3 * HOUR)
    assert [len(step.spans) for step in (before, after)] == [2, 2]
    assert sum(end - begin for begin, end in before.spans) == DAY + 59 * 60
    assert after.spans[0] == (midnight, midnight + 60)


def test_a_date_that_a_zone_left_out_is_no_day() -> None:
    assert starts("day", "Pacific/Apia", "2011-12-30T00:00", "2011-12-31T00:00") == [
        "2011-12-29T00:00:00-10:00",
        "2011-12-31T00:00:00+14:00",
    ]


def test_weeks_begin_on_monday() -> None:
    assert starts("week", "Asia/Shanghai", "2023-11-12T15:59", "2023-11-12T16:01") == [
        "2023-11-06T00:00:00+08:00",
        "2023-11-13T00:00:00+08:00",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "localtime",
        "right/UTC",
        "posix/UTC",
        "asia/shanghai ",
        "../../etc/passwd",
        "/etc/localtime",
        "Asia",
        "UTC\0",
        "\ud800",
        "x" * 10_000,
    ],
)
def test_a_zone_has_an_iana_name(name: str) -> None:
    with pytest.raises(InvalidValue, match="time zone"):
        intervals.zone(name)


def test_zones_are_known_where_the_system_has_none() -> None:
    asked = "from logservice.store import intervals; print(intervals.zone('Asia/Kathmandu'))"
    environ = {**os.environ, "PYTHONTZPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", asked], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Asia/Kathmandu\n"


@pytest.mark.parametrize(("interval", "length"), [("hour", 10_001 * HOUR), ("day", 10_001 * DAY)])
def test_too_many_intervals_are_refused(interval: str, length: int) -> None:
    tz = intervals.zone("UTC")
    assert len(intervals.steps(interval, tz, DAY, length)) == 10_001 - DAY // (length // 10_001)
    with pytest.raises(InvalidValue, match=f"interval: .* 10,000 of a {interval}"):
        intervals.steps(interval, tz, DAY, length + DAY)


@pytest.mark.parametrize(
    ("text", "zone", "low", "high"),
    [
        ("2026-10", "Asia/Shanghai", "2026-09-30T16:00", "2026-10-31T16:00"),
        ("2024-02", "UTC", "2024-02-01", "2024-03-01"),
        ("2023-12", "Asia/Kolkata", "2023-11-30T18:30", "2023-12-31T18:30"),
        ("2023-11", "America/New_York", "2023-11-01T04:00", "2023-12-01T05:00"),
        ("1970-02", "Pacific/Kiritimati", "1970-02-01T10:40", "1970-03-01T10:40"),
        ("2105-12", "UTC", "2105-12-01", "2106-01-01"),
    ],
)
def test_a_month_reaches_from_its_first_second_to_the_next_one_s(
    text: str, zone: str, low: str, high: str
) -> None:
    assert intervals.month(text, intervals.zone(zone)) == (second(low), second(high))


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "2026-1", "1970-01", "2106-01", "0001-01", "٢٠٢٦-10"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="no month"):
        intervals.month(text, intervals.zone("UTC"))
