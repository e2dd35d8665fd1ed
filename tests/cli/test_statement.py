"""`logservice statement`: the same figures as text, CSV and JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from logservice.sources.csv_rows import original
from tests.commands import assert_done, assert_error, invoke

EVENTS: list[dict[str, Any]] = [
    {"model_name": "gpt-4o", "token_name": "laptop", "quota": 750_000, "prompt_tokens": 1000},
    {"model_name": "gpt-4o", "token_name": "laptop", "quota": 1, "completion_tokens": 20},
    {"model_name": "gpt-4o", "token_name": "laptop", "type": "refund", "quota": 250_000},
    {"model_name": "=cmd()", "token_name": "-1", "quota": 500_000},
    {"model_name": "late", "quota": 9, "created_at": "2025-10-01T00:00:00+08:00"},
]
ASKED = ("statement", "--user", "alice", "--month", "2025-09", "--timezone", "Asia/Shanghai")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service that knows what alice did in the last second of September in Shanghai, and in the next."""
    common = {"username": "alice", "created_at": "2025-09-30T23:59:59+08:00"}
    lines = "\n".join(json.dumps({**common, **event}) for event in EVENTS)
    assert_done(invoke(tmp_path, "import", "-", input=lines))
    return tmp_path


def test_json_has_head_lines_and_total(folder: Path) -> None:
    found = json.loads(assert_done(invoke(folder, *ASKED, "--format", "json")))
    lines, total = found.pop("lines"), found.pop("total")
    assert found.pop("user_id") > 0
    assert found == {
        "username": "alice",
        "month": "2025-09",
        "timezone": "Asia/Shanghai",
        "start": "2025-09-01T00:00:00+08:00",
        "end": "2025-10-01T00:00:00+08:00",
        "quota_per_unit": 500_000.0,
    }
    assert [line["model_name"] for line in lines] == ["=cmd()", "gpt-4o"]
    assert lines[1] == {
        "model_name": "gpt-4o",
        "token_name": "laptop",
        "requests": 2,
        "errors": 0,
        "prompt_tokens": 1000,
        "completion_tokens": 20,
        "cached_tokens": 0,
        "gross_quota": 750_001,
        "refunds_quota": 250_000,
        "net_quota": 500_001,
        "gross": 1.500002,
        "refunds": 0.5,
        "net": 1.000002,
    }
    assert (total["requests"], total["net_quota"], total["net"]) == (3, 1_000_001, 2.000002)


def test_csv_has_a_harmless_row_for_each_line(folder: Path) -> None:
    printed = assert_done(invoke(folder, *ASKED, "--format", "csv"))
    first, second = csv.DictReader(printed.splitlines())
    assert (first["model_name"], first["token_name"]) == ("'=cmd()", "'-1")
    assert (original(first["model_name"]), original(first["token_name"])) == ("=cmd()", "-1")
    assert (second["model_name"], second["net_quota"], second["net"]) == ("gpt-4o", "500001", "1.000002")


def test_numbers_below_zero_are_left_alone_in_csv(folder: Path) -> None:
    event = {"username": "bob", "type": "refund", "quota": 5, "created_at": "2025-09-02T00:00:00Z"}
    assert_done(invoke(folder, "import", "-", input=json.dumps(event)))
    asked = ("statement", "--user", "bob", "--month", "2025-09", "--format", "csv")
    [row] = csv.DictReader(assert_done(invoke(folder, *asked)).splitlines())
    assert (row["net_quota"], row["net"]) == ("-5", "-0.000010")


def test_text_says_whose_it_is_and_ends_with_the_total(folder: Path) -> None:
    head, span, _, headings, *_, total = assert_done(invoke(folder, *ASKED)).splitlines()
    assert head.startswith("alice (id ")
    assert head.endswith("2025-09, Asia/Shanghai")
    assert span == "2025-09-01T00:00:00+08:00 up to 2025-10-01T00:00:00+08:00"
    assert headings.split()[:3] == ["MODEL", "TOKEN", "REQUESTS"]
    assert total.split() == [
        "TOTAL",
        "3",
        "0",
        "1,000",
        "20",
        "2.500002",
        "0.500000",
        "2.000002",
        "1,000,001",
    ]


def test_the_zone_is_utc_unless_named(folder: Path) -> None:
    printed = assert_done(invoke(folder, *ASKED[:5], "--format", "json"))
    assert "late" in {line["model_name"] for line in json.loads(printed)["lines"]}


def test_quota_is_worth_what_the_setting_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSERVICE_QUOTA_PER_UNIT", "1000000")
    assert json.loads(assert_done(invoke(folder, *ASKED, "--format", "json")))["total"]["gross"] == 1.250001


def test_a_user_without_usage_has_an_empty_statement(folder: Path) -> None:
    asked = ("statement", "--user", "alice", "--month", "2020-01", "--format")
    assert json.loads(assert_done(invoke(folder, *asked, "json")))["lines"] == []
    assert assert_done(invoke(folder, *asked, "csv")).count("\n") == 1
    assert "TOTAL" in assert_done(invoke(folder, *asked, "text"))


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--user", "nobody", "nobody"),
        ("--month", "2025-9", "--month: "),
        ("--month", "2025-13", "--month: "),
        ("--timezone", "Mars/Olympus", "--timezone: "),
        ("--format", "xml", "xml"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(folder: Path, option: str, value: str, reason: str) -> None:
    assert_error(invoke(folder, *ASKED, option, value), reason)
