"""A real Chromium for the tests of the page: the one of the system, found on the PATH."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.private_servers import NoServer

NAMES = ("chromium", "chromium-browser", "google-chrome")
# It runs as root in containers, has no screen, and has nothing to look for outside this machine.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoChromium(NoServer):
    """There is no Chromium to be had."""

    engine = "Chromium"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser until the block ends. Raises NoChromium if there is none on the PATH."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        raise NoChromium("there is no chromium on the PATH; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
