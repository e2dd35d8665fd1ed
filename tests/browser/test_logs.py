"""The list of rows: filters, pages, opened rows, live rows, search."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import ALICES_CALLS, BOBS_CALLS, ERRORS, HARM, MODEL
from tests.serving import Service

ALICES = f"#/logs?model_name={MODEL}&username=alice&type=2"


def ids(page: Page) -> list[int]:
    return page.eval_on_selector_all("tr.row", "lines => lines.map((line) => Number(line.dataset.id))")


def test_a_filter_narrows_the_rows_and_stands_in_the_url(open_page: OpenPage) -> None:
    page = open_page("#/logs", user="root")
    page.fill("input[name=username]", "bob")
    page.press("input[name=username]", "Enter")
    settled(page)
    expect(page.locator(".pager .total").first).to_have_attribute("data-total", str(BOBS_CALLS))
    assert "username=bob" in page.url
    page.reload()
    settled(page)
    expect(page.locator("input[name=username]")).to_have_value("bob")
    expect(page.locator("tr.row")).to_have_count(BOBS_CALLS)


def test_names_are_suggested(open_page: OpenPage) -> None:
    page = open_page("#/logs", user="root")
    page.focus("input[name=model_name]")
    page.wait_for_selector("#suggest-model_name option", state="attached")
    names = page.eval_on_selector_all("#suggest-model_name option", "all => all.map((one) => one.value)")
    assert names[:2] == [MODEL, "claude-sonnet-4"]


def test_every_page_is_reachable_and_shows_the_rows_of_the_api(open_page: OpenPage, site: Service) -> None:
    page = open_page(f"{ALICES}&size=20", user="root")
    expect(page.locator(".pager .total").first).to_have_attribute("data-total", str(ALICES_CALLS))
    page.click(".pager button >> text=7")
    page.wait_for_url("**p=7**")
    settled(page)
    rows = site.get(f"/api/log/?model_name={MODEL}&username=alice&type=2&p=7&page_size=20")["items"]
    assert ids(page) == [row["id"] for row in rows]
    assert len(rows) == ALICES_CALLS - 120


def test_a_row_opens_by_keyboard_to_the_arithmetic_of_its_cost(open_page: OpenPage) -> None:
    page = open_page(ALICES, user="root")
    page.focus("tr.row button.opener >> nth=0")
    page.keyboard.press("Enter")
    lines = page.locator(".bill tr").all_inner_texts()
    assert [line.split("\t") for line in lines] == [
        ["Input", "1,000 × 1.25", "$0.002500"],
        ["Output", "200 × 1.25 × 4", "$0.002000"],
        ["Group ratio", "× 1", ""],
        ["By these ratios", "", "$0.004500"],
    ]
    expect(page.locator("tr.opened")).to_contain_text("call-0000")
    page.keyboard.press("Enter")
    expect(page.locator("tr.opened")).to_have_count(0)


def test_an_error_opens_to_its_text(open_page: OpenPage) -> None:
    page = open_page("#/logs?type=4", user="root")
    page.click("tr.row >> nth=0")
    expect(page.locator(".says-error")).to_have_text("upstream: Too Many Requests")


def test_columns_are_put_away_and_stay_away(open_page: OpenPage) -> None:
    page = open_page("#/logs", user="root")
    page.click(".menu summary")
    page.uncheck(".menu label:has-text('Channel') input")
    settled(page)
    page.reload()
    settled(page)
    heads = page.locator("table.rows thead th").all_inner_texts()
    assert "Channel" not in heads
    assert "Model" in heads


def test_what_is_stored_as_html_stays_text_everywhere(open_page: OpenPage) -> None:
    page = open_page("#/overview?by=group", user="root")
    expect(page.locator(".legend, .top-list")).to_contain_text([HARM] * 4)
    for fragment in ("#/logs?type=2", "#/logs?type=2&by=1", "#/search?keyword=onerror"):
        page.goto(page.url.partition("#")[0] + fragment)
        settled(page)
        page.click(f"tr.row:has-text('{HARM[:8]}') button.opener")
        assert HARM in page.inner_text("tr.opened")
        # Three texts of the row, and the key and value of its `other`.
        assert page.inner_text("main").count("onerror") >= 5
    assert page.locator("img:not(.brand img)").count() == 0
    assert page.evaluate("window.broken") is None


def test_a_search_marks_what_it_finds_in_any_case(open_page: OpenPage) -> None:
    page = open_page("#/search", user="root")
    page.fill("#keyword", "TOO MANY")
    page.press("#keyword", "Enter")
    settled(page)
    expect(page.locator("mark")).to_have_text(["Too Many"] * 3)


def test_search_goes_on_to_older_rows(open_page: OpenPage) -> None:
    page = open_page("#/search?keyword=went+well&username=alice&model_name=gpt-4o", user="root")
    expect(page.locator("tr.row")).to_have_count(100)
    page.click(".more-rows button")
    expect(page.locator("tr.row")).to_have_count(ALICES_CALLS)
    assert len(set(ids(page))) == ALICES_CALLS


def test_a_search_finds_a_type_by_its_name_on_the_page_and_marks_it(open_page: OpenPage) -> None:
    page = open_page("#/search?keyword=usage&username=bob", user="root")
    expect(page.locator("mark .tag-consume")).to_have_count(BOBS_CALLS)
    page.fill("#keyword", "错误")
    page.press("#keyword", "Enter")
    settled(page)
    page.click("#language")
    settled(page)
    expect(page.locator(".place > .notice")).to_be_visible()
    page.click(".chip")
    settled(page)
    expect(page.locator("mark .tag-error")).to_have_count(ERRORS)


def test_what_was_typed_goes_along_and_what_was_cleared_is_not_waited_for(open_page: OpenPage) -> None:
    page = open_page("#/search", user="root", viewport={"width": 360, "height": 740})
    page.fill("#keyword", "many requests")
    page.click("text=30 days")
    settled(page)
    expect(page.locator("#keyword")).to_have_value("many requests")
    # The beginning of a long text is left out, so that its mark is seen on a narrow screen too.
    box = page.locator("mark").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] < 360
    held: list[Route] = []
    page.route("**/api/log/search*", lambda route: held.append(route))
    page.fill("#keyword", "slow")
    with page.expect_request("**/api/log/search*"):
        page.press("#keyword", "Enter")
    page.fill("#keyword", "")
    page.press("#keyword", "Enter")
    settled(page)
    expect(page.locator(".place > .notice")).to_contain_text("Looks in what rows say")


def test_the_head_of_the_table_stays_in_sight_and_pages_stand_above_it(open_page: OpenPage) -> None:
    page = open_page(ALICES, user="root")
    page.locator("tr.row").last.scroll_into_view_if_needed()
    head = page.locator("table.rows thead th >> nth=1").bounding_box()
    bar = page.locator("header.top").bounding_box()
    assert head is not None
    assert bar is not None
    assert head["y"] == bar["y"] + bar["height"]
    page.locator(".live").focus()
    for _ in range(5):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**p=2**")
    settled(page)
    expect(page.locator(".pager [aria-current]").first).to_be_focused()
