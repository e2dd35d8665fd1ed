"""What an answer of the service means for the batch that was sent.

- 200 with a report: stored, those it names refused.
- 400 and 409 in the service's own words: refused for good. A repetition would end alike, and a batch whose
  key was used with another body may have been stored already.
- 413: too large, to be sent in halves.
- 408, 425, 429, 5xx: to be sent again later, no sooner than `Retry-After` says.
- Anything else (401, 403, 404, 415, a redirect, a page of something that is not this service): not for this
  batch, but for the way it was sent. The events are kept, since an operator can mend that.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from .connection import Answer

#: The longest pause that a service can ask for, in seconds.
LONGEST_ASKED = 300.0
_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Stored:
    """On disk, all but those named by index, each with the reason."""

    rejected: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of it was stored, nor will be."""

    message: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Nothing of it was stored; smaller parts may be."""

    message: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not known to be stored: to be sent again under the same key.

    `asked` is the pause in seconds that the service asked for. `needs_mending`: time alone will not help.
    """

    message: str
    asked: float | None = None
    needs_mending: bool = False


Verdict = Stored | Refused | TooLarge | Later


def verdict(answer: Answer, *, sent: int) -> Verdict:
    """Return what an answer means for so many events that were sent."""
    said = _envelope(answer.body)
    message = f"status {answer.status}: {_printable(said['message'])}" if said else f"status {answer.status}"
    asked = _seconds(answer.retry_after)
    if answer.status == 200 and said and said["success"] is True:
        return _stored(said.get("data"), sent)
    # A service may be set to answer 200 always; Retry-After then tells what may still come.
    if said and answer.status == 200 and asked is None:
        return Refused(message)
    if said and answer.status in (400, 409):
        return Refused(message)
    if answer.status == 413:
        return TooLarge(message)
    if answer.status >= 500 or answer.status in _PASSING or (said and answer.status == 200):
        return Later(message, asked=asked)
    return Later(message, needs_mending=True)


def _envelope(body: bytes) -> dict[str, Any] | None:
    """Return the envelope that every answer of the service comes in, or None for anything else."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("success"), bool):
        return None
    return said if isinstance(said.get("message"), str) else None


def _stored(data: Any, sent: int) -> Verdict:
    """Return the report of what was stored, if it speaks of as many events as were sent."""
    try:
        rejected = tuple((int(one["index"]), _printable(one["message"])) for one in data["rejected"])
        accepted = int(data["accepted"])
    except (TypeError, KeyError, ValueError):
        return Later("status 200, but not as this service answers", needs_mending=True)
    places = {index for index, _ in rejected}
    if accepted + len(places) != sent or len(places) != len(rejected) or not places <= set(range(sent)):
        return Later("status 200, but it speaks of other events", needs_mending=True)
    return Stored(rejected)


def _seconds(text: str | None) -> float | None:
    """Return the seconds that a Retry-After names, as a number or as a date, or None."""
    if text is None:
        return None
    try:
        seconds = (
            float(text) if text.strip().isdecimal() else parsedate_to_datetime(text).timestamp() - time.time()
        )
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_ASKED)


def _printable(text: str) -> str:
    """Return what a service says so that it stays on one line of a log."""
    return "".join(character if character.isprintable() else "?" for character in text[:300])
