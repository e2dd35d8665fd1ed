"""What an event becomes before it is sent, and what is refused on the spot."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from logservice.client import lines
from logservice.client.lines import Unwritable, line

NOW = 1_760_013_296.25


def written(event: Any = None, **fields: Any) -> dict[str, Any]:
    """Return the event that a line holds."""
    found = line(event, fields, NOW)
    assert isinstance(found, bytes), found
    assert b"\n" not in found
    event = json.loads(found)
    assert isinstance(event, dict)
    return event


def endless() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    inner["again"] = [inner]
    return inner


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("event", [{}, {"created_at": None}, None])
def test_an_event_without_a_time_gets_that_of_its_recording(event: Any) -> None:
    assert written(event)["created_at"] == NOW


@pytest.mark.parametrize("created_at", [0, 7, "2025-10-09T12:34:56Z"])
def test_an_event_keeps_its_own_time(created_at: Any) -> None:
    assert written(created_at=created_at)["created_at"] == created_at


def test_keywords_count_before_the_mapping_which_stays_as_it_was() -> None:
    event = {"quota": 1, "content": "两行\nof text"}
    assert written(event, quota=2) == {**event, "quota": 2, "created_at": NOW}
    assert event == {"quota": 1, "content": "两行\nof text"}


@pytest.mark.parametrize("value", [False, 0, "", [], {}])
def test_what_is_empty_is_a_value(value: Any) -> None:
    assert written(other=value)["other"] == value


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"created_at": datetime(2025, 1, 1, tzinfo=UTC)}, "datetime"),
        ({"quota": float("nan")}, "JSON"),
        ({"content": "\ud800"}, "surrogates"),
        ({"other": {"set": {1}}}, "set"),
        ({"other": endless()}, ""),
        ({"other": nested(30_000)}, ""),
        ({("a", "b"): 1}, "keys must be"),
        ({"content": "x" * lines.LONGEST}, "longer than"),
        ({"other": {"many": [0] * lines.LONGEST}}, "longer than"),
        ({"other": {"n": {str(number): "x" * 1000 for number in range(200)}}}, "longer than"),
        (["quota"], "no mapping but list"),
        ("quota", "no mapping but str"),
        (0, "no mapping but int"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(event: Any, reason: str) -> None:
    found = line(event, {}, NOW)
    assert isinstance(found, Unwritable)
    assert found.message.startswith("the event")
    assert reason in found.message


def test_the_largest_event_that_the_service_takes_can_be_sent() -> None:
    assert written(content="文" * (64 * 1024 // 3), other={"text": "x" * (63 * 1024)})
