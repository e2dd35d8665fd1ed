"""How the page looks and reads: languages, themes, narrow screens, keyboards, and what axe-core finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import call, record
from tests.serving import Service

AXE = Path(__file__).parent / "vendor/axe.min.js"
CONTROLS = """() => [...document.querySelectorAll("a, button, input, select, summary")]
    .filter((one) => one.checkVisibility())"""
OLD = 1_577_836_800
#: With few rows, for axe-core looks at each of them for as long.
VIEWS = ("#/overview?type=4", "#/logs?type=4", "#/search?keyword=too+many", "#/maintenance")


def test_the_language_is_the_browsers_until_another_is_chosen(open_page: OpenPage) -> None:
    page = open_page("#/logs", user="root", locale="zh-CN")
    expect(page.locator("nav.views a[aria-current]")).to_have_text("日志")
    page.click("#language")
    expect(page.locator("nav.views a[aria-current]")).to_have_text("Logs")
    page.reload()
    settled(page)
    expect(page.locator("nav.views a[aria-current]")).to_have_text("Logs")
    assert page.evaluate("document.documentElement.lang") == "en"


def brightness(page: Page) -> int:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour[4:-1].split(",")) // 3


def test_the_theme_is_the_systems_until_another_is_chosen(open_page: OpenPage) -> None:
    page = open_page("", user="root", color_scheme="dark")
    assert brightness(page) < 60
    page.click("#theme")
    assert brightness(page) > 200
    page.reload()
    settled(page)
    assert brightness(page) > 200


@pytest.mark.parametrize("fragment", ["", "#/overview", *VIEWS])
def test_no_view_is_wider_than_a_narrow_screen(open_page: OpenPage, fragment: str) -> None:
    user = "root" if fragment else None
    page = open_page(fragment, user=user, viewport={"width": 360, "height": 740})
    if "logs" in fragment:
        page.click("tr.row button.opener >> nth=0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_everything_can_be_reached_by_keyboard(open_page: OpenPage) -> None:
    page = open_page("#/logs?type=4", user="root")
    page.evaluate("window.reached = new Set()")
    for _ in range(len(page.evaluate(CONTROLS)) + 10):
        page.keyboard.press("Tab")
        page.evaluate("reached.add(document.activeElement)")
    missed = f"({CONTROLS})().filter((one) => !reached.has(one)).map((one) => one.outerHTML.slice(0, 80))"
    assert page.evaluate(missed) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("fragment", ["", "#/overview", *VIEWS])
def test_axe_finds_nothing_serious(open_page: OpenPage, fragment: str, theme: str) -> None:
    page = open_page(fragment, user="root" if fragment else None, color_scheme=theme)
    if "logs" in fragment:
        page.click("tr.row button.opener >> nth=0")
    assert serious(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_what_opens_on_the_way(
    open_page: OpenPage, site: Service, theme: str
) -> None:
    page = open_page("#/logs?type=4&live=1", user="root", color_scheme=theme, refused=503)
    found = {}
    page.click(".menu summary")
    found["columns, live"] = serious(page)
    page.click("text=Export")
    page.wait_for_selector("dialog button.primary")
    found["export"] = serious(page, "dialog")
    page.keyboard.press("Escape")
    page.route(
        "**/api/log/**", lambda route: route.fulfill(status=503, json={"success": False, "message": "no"})
    )
    page.click("nav.views a >> text=Overview")
    page.wait_for_selector(".place-newest .notice-error")
    found["errors"] = serious(page)
    page.unroute("**/api/log/**")
    record(site, call(created_at=OLD, type="topup", quota=0, other=""))
    page.click("nav.views a >> text=Maintenance")
    page.select_option("#purge-type", "1")
    page.click("text=Count rows")
    page.wait_for_selector("dialog .danger")
    found["purge"] = serious(page, "dialog")
    page.keyboard.press("Escape")
    page.click("#leave")
    page.fill("#key", "sk-bobs-own-key-00000000001")
    page.press("#key", "Enter")
    page.wait_for_selector("table.rows")
    found["key"] = serious(page)
    assert {name: complaints for name, complaints in found.items() if complaints} == {}


def serious(page: Page, within: str = "html") -> list[tuple[str, str, str]]:
    """Return what axe-core finds: rule, element, and what to do."""
    if page.evaluate("window.axe === undefined"):
        page.evaluate(f"() => {{ {AXE.read_text()} }}")
    run = "(place) => axe.run(place, { resultTypes: ['violations'] }).then((result) => result.violations)"
    return [
        (one["id"], node["html"][:160], node["failureSummary"][:300])
        for one in page.evaluate(run, within)
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
