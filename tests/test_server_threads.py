"""Threads of a worker that who writes leaves to who reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from logservice.server_threads import LONGEST_SECONDS, Threads


class Begun(list[str]):
    """What was begun, with the threads in which it is."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.threads: Threads[str] = Threads(self.append, threads=threads)

    def add(self, names: str) -> None:
        """Add a connection for each name, that of who writes beginning with a w."""
        for name in names.split():
            self.threads.add(name, writes=name.startswith("w"))


@pytest.mark.parametrize(
    ("threads", "most"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (7, 5), (8, 6), (16, 12)]
)
def test_so_many_of_the_threads_are_for_who_writes(threads: int, most: int) -> None:
    begun = Begun(threads)
    for number in range(20):
        begun.add(f"w{number}")
    assert len(begun) == most
    for number in range(20):
        begun.add(f"r{number}")
    assert len(begun) == threads


def test_who_waits_gets_the_thread_of_one_that_is_done_in_order() -> None:
    begun = Begun(3)
    begun.add("w1 w2 w3 r1 r2 w4")
    assert begun == ["w1", "w2", "r1"]
    begun.threads.end("w2")
    assert begun[3:] == ["w3"]
    begun.threads.end("r1")
    assert begun[4:] == ["r2"]
    begun.threads.end("r2")
    assert begun[5:] == []
    begun.threads.end("w1")
    assert begun[5:] == ["w4"]
    for name in ("w3", "w4"):
        begun.threads.end(name)
    begun.add("w1")
    assert begun[6:] == ["w1"]


def test_who_reads_has_no_right_before_who_writes(monotonic: SimpleNamespace) -> None:
    begun = Begun(2)
    begun.add("r1 r2")
    for name in ("w1", "r3", "w2", "r4"):
        monotonic.now += 0.1
        begun.add(name)
    for name in ("r1", "w1", "r3"):
        begun.threads.end(name)
    assert begun == ["r1", "r2", "w1", "r3", "w2"]


def test_who_has_waited_too_long_to_be_served_is_begun_by_any_thread(monotonic: SimpleNamespace) -> None:
    begun = Begun(4)
    begun.add("w1 w2 w3 w4")
    monotonic.now += LONGEST_SECONDS
    begun.threads.go_on()
    assert begun == ["w1", "w2", "w3"]
    monotonic.now += 0.1
    begun.threads.go_on()
    assert begun == ["w1", "w2", "w3", "w4"]
    # Which the service is told, or it might do what was begun only to be refused.
    assert monotonic.now - begun.threads.of("w4").since > LONGEST_SECONDS
    assert begun.threads.of("w1").since == begun.threads.of("w4").since
    # Nobody's request has only just come.
    assert begun.threads.of("nobody") == (False, monotonic.now)


#: Seconds for each of so many requests, 128 a second; they can be added up without an error.
_TICK = 1 / 128


def offered(
    monotonic: SimpleNamespace,
    share: float,
    seconds: float,
    *,
    stalls: Callable[[float], bool] = lambda _: False,
) -> Iterator[tuple[float, bool, float]]:
    """Yield when a request came, whether it was refused, and how long the last one that began had waited.

    Two threads, which are always as fast, are offered a share of what they can do; nothing is done while it
    `stalls`.
    """
    waits = [0.0]

    def begin(came: float) -> None:
        waited = monotonic.now - came
        if waited > LONGEST_SECONDS:
            # It is refused by its thread, which takes no time.
            late.append(came)
        else:
            waits.append(waited)
            under_way.append(came)

    under_way: list[float] = []
    late: list[float] = []
    threads: Threads[float] = Threads(begin, threads=2)
    begun, due = monotonic.now, 0.0
    while (now := monotonic.now - begun) < seconds:
        if under_way and not stalls(now):
            threads.end(under_way.pop(0))
        while late:
            threads.end(late.pop())
        due += share
        while due >= 1:
            due -= 1
            is_refused = threads.are_too_many(writes=False)
            if not is_refused:
                threads.add(monotonic.now + due * _TICK / 4, writes=False)
            yield now, is_refused, waits[-1]
        monotonic.now += _TICK


