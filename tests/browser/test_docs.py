"""The page that shows the OpenAPI document: complete, in both languages, without complaints or strangers."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.serving import TOKENS

SHOWS = "rapi-doc .nav-bar-path"


@pytest.mark.parametrize(
    ("locale", "shown"), [("en-US", "A page of the caller's rows"), ("zh-CN", "自己的日志，分页返回")]
)
def test_every_language_has_its_summaries(open_page: OpenPage, locale: str, shown: str) -> None:
    page = open_page("docs", locale=locale, shows=SHOWS)
    expect(page.locator("rapi-doc").get_by_text(shown).first).to_be_visible()


def test_a_call_can_be_tried_with_a_token(open_page: OpenPage) -> None:
    page = open_page("docs/#auth", shows=SHOWS)
    reader = page.locator("rapi-doc")
    reader.locator("#http-accessToken-api-key-input").fill(TOKENS["alice"])
    reader.get_by_role("button", name="SET").first.click()
    reader.locator(".nav-bar-path", has_text="Who the caller is").click()
    reader.get_by_role("button", name="TRY").click()
    expect(reader.get_by_text('"alice"').first).to_be_visible()
