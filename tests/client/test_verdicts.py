"""What each answer means for the events that were sent."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from logservice.client.connection import Answer
from logservice.client.verdicts import LONGEST_ASKED, Later, Refused, Stored, TooLarge, Verdict, verdict
from tests.client.unreliable import failure, report


def of(status: int, body: bytes = b"", retry_after: str | None = None) -> Verdict:
    """Return the verdict on an answer to three events."""
    return verdict(Answer(status, retry_after, body), sent=3)


def test_a_report_says_what_was_stored() -> None:
    assert of(200, report(3)) == Stored()
    assert of(200, report(2, (1, "quota: too much"))) == Stored(((1, "quota: too much"),))


@pytest.mark.parametrize("status", [400, 409])
def test_what_the_service_refuses_as_a_whole_is_refused(status: int) -> None:
    found = of(status, failure("none of 3 events\nwas valid"))
    assert found == Refused(f"status {status}: none of 3 events?was valid")


@pytest.mark.parametrize("body", [b"", b"<html>", failure("body: longer than 10 bytes")])
def test_what_is_too_large_is_sent_in_parts(body: bytes) -> None:
    assert isinstance(of(413, body), TooLarge)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    found = of(status, b"<html>")
    assert isinstance(found, Later)
    assert not found.needs_mending
    assert found.asked is None


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 409, 415, 204, 200])
def test_what_was_not_said_about_the_events_costs_none_of_them(status: int) -> None:
    """A page of something else, a wrong token or address: the events are kept until somebody mends it."""
    found = of(status, b"<html>")
    assert isinstance(found, Later)
    assert found.needs_mending


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"success": true, "message": ""}',
        b'{"success": true, "message": "", "data": {"accepted": "three", "rejected": []}}',
        b'{"success": true, "message": "", "data": {"accepted": 3, "rejected": [{"index": 0}]}}',
        report(2),
        report(4),
        report(2, (3, "beyond the last")),
        report(2, (-1, "before the first")),
        report(1, (1, "twice"), (1, "twice")),
    ],
)
def test_a_success_that_does_not_speak_of_these_events_is_none(body: bytes) -> None:
    found = of(200, body)
    assert isinstance(found, Later)
    assert found.needs_mending


def test_a_service_that_answers_200_always_is_understood() -> None:
    assert of(200, failure("locked"), "5") == Later("status 200: locked", asked=5.0)
    assert of(200, failure("none of 3 events was valid")) == Refused("status 200: none of 3 events was valid")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("86400", LONGEST_ASKED), ("soon", None), ("-1", None), ("", None)],
)
def test_retry_after_is_read_in_seconds(text: str, seconds: float | None) -> None:
    found = of(503, b"", text)
    assert isinstance(found, Later)
    assert found.asked == seconds


def test_retry_after_is_read_as_a_date() -> None:
    soon = of(429, b"", formatdate(time.time() + 60, usegmt=True))
    past = of(429, b"", formatdate(0, usegmt=True))
    assert isinstance(soon, Later)
    assert isinstance(past, Later)
    assert soon.asked is not None
    assert 50 < soon.asked <= 60
    assert past.asked == 0
