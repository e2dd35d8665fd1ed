"""Signing in, signing out, and the rows of a key."""

from __future__ import annotations

import time

from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import ALICES_CALLS, ERRORS, MODEL, call, record
from tests.serving import TOKENS, Service


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


def test_a_key_in_the_place_of_an_access_token_is_told_where_it_belongs(open_page: OpenPage) -> None:
    page = open_page(refused=401)
    page.fill("#token", "sk-alices-own-key")
    page.press("#token", "Enter")
    expect(page.locator(".wrong").first).to_contain_text("Enter it under “Look up a key”")
    assert page.evaluate("sessionStorage.length") == 0


def test_who_may_only_write_is_told_so(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#token", TOKENS["gateway"])
    page.press("#token", "Enter")
    expect(page.locator(".wrong").first).to_contain_text("only send events")


def test_a_user_sees_their_own_rows_and_no_maintenance(open_page: OpenPage) -> None:
    page = open_page(f"#/logs?model_name={MODEL}", user="alice")
    expect(page.locator("nav.views a")).to_have_text(["Overview", "Logs", "Search"])
    expect(page.locator(".pager .total").first).to_have_attribute("data-total", str(ALICES_CALLS + ERRORS))


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


def test_a_key_shows_all_of_its_rows_newest_first_without_signing_in(
    open_page: OpenPage, site: Service
) -> None:
    key, now = "sk-a-key-with-many-rows-0001", int(time.time())
    # They are no requests, so that no figure of another test counts them.
    hers = {"username": "carol", "token_key": key, "type": "system"}
    record(site, *[call(created_at=now - place * 86400, **hers) for place in range(120)])
    page = open_page()
    page.fill("#key", key)
    page.press("#key", "Enter")
    expect(page.locator(".pager .total").first).to_have_text("1–50 of 100 or more")
    expect(page.locator(".summary")).to_contain_text("the newest rows of this key (60)")
    heads = page.locator("table.rows thead th").all_inner_texts()
    assert {"Time", "Model", "Cost"} <= set(heads)
    assert {"IP", "Channel", "User"}.isdisjoint(heads)
    times: list[str] = []
    for number in (1, 2, 3):
        page.click(f".pager button >> text={number}")
        settled(page)
        times += page.eval_on_selector_all("table.rows time", "all => all.map((one) => one.dateTime)")
    assert times == sorted(set(times), reverse=True)
    expect(page.locator(".pager .total").first).to_have_text("101–120 of 120")
    page.click("text=30 days")
    settled(page)
    expect(page.locator(".pager .total").first).to_have_text("1–30 of 30")
    assert key not in page.url + page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")


def test_what_is_no_key_or_token_is_told_in_the_language_of_the_page(open_page: OpenPage) -> None:
    page = open_page()
    told = page.locator(".wrong")
    page.fill("#key", "sk-nobody")
    page.press("#key", "Enter")
    expect(told.last).to_have_text("This key is not known here.")
    page.fill("#key", "  ")
    page.press("#key", "Enter")
    assert page.evaluate("document.querySelector('#key').validity.valueMissing")
    page.fill("#token", "访问令牌")
    page.press("#token", "Enter")
    expect(told.first).to_contain_text("no such characters")
    page.click("#language")
    page.fill("#key", "sk-nobody")
    page.press("#key", "Enter")
    expect(told.last).to_have_text("未找到此密钥。")


def test_another_language_may_be_chosen_while_one_signs_in(open_page: OpenPage) -> None:
    page = open_page()
    held: list[Route] = []
    page.route("**/api/user/self", lambda route: held.append(route))
    page.fill("#token", TOKENS["alice"])
    with page.expect_request("**/api/user/self"):
        page.press("#token", "Enter")
    page.click("#language")
    expect(page.locator("#language")).to_have_text("English")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_start_that_fails_can_be_tried_again_or_left(open_page: OpenPage) -> None:
    page = open_page("#/logs", user="alice", refused=503)
    busy = {"success": False, "message": "获取日志失败"}
    page.route("**/api/user/self", lambda route: route.fulfill(status=503, json=busy))
    page.reload()
    expect(page.locator(".notice-error")).to_contain_text("cannot be read at the moment")
    expect(page.locator("#leave")).to_be_visible()
    page.unroute("**/api/user/self")
    page.click(".notice-error button")
    page.wait_for_selector("table.rows")
    page.route("**/api/user/self", lambda route: route.fulfill(status=503, json=busy))
    page.reload()
    page.click("#leave")
    expect(page.locator("#token")).to_be_focused()


def test_a_view_that_is_not_ones_own_is_the_overview(open_page: OpenPage) -> None:
    page = open_page("#/maintenance", user="alice")
    expect(page.locator("nav.views [aria-current]")).to_have_text("Overview")
    expect(page.locator(".figures")).to_be_visible()
