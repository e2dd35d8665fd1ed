"""Take the pictures of `docs/images/` from a service of `make demo`.

python -m tests.browser.screenshots http://127.0.0.1:8000/ ACCESS_TOKEN docs/images
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium
from tests.browser.conftest import settled

#: Name of the picture: fragment, theme, language, width and height.
PICTURES = {
    "overview-light": ("#/overview", "light", "en-US", (1280, 800)),
    "overview-dark-zh": ("#/overview", "dark", "zh-CN", (1280, 800)),
    "row-light": ("#/logs", "light", "en-US", (1280, 800)),
    "logs-dark-zh": ("#/logs", "dark", "zh-CN", (1280, 600)),
    "search-light": ("#/search?keyword=upstream&range=30d", "light", "en-US", (1280, 800)),
    "maintenance-light": ("#/maintenance", "light", "en-US", (1280, 800)),
    "door-light": ("", "light", "en-US", (1280, 640)),
    "overview-narrow-zh": ("#/overview", "light", "zh-CN", (360, 740)),
    "logs-narrow-dark": ("#/logs", "dark", "en-US", (360, 740)),
}


def main(url: str, token: str, folder: str) -> None:
    """Take every picture."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name in PICTURES:
            with closing(opened(browser, name)) as page:
                if name != "door-light":
                    page.add_init_script(f"sessionStorage.setItem('logservice.token', '{token}')")
                page.goto(url + PICTURES[name][0])
                settled(page)
                if name.startswith("row"):
                    page.click("tr.row-2 button.opener >> nth=0")
                page.wait_for_timeout(300)
                page.screenshot(path=Path(folder, f"{name}.png"))


def opened(browser: Browser, name: str) -> Page:
    """Return a page of the theme, language and size of a picture."""
    _, theme, language, (width, height) = PICTURES[name]
    return browser.new_page(
        color_scheme="dark" if theme == "dark" else "light",
        locale=language,
        viewport={"width": width, "height": height},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
