"""Moments as programs write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from logservice import moments

INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-01-31T12:00:00Z", datetime(2025, 1, 31, 12, tzinfo=UTC)),
        ("2025-01-31t12:00:00z", datetime(2025, 1, 31, 12, tzinfo=UTC)),
        ("2025-01-31 12:00:00.25+05:30", datetime(2025, 1, 31, 12, 0, 0, 250_000, INDIA)),
        ("2025-01-31T12:00:00", datetime(2025, 1, 31, 12, tzinfo=UTC).replace(tzinfo=None)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T05:29:60.5+05:30", datetime(2017, 1, 1, 5, 30, 0, 500_000, INDIA)),
    ],
)
def test_what_rfc_3339_and_iso_8601_write_is_read(text: str, moment: datetime) -> None:
    found = moments.read(text)
    assert found == moment
    assert found.tzinfo is None or found.utcoffset() == moment.utcoffset()


@pytest.mark.parametrize(
    "text", ["", "now", "2025-02-30T00:00:00Z", "9999-12-31T23:59:60Z", "12:00:60", "T00:00:60"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid|day is out|year 9999"):
        moments.read(text)
