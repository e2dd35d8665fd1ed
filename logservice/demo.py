"""Made-up usage for the demo and for benchmarks, in the shape that the logs of a busy gateway have.

Calls come in sessions: somebody uses one token and one model for a quarter of an hour, at about the same time
each day. That shape decides how many rows share a usage bucket; evenly scattered rows would mislead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, pairwise
from random import Random
from typing import Any

from .demo_world import (
    BLANK,
    CONSUME,
    DEMO_USERS,
    ERROR,
    NOTES,
    SLOTS,
    Caller,
    Fields,
    World,
    build_world,
)
from .errors import InvalidValue
from .store.ids import DAY

__all__ = ["DEMO_USERS", "generate"]

SESSION_SECONDS = 15 * 60
#: Calls in a session, 25 on average.
SHORTEST_SESSION, LONGEST_SESSION = 5, 45
#: How far, in seconds, a user's sessions scatter around their own time of day.
SESSION_SCATTER = 5400
WEEKDAY_LOAD, WEEKEND_LOAD = 10, 6
_SLOT = SLOTS - 1


def generate(
    rows: int, *, end: int, days: int = 30, seed: int = 1, users: int = 2000
) -> Iterator[dict[str, Any]]:
    """Return exactly `rows` events, oldest first, within [end - days * 86400, end).

    The same arguments give the same events; the same `seed` and `users` the same people, whatever the rest.
    Of the rows still to come, no more than those of one day are known at a time, each as one number.
    """
    start = end - days * DAY
    if rows < 0 or days < 1 or users < 1 or start < 1:
        raise InvalidValue("demo: rows from 0, days and users from 1, and a window after 1970, please")
    dice = Random(seed)  # nosec B311 # made-up rows are to be the same each time, and nothing of them is secret
    return _events(build_world(dice, users), _day_sizes(rows, start, days), dice, start=start)


def _events(world: World, sizes: Sequence[int], dice: Random, *, start: int) -> Iterator[dict[str, Any]]:
    """Go day by day, handing on to the next what runs over the end of one."""
    end = start + len(sizes) * DAY
    width = len(world.callers)
    calls: list[int] = []
    for day, size in zip(range(start, end, DAY), sizes, strict=True):
        calls += _sessions(world, size, dice, day=day, latest=end - SESSION_SECONDS)
        calls.sort()
        due = bisect_left(calls, (day + DAY) * width)
        for call in islice(calls, due):
            moment, caller = divmod(call, width)
            yield _event(world, world.callers[caller], moment, dice.getrandbits(64))
        del calls[:due]


def _day_sizes(rows: int, start: int, days: int) -> list[int]:
    """Return the number of rows of each day, weekends lighter, `rows` altogether."""
    noons = range(start + DAY // 2, start + days * DAY, DAY)
    # The first day of 1970 was a Thursday, three days after a Monday.
    loads = [WEEKEND_LOAD if (noon // DAY + 3) % 7 >= 5 else WEEKDAY_LOAD for noon in noons]
    marks = [rows * load // sum(loads) for load in accumulate(loads, initial=0)]
    return [after - before for before, after in pairwise(marks)]


def _sessions(world: World, size: int, dice: Random, *, day: int, latest: int) -> list[int]:
    """Return `size` calls in sessions that start on one day, unsorted.

    A call is one number, its second times the number of callers plus the caller: that sorts by time, takes a
    fraction of the memory of an event, and needs no session to be remembered.
    """
    width = len(world.callers)
    indices = range(width)
    calls: list[int] = []
    while len(calls) < size:
        [caller] = dice.choices(indices, cum_weights=world.cumulative_weights)
        about = int(dice.gauss(world.callers[caller].time_of_day, SESSION_SCATTER))
        # Times of day count from midnight, the days here from the start of the window.
        begin = min(day + (about - day) % DAY, latest)
        length = min(dice.randint(SHORTEST_SESSION, LONGEST_SESSION), size - len(calls))
        calls += [(begin + int(dice.random() * SESSION_SECONDS)) * width + caller for _ in range(length)]
    return calls


def _event(world: World, caller: Caller, moment: int, bits: int) -> Fields:
    """Return one event; the lowest twelve bits choose its type."""
    kind = world.types[bits & _SLOT]
    if kind == CONSUME:
        return _consumption(world, caller, moment, bits)
    if kind == ERROR:
        return _failure(world, caller, moment, bits)
    return {"created_at": moment, "type": kind, **BLANK, **caller.person, **NOTES[kind]}


def _consumption(world: World, caller: Caller, moment: int, bits: int) -> Fields:
    offer = caller.offer
    prompt = world.prompts[bits >> 12 & _SLOT]
    answer = world.answers[bits >> 24 & _SLOT]
    route = offer.routes[bits >> 36 & _SLOT]
    cost = prompt.fresh * offer.prompt_price + prompt.cached * offer.cached_price
    return {
        "created_at": moment,
        "type": CONSUME,
        **caller.fields,
        **route.fields,
        **prompt.fields,
        **answer.fields,
        "quota": int(cost + answer.tokens * offer.completion_price) + 1,
        "request_id": _request_id(moment, bits),
        "content": offer.contents[bits >> 48 & 3],
        "other": f"{route.before_cache}{prompt.cached}{route.before_frt}{answer.frt}{route.after_frt}",
    }


def _failure(world: World, caller: Caller, moment: int, bits: int) -> Fields:
    """Return a failed call: it took time and was charged nothing."""
    route = caller.offer.routes[bits >> 36 & _SLOT]
    answer = world.answers[bits >> 24 & _SLOT].fields
    event = {"created_at": moment, "type": ERROR, **BLANK, **caller.fields, **route.fields}
    event |= route.failures[bits >> 48 & 3]
    event["use_time_ms"] = answer["use_time_ms"]
    event["is_stream"] = answer["is_stream"]
    event["request_id"] = _request_id(moment, bits)
    event["content"] += f" (request id: {event['request_id']})"
    return event


def _request_id(moment: int, bits: int) -> str:
    """Return an id that begins with the time, as gateways' own do, and is unique by its 64 random bits."""
    return f"{moment:08x}{bits:016x}"
