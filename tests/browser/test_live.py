"""Live mode: new rows come above, each once, none in silence, and nothing is left behind."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import call, record
from tests.serving import Service


def ids(page: Page) -> list[int]:
    found: list[int] = page.eval_on_selector_all(
        "tr.row", "lines => lines.map((line) => Number(line.dataset.id))"
    )
    return found


def rows(name: str, count: int, *, since: int = 0, step: int = 0) -> list[dict[str, Any]]:
    """Return rows that are no requests, so that no figure of another test counts them."""
    moment = since or int(time.time())
    return [call(model_name=name, type="system", created_at=moment + place * step) for place in range(count)]


def test_live_rows_come_above_without_moving_what_is_read(open_page: OpenPage, site: Service) -> None:
    page = open_page("#/logs?username=alice&model_name=live-model&live=1", user="root")
    record(site, call(model_name="live-model", request_id="first"))
    expect(page.locator("tr.row")).to_have_count(1)
    page.click("tr.row button.opener")
    before = page.locator("tr.row >> nth=0").bounding_box()
    record(site, *rows("live-model", 60))
    expect(page.locator("tr.row")).to_have_count(61)
    read = page.locator("tr.row:has(+ tr.opened)").bounding_box()
    assert before is not None
    assert read is not None
    assert abs(read["y"] - before["y"]) < 2
    expect(page.locator(".new-above")).to_have_text("↑ 60 new")


def test_live_shows_what_is_new_and_late_once_and_says_what_it_passes_over(
    open_page: OpenPage, site: Service
) -> None:
    older, now = int(time.time()) - 300, int(time.time())
    record(site, *rows("live-many", 70, since=older, step=1))
    page = open_page("#/logs?model_name=live-many&live=1", user="root")
    first = ids(page)
    record(site, *rows("live-many", 1, since=older + 60), *rows("live-many", 1, since=now))
    expect(page.locator("tr.fresh")).to_have_count(2)
    # A line is lit as one: hundreds of lines with all their cells keep a browser busy for seconds.
    animated = "one => getComputedStyle(one).animationName"
    assert page.locator("tr.fresh").first.evaluate(animated) == "fresh"
    assert page.locator("tr.fresh td").first.evaluate(animated) == "none"
    # The 20 rows of the second page are older than all that was shown: they are not new.
    shown = ids(page)
    assert len(shown) == 52
    assert shown == sorted({*first, *shown}, reverse=True)
    page.evaluate(
        """() => {
            window.said = 0;
            const all = { childList: true, characterData: true, subtree: true };
            const counted = new MutationObserver((changes) => { said += changes.length; });
            counted.observe(document.querySelector(".live-state"), all);
        }"""
    )
    record(site, *rows("live-many", 1, since=older))
    expect(page.locator(".live-state")).to_contain_text("Came too late to be shown")
    record(site, *rows("live-many", 500))
    expect(page.locator("tr.gap")).to_be_visible()
    shown = ids(page)
    assert shown == sorted(set(shown), reverse=True)
    below = page.evaluate("document.querySelectorAll('tr.gap ~ tr.row').length")
    passed_over = 73 + 500 - 20 - 1 - len(shown)
    assert passed_over > 0
    assert 0 < below < len(shown)
    expect(page.locator("tr.gap")).to_contain_text(f": {passed_over}")
    # What is read aloud is written once for each change.
    assert page.evaluate("said") <= 4


def test_a_change_of_columns_leaves_one_reader_of_new_rows(open_page: OpenPage) -> None:
    page = open_page("#/logs?model_name=gpt-4o&live=1", user="root")
    page.click(".menu summary")
    for name in ("Group", "IP", "Cached"):
        page.locator(f".menu label:has-text('{name}') input").click()
    settled(page)
    page.evaluate("performance.clearResourceTimings()")
    for _ in range(2):
        page.wait_for_event("requestfinished", lambda request: "after=" in request.url)
    entries = "performance.getEntriesByType('resource').filter((one) => one.name.includes('after='))"
    first, second, *_ = page.evaluate(f"{entries}.map((one) => one.startTime)")
    # One reader pauses for two seconds; several would come one after the other.
    assert second - first > 1900
    page.click(".live")
    settled(page)
    expect(page.locator(".live")).to_be_focused()


def test_an_expired_token_leads_to_the_door_from_live_mode_and_from_dialogs(open_page: OpenPage) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=401, json={"success": False, "message": "unauthorized"})

    page = open_page("#/logs?live=1", user="root", refused=401)
    page.route("**/api/log/**", refuse)
    expect(page.locator(".door [role=status]")).to_contain_text("no longer valid")
    page.unroute("**/api/log/**")
    page.reload()
    page.click(".live")
    settled(page)
    page.click("text=Export")
    page.wait_for_selector("dialog .primary")
    page.route("**/api/log/**", refuse)
    page.click("dialog .primary")
    expect(page.locator(".door [role=status]")).to_contain_text("no longer valid")
    expect(page.locator("dialog")).to_have_count(0)
