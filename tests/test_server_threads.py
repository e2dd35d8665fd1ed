"""Threads of a worker that who writes leaves to who reads."""

from __future__ import annotations

import pytest

from logservice.server_threads import Writers


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (16, 12)])
def test_so_many_of_the_threads_are_for_who_writes(threads: int, most: int) -> None:
    begun: list[int] = []
    writers = Writers(begun.append, threads=threads)
    for number in range(20):
        writers.add(number)
    assert begun == list(range(most))


def test_who_waits_gets_the_thread_of_one_that_is_done_in_order() -> None:
    begun: list[str] = []
    writers = Writers(begun.append, threads=3)
    for name in ("a", "b", "c", "d"):
        writers.add(name)
    writers.end("a reader")
    assert begun == ["a", "b"]
    writers.end("b")
    assert begun == ["a", "b", "c"]
    writers.end("a")
    assert begun == ["a", "b", "c", "d"]
    writers.end("c")
    writers.end("d")
    writers.add("a")
    assert begun == ["a", "b", "c", "d", "a"]
