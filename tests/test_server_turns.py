"""Requests of a worker that keeps to one processor have their turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from logservice.server_threads import Begun
from logservice.server_turns import BUSY_SHARE, GIVES_WAY, LONGEST, LOOK_EVERY, Turns, end_turn
from tests.processes import eventually


class Requests:
    """Threads that want a turn, which each has until its request ends."""

    def __init__(self, clocks: SimpleNamespace) -> None:
        self.turns = Turns()
        self.clocks = clocks
        #: Those that had or have their turn, in the order in which they got it.
        self.begun: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._threads: dict[str, threading.Thread] = {}

    def come(self, names: str, *, since: float | None = None) -> None:
        """Have requests come, one after the other; that of who writes has a name with a w."""
        for name in names.split():
            self._ends[name] = threading.Event()
            begun = Begun(name.startswith("w"), time.monotonic() if since is None else since)
            self._threads[name] = threading.Thread(target=self._serve, args=(name, begun), daemon=True)
            self._threads[name].start()
            self._settle()

    def end_all(self) -> None:
        """Have all requests end, in whatever order."""
        for end in self._ends.values():
            end.set()
        for thread in self._threads.values():
            thread.join(10)

    def look_after(self, seconds: float, *, computing: float) -> None:
        """Look at them when that much time has passed, for so much of which the process has computed."""
        self.clocks.monotonic += seconds
        self.clocks.process_time += computing * seconds
        self.turns.look()
        self._settle()

    def end(self, *names: str) -> None:
        """Have requests end one after the other, and wait until who is next has begun."""
        for name in names:
            self._ends[name].set()
            self._threads[name].join(10)
            self._settle()

    def _settle(self) -> None:
        assert eventually(lambda: len(self.begun) + self.turns.waiting == len(self._threads))

    def _serve(self, name: str, begun: Begun) -> None:
        with self.turns.taken(begun):
            self.begun.append(name)
            self._ends[name].wait(10)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What `time` says: the moment, and for how long the process has computed."""
    found = SimpleNamespace(monotonic=1000.0, process_time=1.0)
    for name in vars(found):
        monkeypatch.setattr(time, name, lambda name=name: getattr(found, name))
    return found


@pytest.fixture
def requests(clocks: SimpleNamespace) -> Iterator[Requests]:
    found = Requests(clocks)
    yield found
    found.end_all()


def test_one_computes_at_a_time_and_who_reads_comes_first(requests: Requests) -> None:
    requests.come("w1 w2 r1 r2 w3 r3")
    assert requests.begun == ["w1"]
    requests.end("w1", "r1", "r2", "r3", "w2", "w3")
    assert requests.begun == ["w1", "r1", "r2", "r3", "w2", "w3"]
    requests.come("r4")
    assert requests.begun[6:] == ["r4"]


@pytest.mark.parametrize(
    ("writer", "reader", "begins"),
    [
        # Milliseconds before now at which each came, where who writes gives way for 500.
        (400, 300, "r"),
        (400, 450, "r"),
        (600, 300, "w"),
        (600, 550, "w"),
        (600, 700, "r"),
    ],
)
def test_who_writes_gives_way_for_so_long_and_is_served_as_it_came_then(
    requests: Requests, clocks: SimpleNamespace, writer: int, reader: int, begins: str
) -> None:
    assert GIVES_WAY == 0.5
    requests.come("first")
    requests.come("w", since=clocks.monotonic - writer / 1000)
    requests.come("r", since=clocks.monotonic - reader / 1000)
    requests.end("first")
    assert requests.begun == ["first", begins]


def test_a_turn_ends_before_its_request_and_is_no_other_s(requests: Requests) -> None:
    turns, came = requests.turns, Begun(writes=True, since=0)
    with turns.taken(came):
        requests.come("r1 r2")
        assert requests.begun == []
        end_turn()
        assert eventually(lambda: requests.begun == ["r1"])
        # Neither told again nor at the end of its request does it end what is another's turn now.
        end_turn()
        assert turns.waiting == 1
    assert turns.waiting == 1
    requests.end("r1")
    assert requests.begun == ["r1", "r2"]


def test_a_turn_ends_with_a_request_that_fails(requests: Requests) -> None:
    with pytest.raises(OSError, match="hung up"), requests.turns.taken(Begun(writes=False, since=0)):
        raise OSError("hung up")
    requests.come("r1")
    assert requests.begun == ["r1"]


def test_who_has_no_turn_has_none_to_end() -> None:
    end_turn()


def test_others_begin_beside_who_computes_for_long(requests: Requests) -> None:
    requests.come("r1 r2 r3")
    for _ in range(3):
        requests.look_after(LONGEST * 0.3, computing=1)
    assert requests.begun == ["r1"]
    requests.look_after(LONGEST * 0.3, computing=1)
    assert requests.begun == ["r1", "r2"]
    # Now it is that one's turn, and the first has none to end.
    requests.end("r1")
    assert requests.begun == ["r1", "r2"]
    requests.end("r2")
    assert requests.begun == ["r1", "r2", "r3"]


def test_others_begin_beside_who_only_waits(requests: Requests) -> None:
    requests.look_after(1, computing=1)
    requests.clocks.monotonic += LOOK_EVERY / 10
    requests.come("r1 r2 r3 r4")
    # For a part of this it was not there.
    requests.look_after(LOOK_EVERY * 1.1, computing=BUSY_SHARE / 2)
    assert requests.begun == ["r1"]
    requests.look_after(LOOK_EVERY * 1.1, computing=BUSY_SHARE * 1.1)
    assert requests.begun == ["r1"]
    requests.look_after(LOOK_EVERY * 0.9, computing=0)
    assert requests.begun == ["r1"]
    requests.look_after(LOOK_EVERY * 0.2, computing=0)
    assert requests.begun == ["r1", "r2"]


def test_whose_turn_was_given_up_while_nobody_waited_keeps_nobody_out(requests: Requests) -> None:
    requests.come("r1")
    requests.look_after(LONGEST * 1.1, computing=1)
    requests.come("r2 r3")
    assert requests.begun == ["r1", "r2"]


def test_once_it_is_stopped_all_compute_at_once(requests: Requests) -> None:
    requests.come("r1 r2 w1")
    requests.turns.stop()
    # None of them ends for ten seconds.
    assert eventually(lambda: len(requests.begun) == 3, seconds=5)
    waiting = requests.turns.waiting
    with requests.turns.taken(Begun(writes=True, since=0)):
        # Nor does anybody else wait.
        assert requests.turns.waiting == waiting