@pytest.mark.parametrize("share", [1.25, 2, 5])
def test_of_more_than_can_be_done_some_are_refused_so_that_nobody_waits_too_long(
    monotonic: SimpleNamespace, share: float
) -> None:
    refused = [now for now, is_refused, _ in offered(monotonic, share, 20) if is_refused]
    assert refused
    late = [wait for now, _, wait in offered(monotonic, share, 20) if now > 8]
    assert max(late) < LONGEST_SECONDS
    # What can be done is done.
    assert min(late) > 1
    kept = [now for now, is_refused, _ in offered(monotonic, share, 20) if now > 10 and not is_refused]
    assert len(kept) == pytest.approx(10 / _TICK, rel=0.02)


@pytest.mark.parametrize("stall", [0.6, 1, 1.5, 1.9])
def test_nobody_is_refused_for_what_gathers_while_nothing_goes_on(
    monotonic: SimpleNamespace, stall: float
) -> None:
    found = list(offered(monotonic, 0.75, 15, stalls=lambda now: 3 < now <= 3 + stall))
    assert [now for now, is_refused, _ in found if is_refused] == []
    assert max(wait for _, _, wait in found) > stall - 0.1
    assert found[-1][2] < 0.1


def test_nobody_is_refused_for_what_gathers_while_nothing_goes_on_twice(monotonic: SimpleNamespace) -> None:
    found = offered(monotonic, 0.75, 15, stalls=lambda now: 3 < now <= 3.9 or 4.2 < now <= 5.3)
    assert [now for now, is_refused, _ in found if is_refused] == []


def test_what_was_refused_late_does_not_tell_how_fast_others_go_on(monotonic: SimpleNamespace) -> None:
    """Posts wait for a commit of four seconds; after two seconds any thread refuses those behind."""
    begun = Begun(4)
    threads = begun.threads
    begun.add("w0 w1 w2")
    for number in range(3, 400):
        monotonic.now += 1 / 64
        is_done = monotonic.now >= 1004
        assert not threads.are_too_many(writes=True)
        threads.add(f"w{number}", writes=True)
        # Whoever is refused leaves at once; once the commit is done three posts are, each 64th of a second.
        for name in [name for name in begun if name in threads._begun]:
            is_late = monotonic.now - threads.of(name).since > LONGEST_SECONDS
            if is_done or (is_late and name not in ("w0", "w1", "w2")):
                threads.end(name)
    assert monotonic.now > 1006


def test_a_burst_after_a_slow_time_is_not_too_much(monotonic: SimpleNamespace) -> None:
    begun = Begun(1)
    threads = begun.threads
    begun.add(" ".join(f"r{number}" for number in range(40)))
    for number in range(20):
        monotonic.now += 0.25
        threads.end(f"r{number}")
    for number in range(20, 40):
        threads.end(f"r{number}")
    begun.add(" ".join(f"r{number}" for number in range(40, 80)))
    monotonic.now += 0.25
    assert not threads.are_too_many(writes=False)
    # It goes on as before.
    monotonic.now += 0.25
    assert threads.are_too_many(writes=False)
    # How it went on before is not known for ever.
    monotonic.now += 10
    assert not threads.are_too_many(writes=False)


def test_each_kind_waits_for_itself(monotonic: SimpleNamespace) -> None:
    begun = Begun(4)
    begun.add(" ".join(f"w{number}" for number in range(40)))
    for number in range(20):
        monotonic.now += 0.125
        begun.threads.end(f"w{number}")
    assert begun.threads.are_too_many(writes=True)
    assert not begun.threads.are_too_many(writes=False)
    for number in range(20, 40):
        begun.threads.end(f"w{number}")
    assert not begun.threads.are_too_many(writes=True)


def test_a_thread_that_could_not_begin_is_not_counted() -> None:
    begun: list[str] = []

    def begin(name: str) -> None:
        if not begun and name == "w1":
            begun.append("failed")
            raise RuntimeError("can't start new thread")
        begun.append(name)

    threads: Threads[str] = Threads(begin, threads=2)
    with pytest.raises(RuntimeError):
        threads.add("w1", writes=True)
    threads.add("w2", writes=True)
    assert begun == ["failed", "w2"]
