"""The writer: one commit for all who wait, nobody fails for a neighbour, what was acknowledged is on disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from logservice.errors import InvalidValue, Unavailable
from logservice.store import recording
from logservice.store.jobs import Claim
from logservice.store.observing import Observer
from logservice.store.store import LogStore
from tests.store_rows import NOW, at_once, buckets, contents, make_record, raw_rows, rebuilt, within


@pytest.fixture
def store(open_store: Any) -> LogStore:
    """A store in which nobody waits long."""
    store: LogStore = open_store(waiting_time=1.0)
    store.create()
    return store


def count_commits(store: LogStore) -> list[int]:
    """Return a list that grows with every commit of the store's writer from now on."""
    commits: list[int] = []

    def listen(connection: Connection) -> None:
        event.listen(connection.engine, "commit", lambda connection: commits.append(1))

    store.write(listen)
    commits.clear()
    return commits


@contextmanager
def busy(store: LogStore) -> Iterator[threading.Thread]:
    """Keep the writer busy with a piece of work until the block ends."""
    started, done = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        started.set()
        assert done.wait(20)

    thread = threading.Thread(target=lambda: store.write(work), daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield thread
    finally:
        done.set()
        thread.join(5)


def test_small_writes_that_come_together_share_a_commit(store: LogStore) -> None:
    commits = count_commits(store)

    with busy(store):
        waiting = [
            threading.Thread(target=store.record, args=([make_record(content=str(number))],), daemon=True)
            for number in range(50)
        ]
        for thread in waiting:
            thread.start()
        time.sleep(0.3)
    for thread in waiting:
        thread.join(10)

    assert len(raw_rows(store)) == 50
    # One for the work that kept it busy, one for all that waited meanwhile.
    assert len(commits) == 2


def test_concurrent_writes_are_all_stored_once_in_fewer_commits_than_writes(open_store: Any) -> None:
    store = open_store()
    store.create()
    commits = count_commits(store)

    at_once([lambda number=number: store.record([make_record(content=str(number))]) for number in range(64)])

    assert sorted(contents(raw_rows(store)), key=int) == [str(number) for number in range(64)]
    assert len(commits) < 64
    assert buckets(store) == rebuilt(store)


def test_a_bad_write_does_not_fail_its_neighbours(store: LogStore) -> None:
    def fail(connection: Connection) -> None:
        recording.insert(connection, store.dialect, [make_record(content="half-written")], now=NOW)
        raise InvalidValue("this one is bad")

    def spoil() -> None:
        spoiled = make_record(content="spoiled")
        spoiled.row["quota"] = None
        store.record([spoiled])

    with busy(store):
        results: list[Any] = []
        calls = [
            *(
                lambda number=number: store.record([make_record(content=str(number))], answer="well")
                for number in range(8)
            ),
            lambda: store.write(fail),
            spoil,
        ]
        waiting = threading.Thread(target=lambda: results.extend(at_once(calls)), daemon=True)
        waiting.start()
        time.sleep(0.3)
    waiting.join(10)

    assert results[:8] == ["well"] * 8
    assert isinstance(results[8], InvalidValue)
    assert isinstance(results[9], Unavailable)
    assert sorted(contents(raw_rows(store))) == [str(number) for number in range(8)]
    assert buckets(store) == rebuilt(store)


def test_a_write_that_waits_too_long_is_withdrawn_and_never_stored(store: LogStore) -> None:
    with busy(store):
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            store.record([make_record(content="too late")])
        waited = time.monotonic() - began
    store.record([make_record(content="later")])

    assert 0.9 < waited < 3
    assert caught.value.retry_after >= 1
    assert contents(raw_rows(store)) == ["later"]


def test_a_write_is_withdrawn_as_well_while_its_transaction_may_not_begin(open_store: Any) -> None:
    """Another program has the database, or what the write claims, and the engine itself would wait longer."""
    store, other, claims = open_store(), open_store(), [Claim("a thing")]
    store.create()

    with other.dialect.transaction() as connection:
        other.dialect.claim(connection, claims)
        with pytest.raises(Unavailable, match=r"more than 0\.3 seconds"):
            store.writer.run(insert_late, None, timeout=0.3, claims=claims)
    store.record([make_record(content="later")])

    assert contents(raw_rows(store)) == ["later"]


def insert_late(connection: Connection, _items: Sequence[None]) -> list[None]:
    raise AssertionError("it was withdrawn")


def test_a_write_that_was_taken_up_is_awaited_however_long_it_takes(store: LogStore) -> None:
    def slow(connection: Connection) -> str:
        recording.insert(connection, store.dialect, [make_record(content="slow")], now=NOW)
        time.sleep(1.5)
        return "done"

    assert store.write(slow) == "done"
    assert contents(raw_rows(store)) == ["slow"]


def test_an_acknowledged_write_is_there_for_whoever_opens_the_database(open_store: Any) -> None:
    store = open_store()

    for number in range(5):
        store.record([make_record(content=str(number))])
        assert len(raw_rows(open_store())) == number + 1


def test_a_write_in_progress_is_seen_by_nobody(store: LogStore) -> None:
    def work(connection: Connection) -> int:
        recording.insert(connection, store.dialect, [make_record()], now=NOW)
        return len(raw_rows(store))

    assert store.write(work) == 0
    assert len(raw_rows(store)) == 1


def test_closing_finishes_what_was_accepted(open_store: Any) -> None:
    store, other = open_store(), open_store()
    store.create()
    results: list[Any] = []
    calls = [lambda: store.record([make_record()], answer="well")] * 10
    with busy(store):
        waiting = threading.Thread(target=lambda: results.extend(at_once(calls)), daemon=True)
        waiting.start()
        time.sleep(0.3)
        closing = threading.Thread(target=store.close, daemon=True)
        closing.start()
    waiting.join(10)
    closing.join(10)

    assert not closing.is_alive()
    assert results == ["well"] * 10
    assert len(raw_rows(other)) == 10


def test_after_closing_more_work_opens_the_database_again(store: LogStore) -> None:
    store.record([make_record(content="before")])
    store.close()

    within(10, lambda: store.record([make_record(content="after")]))
    assert contents(raw_rows(store)) == ["before", "after"]


def test_two_stores_write_in_turn(open_store: Any) -> None:
    stores = [open_store() for _ in range(3)]
    stores[0].create()

    results = at_once(
        [
            lambda number=number: [stores[number % 3].record([make_record()]) for _ in range(10)]
            for number in range(9)
        ]
    )

    assert results == [[""] * 10] * 9
    assert len(raw_rows(stores[0])) == stores[0].count_all() == 90
    assert buckets(stores[0]) == rebuilt(stores[0])


def test_what_cannot_be_tidied_up_fails_no_write(open_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()

    def fail() -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(store.dialect, "tidy", fail)
    for is_long in (False, True, False):
        assert within(10, lambda is_long=is_long: store.write(lambda connection: 1, is_long=is_long)) == 1


class Counting(Observer):
    """Counts pieces of work that were committed, and those that were given up."""

    def __init__(self) -> None:
        self.done, self.given_up = 0, 0

    def committed(self, waits: Sequence[float], seconds: float) -> None:
        assert all(wait >= 0 for wait in waits)
        assert seconds >= 0
        self.done += len(waits)

    def withdrawn(self) -> None:
        self.given_up += 1


def nothing(connection: Connection) -> None:
    """Work that does nothing."""


def test_an_observer_is_told_what_is_committed_and_what_is_given_up(open_store: Any) -> None:
    counting = Counting()
    store = open_store(waiting_time=0.1, observer=counting)
    store.write(nothing)
    with busy(store), pytest.raises(Unavailable):
        store.write(nothing)
    store.close()
    # What keeps the writer busy is committed as well.
    assert (counting.done, counting.given_up) == (2, 1)


def test_an_observer_that_fails_harms_nobody(open_store: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Observer):
        def committed(self, waits: Sequence[float], seconds: float) -> None:
            raise RuntimeError("no figures today")

    store = open_store(observer=Failing())
    for _ in range(2):
        store.record([make_record()])
    store.close()
    assert store.count_raw() == 2
    assert "could not be counted" in caplog.text


def test_a_forked_process_goes_on_telling_its_observer(open_store: Any) -> None:
    counting = Counting()
    store = open_store(observer=counting)
    store.write(nothing)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        store.write(nothing)
        store.close()
        os.write(sender, str(counting.done).encode())
        os._exit(0)
    os.close(sender)
    with open(receiver) as told:
        assert told.read() == "2"
    assert os.waitpid(child, 0)[1] == 0
