"""Intervals of the calendar by the plainest means: one second at a time, by what a clock shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = 60


def shown(second: int, interval: str, tz: ZoneInfo) -> Any:
    """Return what tells the interval that a second lies in from all others."""
    moment = datetime.fromtimestamp(second, tz)
    if interval == "hour":
        return moment.replace(tzinfo=None, minute=0, second=0), moment.utcoffset()
    if interval == "day":
        return moment.date()
    if interval == "week":
        return moment.date() - timedelta(days=moment.weekday())
    return moment.date().replace(day=1) if interval == "month" else None


def start_of(second: int, interval: str, tz: ZoneInfo) -> int:
    """Return the first second of the interval that a second lies in."""
    key = shown(second, interval, tz)
    if interval == "hour":
        start = second - second % MINUTE
        while shown(start - MINUTE, interval, tz) == key:
            start -= MINUTE
        return start
    return int(datetime(key.year, key.month, key.day, tzinfo=tz).timestamp())
