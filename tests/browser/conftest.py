"""One browser and one served log for all tests of the page. A page that complains fails its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import chromium
from tests.browser.site import fill
from tests.private_servers import required
from tests.serving import TOKENS, Service, serving

OpenPage = Callable[..., Page]
#: Longer than anything here takes, on a machine with much else to do.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser for all tests of this process."""
    with required(chromium()) as found:
        yield found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Service]:
    """A service with the rows of `tests.browser.site`, which is not needed without a browser."""
    # A key has more rows than come at once, which takes a thousand otherwise.
    environ = {"LOGSERVICE_RETENTION": "error=14d", "LOGSERVICE_TOKEN_LOG_LIMIT": "60"}
    with serving(tmp_path_factory.mktemp("site"), environ=environ) as service:
        fill(service)
        yield service


@pytest.fixture
def open_page(browser: Browser, site: Service) -> Iterator[OpenPage]:
    """Open the page: `open_page("#/logs", user="alice", locale="zh-CN")`; without a user at the door.

    At the end no page may have complained in its console, but for answers with the status `refused`, nor have
    asked another origin for anything.
    """
    complaints: list[str] = []
    with ExitStack() as stack:

        def open_(
            fragment: str = "",
            *,
            user: str | None = None,
            refused: int | None = None,
            shows: str = "main > *",
            **options: Any,
        ) -> Page:
            context = stack.enter_context(
                closing(browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}))
            )
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            watch(page, site, complaints, refused)
            if user is not None:
                page.add_init_script(f"sessionStorage.setItem('logservice.token', '{TOKENS[user]}')")
            page.goto(f"{site.url}/{fragment}")
            settled(page, shows)
            return page

        yield open_
    assert complaints == []


def watch(page: Page, site: Service, complaints: list[str], refused: int | None) -> None:
    """Note what a page complains of and whom it asks."""
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "console",
        lambda message: (
            complaints.append(f"console: {message.text}")
            if message.type in ("error", "warning") and f"status of {refused}" not in message.text
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            complaints.append(f"foreign: {request.url}")
            if urlsplit(request.url).scheme in ("http", "https") and not request.url.startswith(site.url)
            else None
        ),
    )


def settled(page: Page, shows: str = "main > *") -> None:
    """Wait until a page shows something and nothing more is on its way.

    What a press begins may be an event that the browser tells of later (`hashchange`, `toggle`): by the next
    frame.
    """
    page.wait_for_selector(shows)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    expect(page.locator("[aria-busy]")).to_have_count(0)
