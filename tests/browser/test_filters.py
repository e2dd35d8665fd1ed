"""Filters and ranges by mouse and keyboard, what links may say, and pages that are not there."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import BOBS_CALLS, MODEL

#: What the keyboard is at: the text of a button, or what a field is called.
FOCUSED = """() => {
  const { ariaLabel, innerText, value, tagName, name } = document.activeElement;
  return ariaLabel ?? (innerText || value || name || tagName);
}"""
#: LONGEST_PRESS of fragment.js, in milliseconds.
LONGEST_PRESS = 1000
CUSTOM = "range=custom&start=1790000000&end=1790100000"


def total(page: Page) -> int:
    return int(str(page.locator(".pager .total").first.get_attribute("data-total")))


def press(page: Page, control: str) -> None:
    """Press Enter at a control that has something asked for, and wait for the answers."""
    with page.expect_response("**/api/log/**"):
        page.locator(control).first.press("Enter")
    settled(page)


def test_a_date_is_typed_whole_before_it_counts(open_page: OpenPage) -> None:
    page = open_page(f"#/logs?{CUSTOM}", user="root", timezone_id="UTC", locale="en-US")
    before = page.url
    start = page.locator(".field.time input").first
    start.focus()
    page.keyboard.type("09222026")
    assert page.url == before
    page.keyboard.press("Enter")
    page.wait_for_url("**start=17900*")
    settled(page)
    expect(start).to_be_focused()
    assert start.input_value() == "2026-09-22T14:13:20"
    expect(page.locator(".ranges .wrong")).to_be_empty()
    start.fill("2026-09-30T00:00:00")
    page.locator(".field.time input").last.focus()
    expect(page.locator(".ranges .wrong")).to_have_text("This begins after it ends.")


def test_a_click_after_typing_counts_as_well_as_what_was_typed(open_page: OpenPage) -> None:
    page = open_page("#/logs", user="root")
    page.fill("input[name=username]", "bob")
    page.click("text=30 days", delay=100)
    page.wait_for_url("**username=bob**")
    assert "range=30d" in page.url
    settled(page)
    assert total(page) == BOBS_CALLS
    page.fill("input[name=model_name]", "claude%")
    page.click("text=Export", delay=100)
    expect(page.locator("dialog")).to_contain_text(f"{BOBS_CALLS} rows match")
    assert "model_name=claude" in page.url


def test_the_end_of_an_earlier_press_does_not_end_a_later_one(open_page: OpenPage) -> None:
    page = open_page("#/logs", user="root")
    page.click("text=30 days")
    page.wait_for_timeout(LONGEST_PRESS - 300)
    page.fill("input[name=username]", "bob")
    page.click("text=Export", delay=600)
    expect(page.locator("dialog")).to_contain_text(f"{BOBS_CALLS} rows match")


def test_the_keyboard_stays_at_what_was_pressed(open_page: OpenPage) -> None:
    page = open_page("#/logs?size=20", user="root")
    for control, known_as in (
        (".ranges button >> text=30 days", "30 days"),
        (".pager button >> text=2", "Page 2"),
        (".actions .live", "Live"),
        (".actions .live", "Live"),
        ("button.name >> text=bob", "bob"),
    ):
        press(page, control)
        assert page.evaluate(FOCUSED) == known_as
    for control in (".chip", "nav.views a >> text=Overview"):
        press(page, control)
        expect(page.locator("main")).to_be_focused()
    for control in (".chart-controls button >> text=Requests", ".chart-controls button >> text=Week"):
        press(page, control)
        expect(page.locator(control)).to_be_focused()
        expect(page.locator(control)).to_have_attribute("aria-pressed", "true")


def test_a_link_of_an_administrator_does_not_pretend_to_filter_for_a_user(open_page: OpenPage) -> None:
    page = open_page("#/logs?username=bob&ip=1.2.3.4&channel=4", user="alice")
    assert page.locator(".chip").count() == 0
    own = total(page)
    page.goto(page.url.partition("#")[0] + "#/logs")
    settled(page)
    assert own == total(page) > 0


@pytest.mark.parametrize(
    "fragments",
    [
        ("#/%E0%A4%A", "#/toString", "#/constructor?by=constructor&measure=toString&interval=valueOf"),
        ("#/overview?range=custom&start=1&interval=hour", "#/logs?range=constructor&p=1.5&size=toString"),
    ],
)
def test_a_garbled_link_shows_something_all_the_same(open_page: OpenPage, fragments: tuple[str, ...]) -> None:
    page = open_page(fragments[0], user="root")
    for fragment in fragments:
        page.evaluate("fragment => { location.hash = fragment; }", fragment)
        settled(page)
        expect(page.locator("tr.row").first).to_be_visible()
        assert page.locator(".notice-error").count() == 0


def test_a_type_that_is_none_is_told_and_can_be_taken_back(open_page: OpenPage) -> None:
    page = open_page("#/logs?type=toString", user="root", refused=400)
    expect(page.locator(".notice-error")).to_contain_text("type")
    page.click(".chip")
    settled(page)
    expect(page.locator("tr.row").first).to_be_visible()


def test_a_page_beyond_the_end_is_the_last_one(open_page: OpenPage) -> None:
    page = open_page("#/logs?username=bob&model_name=claude-sonnet-4&p=9999", user="root")
    expect(page.locator("tr.row")).to_have_count(BOBS_CALLS)
    expect(page.locator(".pager .total").first).to_have_text(f"1–{BOBS_CALLS} of {BOBS_CALLS}")


def test_choosing_what_is_chosen_asks_again(open_page: OpenPage) -> None:
    page = open_page(f"#/logs?range=today&model_name={MODEL}", user="root")
    for chosen in ("text=Today", "nav.views a >> text=Logs"):
        with page.expect_response("**/api/log/?**"):
            page.click(chosen)
        settled(page)
