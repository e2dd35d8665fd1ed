"""The overview: figures, a chart that is really drawn, and what clicks on it do."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import ALICES_CALLS, BOBS_CALLS, ERRORS, MODEL, call, record
from tests.serving import Service

COLOURS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] === 255) seen.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
  }
  return [...seen];
}"""


def colour(page: Page, name: str) -> str:
    """Return a colour of the style sheet as `r,g,b`."""
    value = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
    return ",".join(str(int(value[at : at + 2], 16)) for at in (1, 3, 5))


def test_the_figures_are_those_of_the_api(open_page: OpenPage, site: Service) -> None:
    page = open_page("#/overview?range=all", user="root")
    found = site.get("/api/log/stat")
    cost = f"${found['quota'] / 500_000:.2f}"
    expect(page.locator(".figure-cost dd").first).to_have_text(cost)
    expect(page.locator(".figure-requests dd").first).to_have_text(str(found["requests"]))
    expect(page.locator(".figure-errors dd").first).to_have_text(str(found["errors"]))


def test_the_chart_is_drawn_in_the_colours_of_its_legend(open_page: OpenPage) -> None:
    page = open_page("", user="root")
    drawn = page.locator(".chart canvas").evaluate(COLOURS)
    assert {colour(page, "--series-1"), colour(page, "--series-2")} <= set(drawn)


def test_a_click_on_a_bar_filters_by_what_it_stands_for(open_page: OpenPage) -> None:
    page = open_page("#/overview?range=all&interval=week&measure=requests", user="root")
    # The lowest piece of the last bar is the model that was called most.
    area = page.locator(".chart .u-over").bounding_box()
    assert area is not None
    bars = page.evaluate("document.querySelectorAll('.chart canvas').length")
    assert bars == 1
    page.locator(".chart .u-over").click(position={"x": 8, "y": area["height"] - 4})
    page.wait_for_url(f"**model_name={MODEL}**")
    settled(page)
    expect(page.locator(".figure-requests dd").first).to_have_text(str(ALICES_CALLS + ERRORS))


def test_a_click_on_a_name_filters_everything_and_its_chip_takes_it_back(open_page: OpenPage) -> None:
    page = open_page("", user="root")
    page.click(".top-list button.entry >> text=bob")
    settled(page)
    expect(page.locator(".figure-requests dd").first).to_have_text(str(BOBS_CALLS))
    expect(page.locator(".legend li")).to_have_text(["claude-sonnet-4"])
    page.click(".chip")
    settled(page)
    assert "username" not in page.url


def test_the_chart_is_there_as_a_table_for_who_cannot_see_it(open_page: OpenPage) -> None:
    page = open_page(f"#/overview?measure=requests&by=username&model_name={MODEL}", user="root")
    page.click(".as-table summary")
    page.wait_for_selector(".as-table tbody tr")
    values = page.eval_on_selector_all(
        ".as-table tbody tr td:nth-child(2)", "cells => cells.map((cell) => Number(cell.textContent))"
    )
    assert sum(values) == ALICES_CALLS + ERRORS
    assert "alice" in str(page.locator(".chart-canvas").get_attribute("aria-label"))


def test_a_filter_that_leaves_nothing_says_so_and_can_be_cleared(open_page: OpenPage) -> None:
    page = open_page("#/overview?model_name=no-such-model", user="root")
    expect(page.locator(".place-newest .notice")).to_contain_text("No rows match")
    page.click(".place-newest .notice button")
    settled(page)
    assert page.locator(".place-newest tr.row").count() == 10


def test_of_many_only_the_largest_have_colours_and_the_others_are_one(
    open_page: OpenPage, site: Service
) -> None:
    crowd = [{"token_name": f"token-{place}", "quota": 10_000 * (9 - place)} for place in range(9)]
    moment = int(time.time()) - 30
    record(
        site,
        *[
            call(username="crowd", model_name="crowded", token_key="", created_at=moment, **one)
            for one in crowd
        ],
    )
    page = open_page("#/overview?username=crowd&by=token_name", user="root")
    expect(page.locator(".legend li")).to_have_text([*(f"token-{place}" for place in range(7)), "Others"])
    expect(page.locator(".legend button")).to_have_count(7)
    expect(page.locator(".legend .series-other")).to_have_count(1)
    expect(page.locator(".legend span.entry")).to_have_attribute("title", "$0.06")


def test_errors_are_measured_as_errors(open_page: OpenPage) -> None:
    page = open_page("#/overview?type=4&range=all", user="root")
    expect(page.locator(".chart-controls [aria-pressed=true]").first).to_have_text("Errors")
    expect(page.locator(".figure-errors dd").first).to_have_text(str(ERRORS))
    assert page.locator(".figure-requests").count() == 0
    expect(page.locator(".top-list .number").first).to_have_text(str(ERRORS))
    expect(page.locator(".place-newest tr.row")).to_have_count(ERRORS)


def test_one_press_asks_again_for_everything_that_failed(open_page: OpenPage) -> None:
    page = open_page("#/logs", user="root", refused=503)
    busy = {"status": 503, "json": {"success": False, "message": "busy"}}
    page.route("**/api/log/**", lambda route: route.fulfill(**busy))
    page.click("nav.views a >> text=Overview")
    settled(page)
    assert page.locator(".notice-error").count() > 3
    page.unroute("**/api/log/**")
    page.locator(".notice-error button").first.click()
    settled(page)
    expect(page.locator(".notice-error")).to_have_count(0)
    expect(page.locator(".place-newest tr.row")).to_have_count(10)
    expect(page.locator(".chart canvas")).to_have_count(1)
