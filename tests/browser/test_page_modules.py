"""What modules of the page work out by themselves, run in Chromium: intervals, series, labels, texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page

from logservice.store import intervals
from tests.serving import Service

#: Midnight is skipped, half an hour is, an hour is, none is; and one at another half hour from UTC.
ZONES = (
    "Africa/Cairo",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Asia/Shanghai",
    "Asia/Kolkata",
)
BESIDE = 'new URL("{}", document.querySelector("script[type=module]").src)'


@pytest.fixture(scope="module")
def page(browser: Browser, site: Service) -> Iterator[Page]:
    """The door of the page, in English."""
    with closing(browser.new_page(locale="en-US")) as page:
        page.goto(site.url)
        page.wait_for_selector("main > *")
        yield page


def run(page: Page, module: str, script: str, argument: Any = None) -> Any:
    """Return what a function gives when it is called with a module of the page and an argument."""
    imported = f"import({BESIDE.format(module)})"
    return page.evaluate(f"async (argument) => ({script})(await {imported}, argument)", argument)


@contextmanager
def in_zone(page: Page, zone: str) -> Iterator[None]:
    """Put the browser into another time zone until the block ends."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTimezoneOverride", {"timezoneId": zone})
    yield
    session.detach()


@pytest.mark.parametrize("interval", ["hour", "day", "week"])
def test_intervals_begin_when_those_of_the_service_do(page: Page, interval: str) -> None:
    first, last = (int(datetime(2026, month, 3, 5, 17, tzinfo=UTC).timestamp()) for month in (1, 12))
    beginnings = "(ranges, [interval, first, last]) => ranges.beginnings(interval, first, last)"
    for zone in ZONES:
        with in_zone(page, zone):
            found = run(page, "ranges.js", beginnings, [interval, first, last])
        steps = intervals.steps(interval, ZoneInfo(zone), first, last + 1)
        assert found == [step.start for step in steps], zone


def test_a_range_of_days_begins_at_midnight_even_after_a_day_without_one(page: Page) -> None:
    noon = int(datetime(2026, 4, 24, 12, tzinfo=ZoneInfo("Africa/Cairo")).timestamp())
    with in_zone(page, "Africa/Cairo"):
        found = run(page, "ranges.js", '(ranges, now) => ranges.rangeOf({ range: "7d" }, now)', noon * 1000)
    assert found["start"] == int(datetime(2026, 4, 18, tzinfo=ZoneInfo("Africa/Cairo")).timestamp())


@pytest.mark.parametrize(
    ("start", "end", "understood"),
    [("abc", "def", (0, 0)), ("-5", "1e99", (0, 2**32 - 1)), (None, "12.9", (0, 12)), ("99", "", (99, 0))],
)
def test_a_custom_range_is_made_of_moments_that_rows_can_have(
    page: Page, start: str | None, end: str, understood: tuple[int, int]
) -> None:
    params = {"range": "custom", "end": end} | ({} if start is None else {"start": start})
    found = run(page, "ranges.js", "(ranges, params) => ranges.rangeOf(params)", params)
    assert (found["start"], found["end"]) == understood


@pytest.mark.parametrize(("days", "interval"), [(90, "hour"), (400, "day"), (20_000, "week")])
def test_bars_of_which_there_would_be_too_many_stand_for_longer(page: Page, days: int, interval: str) -> None:
    fitting = "(ranges, end) => ranges.fittingInterval('hour', { start: 1, end })"
    assert run(page, "ranges.js", fitting, days * 86400) == interval


def usage(name: str | int | None, *, start: int = 3600, **figures: int) -> dict[str, Any]:
    return {"group": name, "start": start, "quota": 0, "requests": 0, "errors": 0, **figures}


def series(page: Page, items: list[dict[str, Any]]) -> list[tuple[Any, int]]:
    """Return (name, sum) of the series that show the cost of items."""
    script = """(module, items) => module.seriesOf(items, {
      group: "group", measure: "cost", interval: "hour", range: { start: 3600, end: 7200 },
    }).series.map(({ name, values }) => [name, values.reduce((sum, value) => sum + value, 0)])"""
    return [tuple(one) for one in run(page, "series.js", script, items)]


def test_others_are_one_series_and_the_last_however_much_they_used(page: Page) -> None:
    items = [usage("small", quota=2), usage(None, quota=5000), usage("large", quota=3)]
    found = series(page, [*items, usage("small", start=7200, quota=2), usage(None, start=7200, quota=7)])
    assert found == [("small", 4), ("large", 3), (None, 5007)]


def test_usage_without_a_name_is_a_series_of_its_own(page: Page) -> None:
    assert series(page, [usage("", quota=3), usage("named", quota=1)]) == [("", 3), ("named", 1)]


def test_what_used_nothing_is_no_series(page: Page) -> None:
    assert series(page, [usage("idle"), usage("busy", quota=1), usage(None)]) == [("busy", 1)]


def labelled(page: Page, starts: list[int], interval: str, most: int) -> list[int]:
    script = "(chart, [starts, interval, most]) => chart.labelled(starts, interval, most)"
    return list(run(page, "chart.js", script, [starts, interval, most]))


def test_every_label_below_the_bars_names_one_of_them_and_none_is_written_twice(page: Page) -> None:
    weeks = [1_790_000_000 + 7 * 86400 * place for place in range(30)]
    for interval, starts in (("day", weeks[:7]), ("week", weeks), ("week", weeks[:1])):
        for most in (1, 4, 18):
            found = labelled(page, starts, interval, most)
            assert set(found) <= set(starts)
            assert 1 <= len(found) <= most
            assert found == sorted(set(found))


def test_hours_are_labelled_at_even_times_of_the_day(page: Page) -> None:
    india = ZoneInfo("Asia/Kolkata")
    first = int(datetime(2026, 5, 1, 5, tzinfo=india).timestamp())
    with in_zone(page, "Asia/Kolkata"):
        found = labelled(page, [first + 3600 * place for place in range(72)], "hour", 16)
    assert [datetime.fromtimestamp(second, india).hour for second in found] == [6, 12, 18, 0] * 3


def test_texts_know_one_from_many(page: Page) -> None:
    script = "(i18n, rows) => rows.map((count) => i18n.t('purge.go', { rows: count }))"
    texts = run(page, "i18n.js", script, ["0", "1", "2", "1,001"])
    assert texts == ["Delete 0 rows", "Delete 1 row", "Delete 2 rows", "Delete 1,001 rows"]


def test_a_mistake_of_the_page_itself_is_shown_where_it_happened_and_told(page: Page) -> None:
    script = """async ({ settle }) => {
      const place = document.createElement("div");
      const told = new Promise((resolve) => addEventListener("error", (event) => {
        event.preventDefault();
        resolve(event.message);
      }, { once: true }));
      await settle(place, () => null.length, new AbortController().signal);
      const buttons = place.querySelectorAll("button").length;
      return [place.getAttribute("aria-busy"), buttons, place.textContent, await told];
    }"""
    busy, buttons, shown, told = run(page, "states.js", script)
    assert (busy, buttons) == (None, 1)
    assert "went wrong" in shown
    assert "null" in told
