"""Signing in, signing out, and the rows of a key."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import ALICES_CALLS, ALICES_KEY, ERRORS, MODEL
from tests.serving import TOKENS


def test_an_access_token_opens_the_page_by_enter_and_is_in_no_url(open_page: OpenPage) -> None:
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator("#token")).to_be_focused()
    page.keyboard.type(TOKENS["root"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".figures")
    assert page.evaluate("sessionStorage.getItem('logservice.token')") == TOKENS["root"]
    assert TOKENS["root"] not in page.evaluate("JSON.stringify(localStorage)") + page.url + "".join(asked)


def test_an_unknown_access_token_is_told_and_not_kept(open_page: OpenPage) -> None:
    page = open_page(refused=401)
    page.fill("#token", "nobody's token")
    page.press("#token", "Enter")
    expect(page.locator(".wrong").first).to_contain_text("not known")
    assert page.evaluate("sessionStorage.length") == 0


def test_who_may_only_write_is_told_so(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#token", TOKENS["gateway"])
    page.press("#token", "Enter")
    expect(page.locator(".wrong").first).to_contain_text("only send events")


def test_a_user_sees_their_own_rows_and_no_maintenance(open_page: OpenPage) -> None:
    page = open_page(f"#/logs?model_name={MODEL}", user="alice")
    expect(page.locator("nav.views a")).to_have_text(["Overview", "Logs", "Search"])
    expect(page.locator(".pager .total")).to_have_attribute("data-total", str(ALICES_CALLS + ERRORS))


def test_signing_out_forgets_the_access_token(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#token", TOKENS["alice"])
    page.press("#token", "Enter")
    page.click("#leave")
    page.wait_for_selector("#token")
    assert page.evaluate("sessionStorage.length") == 0
    assert page.locator("table").count() == 0


def test_a_token_that_expired_leads_to_the_door_and_back_to_the_same_view(open_page: OpenPage) -> None:
    page = open_page("#/logs?model_name=gpt-4o", user="alice", refused=401)
    page.evaluate("sessionStorage.setItem('logservice.token', 'expired')")
    page.click("nav.views a >> text=Search")
    page.fill("#keyword", "call")
    page.press("#keyword", "Enter")
    expect(page.locator(".door [role=status]")).to_contain_text("no longer valid")
    page.fill("#token", TOKENS["alice"])
    page.press("#token", "Enter")
    expect(page.locator("#keyword")).to_have_value("call")


def test_a_key_shows_its_rows_newest_first_without_signing_in(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#key", ALICES_KEY)
    page.press("#key", "Enter")
    settled(page)
    times = page.eval_on_selector_all("table.rows time", "all => all.map((one) => one.dateTime)")
    assert len(times) == 50
    assert times == sorted(times, reverse=True)
    assert ALICES_KEY not in page.url + page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    expect(page.locator("th")).not_to_contain_text(["IP", "Channel"])


def test_an_unknown_key_is_told(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#key", "sk-nobody")
    page.press("#key", "Enter")
    expect(page.locator(".notice-error")).to_contain_text("Token不存在或无权限")
