"""Threads of a worker that who writes leaves to who reads."""

from __future__ import annotations

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
