"""How long the page takes from a click to what it draws, in a real Chromium, on a service that runs already.

    python -m benchmarks.page http://127.0.0.1:8000/ ACCESS_TOKEN

Times are those of the page's own clock, from the click until the frame after everything of the view is there.
"""

from __future__ import annotations

import argparse
from statistics import median

from playwright.sync_api import Page

from tests.browser.chromium import chromium

TIMES = 5
#: What is clicked, and what is there once its view is drawn; `busy` are the places that have to be ready.
STEPS = {
    "overview": ("a[href^='#/overview']", ".place"),
    "overview, 30 days": ("[data-value='30d']", ".place"),
    "overview, by user": ("#by", ".place"),
    "overview, by token": ("#by", ".place"),
    "overview, 30 days by user": ("#by", ".place"),
    "overview, hours by user": ("#by", ".place"),
    "overview, a model by user": ("#by", ".place"),
    "logs": ("a[href^='#/logs']", ".place"),
    "logs, last page": (".pager .numbers button:last-child", ".place"),
    "logs, errors of a model": ("#filtered", ".place"),
    "open a row": ("tr.row button.opener", ".place"),
    "search": ("#found", ".place"),
    "maintenance, rows": ("a[href^='#/maintenance']", ".numbers"),
}
#: Where a step begins.
BEGINNINGS = {
    "overview": "#/logs",
    "overview, 30 days": "#/overview",
    "overview, by user": "#/overview",
    "overview, by token": "#/overview",
    "overview, 30 days by user": "#/overview?range=30d",
    "overview, hours by user": "#/overview?interval=hour",
    "overview, a model by user": "#/overview?model_name=gpt-4o",
    "logs": "#/overview",
    "logs, last page": "#/logs?range=all",
    "logs, errors of a model": "#/logs?range=all",
    "open a row": "#/logs",
    "search": "#/search?range=all",
    "maintenance, rows": "#/overview",
}
# A place is ready once it has content and is no longer busy. What was there before the click does not count.
MEASURE = """async ([selector, ready, target]) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  let changed = false;
  const watch = new MutationObserver(() => (changed = true));
  watch.observe(document.body, { subtree: true, childList: true, attributes: true });
  const started = performance.now();
  if (target === null) document.querySelector(selector).click();
  else if (selector === "#by") {
    const choice = document.querySelector(selector);
    choice.value = target;
    choice.dispatchEvent(new Event("change"));
  } else location.hash = target;
  const drawn = () => {
    const places = [...document.querySelectorAll(ready)];
    const isReady = (place) => place.ariaBusy !== "true" && place.children.length > 0;
    return changed && places.length > 0 && places.every(isReady);
  };
  // The change of the fragment is told in a task of its own.
  await new Promise((done) => setTimeout(done, 0));
  while (!drawn()) await frame();
  await frame();
  watch.disconnect();
  return performance.now() - started;
}"""
TARGETS = {
    "overview, by user": "username",
    "overview, by token": "token_name",
    "overview, 30 days by user": "username",
    "overview, hours by user": "username",
    "overview, a model by user": "username",
    "logs, errors of a model": "#/logs?range=all&type=4&model_name=gpt-4o",
    "search": "#/search?range=all&keyword=upstream",
}


def main() -> None:
    """Measure every step and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("token")
    given = parser.parse_args()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(f"sessionStorage.setItem('logservice.token', '{given.token}')")
        page.goto(given.url)
        print(f"{'milliseconds from click to drawn':34}{'median':>8}{'best':>8}{'worst':>8}")
        for step in STEPS:
            took = [measured(page, given.url, step) for _ in range(TIMES)]
            print(f"{step:34}{median(took):8.0f}{min(took):8.0f}{max(took):8.0f}")


def measured(page: Page, url: str, step: str) -> float:
    """Go to where a step begins, do it, and return how long it took in milliseconds."""
    page.goto(url + BEGINNINGS[step])
    page.wait_for_selector("main > *")
    # Another fragment of the same document is there at once, and what it asks for is not.
    page.evaluate("() => new Promise((done) => setTimeout(done, 50))")
    page.wait_for_selector("[aria-busy=true]", state="detached")
    page.wait_for_load_state("networkidle")
    selector, ready = STEPS[step]
    took: float = page.evaluate(MEASURE, [selector, ready, TARGETS.get(step)])
    return took


if __name__ == "__main__":
    main()
