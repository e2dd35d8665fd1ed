"""What takes rows out of the log: exports, and purges."""

from __future__ import annotations

import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, settled
from tests.browser.site import call, record
from tests.serving import TOKENS, Service

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
    assert all(size.endswith("B") for size in sizes[:-1])
