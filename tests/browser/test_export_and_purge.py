"""What takes rows out of the log: exports, and purges."""

from __future__ import annotations

import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import call, record
from tests.serving import TOKENS, Service

#: Has the browser write what it is to save where no dialog has to be answered: into its own file system.
PICKER = """() => {
    window.showSaveFilePicker = async ({ suggestedName }) => {
        const folder = await navigator.storage.getDirectory();
        window.chosen = await folder.getFileHandle(suggestedName, { create: true });
        return chosen;
    };
}"""
FOUR_ROWS = {"success": True, "data": {"items": [], "total": 4}}
OLD = int(datetime(2020, 1, 15, 12, tzinfo=UTC).timestamp())


def exported(site: Service, query: str) -> bytes:
    request = urllib.request.Request(
        f"{site.url}/api/log/export?{query}", headers={"Authorization": f"Bearer {TOKENS['root']}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize(("form", "button"), [("csv", "CSV"), ("ndjson", "NDJSON")])
def test_an_export_is_the_file_of_the_api(open_page: OpenPage, site: Service, form: str, button: str) -> None:
    page = open_page("#/logs?username=bob&range=all", user="root")
    page.click("text=Export")
    page.click(f"dialog .segments >> text='{button}'")
    with page.expect_download() as download:
        page.click("dialog button.primary")
    assert Path(download.value.path()).read_bytes() == exported(site, f"username=bob&format={form}")
    assert download.value.suggested_filename.endswith(form)
    expect(page.locator("dialog [role=status]")).to_contain_text("Saved 20 rows")
    expect(page.locator("dialog .dialog-actions button")).to_be_focused()


def test_a_file_too_large_for_memory_goes_to_the_disk_as_it_comes(open_page: OpenPage, site: Service) -> None:
    page = open_page("#/logs?username=bob&range=all", user="root")
    page.evaluate(PICKER)
    page.route(
        "**/api/log/?*page_size=1",
        lambda route: route.fulfill(json={"success": True, "data": {"items": [], "total": 5_000_000}}),
    )
    page.click("text=Export")
    expect(page.locator("dialog .notice-warning")).to_have_count(0)
    page.click("dialog .segments >> text='NDJSON'")
    expect(page.locator("dialog .segments >> text='NDJSON'")).to_be_focused()
    page.click("dialog button.primary")
    expect(page.locator("dialog [role=status]")).to_contain_text("Saved 20 rows")
    written = page.evaluate("chosen.getFile().then((file) => file.text())")
    assert written.encode() == exported(site, "username=bob&format=ndjson")
    page.keyboard.press("Escape")
    page.evaluate("delete window.showSaveFilePicker")
    page.click("text=Export")
    expect(page.locator("dialog .notice-warning")).to_contain_text("logservice export")
    page.click("dialog >> text=Cancel")
    expect(page.locator("dialog")).to_have_count(0)


def test_a_purge_is_counted_confirmed_and_then_done(open_page: OpenPage, site: Service) -> None:
    record(site, *[call(created_at=OLD + place, type="login", quota=0, other="") for place in range(7)])
    page = open_page("#/maintenance", user="root")
    page.fill("#purge-before", "2020-02-01")
    page.select_option("#purge-type", "7")
    page.click("text=Count rows")
    expect(page.locator("dialog .loud")).to_contain_text("7 rows older than 2020-02-01")
    assert site.get("/api/log/?type=login")["total"] == 7
    page.click("dialog >> text=Delete 7 rows")
    expect(page.locator(".purge-state")).to_contain_text("7 rows were deleted")
    assert site.get("/api/log/?type=login")["total"] == 0


def test_a_purge_shows_how_far_it_is_until_its_end(open_page: OpenPage) -> None:
    """With answers of the service that are held back: a real purge of so few rows is over at once."""
    progress: dict[str, object] = {"running": False}
    held: list[Route] = []
    page = open_page("#/logs?type=4", user="root", refused=503, timezone_id="America/Los_Angeles")
    # There it is still the 9th.
    page.clock.set_fixed_time("2026-03-10T03:00:00Z")
    page.route("**/api/log/purge", lambda route: route.fulfill(json={"success": True, "data": progress}))
    page.route("**/api/log/?target_timestamp=*", lambda route: held.append(route))
    state, send = page.locator(".purge-state"), page.locator("form button[type=submit]")
    page.click("nav.views a >> text=Maintenance")
    expect(page.locator("#purge-before")).to_have_value("2025-09-09")
    page.fill("#purge-before", "2020-02-01")
    page.select_option("#purge-type", "2")
    page.route("**/api/log/?end_timestamp=*", lambda route: route.fulfill(json=FOUR_ROWS))
    # Pressed twice, it counts and asks once.
    send.dblclick(no_wait_after=True)
    expect(page.locator("dialog")).to_have_count(1)
    page.click("dialog .danger")
    expect(state).to_contain_text("The purge begins")
    expect(send).to_have_attribute("aria-disabled", "true")
    progress.update(running=True, deleted=1, to_go=3)
    expect(state).to_contain_text("1 of 4 rows deleted")
    page.unroute("**/api/log/purge")
    page.route(
        "**/api/log/purge",
        lambda route: route.fulfill(status=503, json={"success": False, "message": "busy"}),
    )
    page.wait_for_event("response", lambda answer: answer.status == 503)
    page.unroute("**/api/log/purge")
    page.route("**/api/log/purge", lambda route: route.fulfill(json={"success": True, "data": progress}))
    progress.update(deleted=4, to_go=0)
    expect(state).to_contain_text("gives their space back")
    # Whoever comes back sees it go on, and that it has ended.
    page.click("nav.views a >> text=Search")
    page.click("nav.views a >> text=Maintenance")
    expect(state).to_contain_text("gives their space back")
    expect(send).to_have_attribute("aria-disabled", "true")
    progress.clear()
    progress["running"] = False
    with page.expect_request("**/api/log/health"):
        expect(state).to_contain_text("The purge has ended")
    expect(send).to_have_attribute("aria-disabled", "false")


def test_a_purge_that_is_called_off_deletes_nothing(open_page: OpenPage, site: Service) -> None:
    record(site, call(created_at=OLD, type="manage", quota=0, other=""))
    page = open_page("#/maintenance", user="root")
    page.fill("#purge-before", "2020-02-01")
    page.select_option("#purge-type", "3")
    page.click("text=Count rows")
    page.click("dialog >> text=Cancel")
    expect(page.locator("dialog")).to_have_count(0)
    assert site.get("/api/log/?type=manage")["total"] == 1


def test_maintenance_says_what_the_log_holds_and_for_how_long(open_page: OpenPage) -> None:
    page = open_page("#/maintenance", user="root")
    expect(page.locator(".notice-good")).to_contain_text("agree")
    expect(page.locator(".facts")).to_contain_text("Error: 14 days")
    settled(page)
    sizes = page.eval_on_selector_all(
        ".numbers tbody td:nth-child(4)", "cells => cells.map((cell) => cell.textContent)"
    )
    assert len(sizes) > 2
    assert all(size.endswith("B") for size in sizes[:-1])
