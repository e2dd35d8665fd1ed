"""How long rows are kept, by type: `consume=90d,error=14d`. Types that are not named are kept for ever."""

from __future__ import annotations

from dataclasses import dataclass

from .. import spans
from ..errors import InvalidValue
from . import ids, log_types
from .log_types import NAMES
from .retention import Purge


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of one type are kept for so many seconds."""

    log_type: int
    seconds: int

    @property
    def name(self) -> str:
        """The name of the type."""
        return NAMES[self.log_type]

    def purge(self, now: float, *, keep_usage: bool) -> Purge:
        """Return what is to be purged now: whole hours (UTC), so that usage is kept by whole hours too."""
        edge = int(now) - self.seconds
        return Purge(max(edge - edge % ids.HOUR, 1), self.log_type, keep_usage)


def parse(text: str) -> tuple[Rule, ...]:
    """Return the rules that a text gives, in its order. Raises ValueError naming what cannot be read."""
    rules = tuple(_rule(part) for part in text.split(",") if part.strip())
    types = [rule.log_type for rule in rules]
    if doubled := next((rule.name for rule in rules if types.count(rule.log_type) > 1), None):
        raise ValueError(f"{text[:80]!r} names {doubled} twice")
    return rules


def _rule(part: str) -> Rule:
    name, equals, span = (piece.strip() for piece in part.partition("="))
    if "=" in span or ";" in part:
        raise ValueError(f"{part.strip()[:40]!r} names several types: put commas between them")
    if not equals:
        raise ValueError(f"{part.strip()[:40]!r} is not of the form consume=90d")
    try:
        kind = log_types.parse(name)
    except InvalidValue as error:
        raise ValueError(str(error).removeprefix("type: ")) from None
    seconds = spans.seconds(span)
    if seconds < ids.HOUR:
        raise ValueError(f"{span!r} is less than an hour, the shortest time rows can be kept for")
    return Rule(int(kind), seconds)
