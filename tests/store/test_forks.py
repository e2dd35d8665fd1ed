"""A process that is forked: nothing acknowledged is lost, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any

import pytest
from sqlalchemy import Connection, text

from logservice.store import forks
from logservice.store.dialects import sqlite_readers
from logservice.store.store import LogStore
from tests.forking import Child
from tests.store_rows import make_record, within

# Python warns of every fork beside other threads, which is what this is about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@contextmanager
def read_by_another_thread(store: LogStore) -> Iterator[None]:
    """Have another thread in the middle of a read."""
    inside, leave = threading.Event(), threading.Event()

    def read() -> None:
        with store.reading() as connection:
            connection.scalar(text("SELECT count(*) FROM log_records"))
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert inside.wait(5)
    yield
    leave.set()
    thread.join(5)


@pytest.mark.parametrize("is_read", [False, True], ids=["idle", "read"])
def test_what_a_child_records_stays_when_its_parent_lets_go(
    open_store: Any, monkeypatch: pytest.MonkeyPatch, *, is_read: bool
) -> None:
    monkeypatch.setattr(sqlite_readers, "MOMENT_SECONDS", 0.1)
    store = open_store()
    store.record([make_record()])

    def record() -> None:
        store.record([make_record()])

    with read_by_another_thread(store) if is_read else nullcontext():
        child = Child(record, record)
        assert child.do()
    store.close()
    # The last to close a file of SQLite folds its write-ahead log back and deletes it.
    with closing(open_store()) as other:
        other.record([make_record()])
    assert child.do()
    with closing(open_store()) as other:
        assert other.count_raw() == other.count_all() == 4
    child.end()


def test_a_fork_within_a_read_waits_for_nobody_and_leaves_the_read_to_the_parent(open_store: Any) -> None:
    store = open_store()
    store.record([make_record()])
    with store.reading() as connection:
        child = Child(lambda: store.record([make_record()]))
        assert connection.scalar(text("SELECT count(*) FROM log_records")) == 1
        assert child.do()
    child.end()
    assert store.count_all() == 2


def test_a_fork_within_a_write_is_warned_of_and_disturbs_no_write(
    open_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()
    store.record([make_record()])
    child = within(10, lambda: store.write(lambda _connection: Child()))
    child.end()
    assert "in the middle of a write" in caplog.text
    store.record([make_record()])
    assert store.count_all() == 2


def test_a_fork_waits_only_so_long_for_a_write_and_warns(
    open_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(waiting_time=0.2)
    store.create()
    inside, leave = threading.Event(), threading.Event()

    def work(_connection: Connection) -> None:
        inside.set()
        leave.wait(20)

    thread = threading.Thread(target=store.write, args=(work,))
    thread.start()
    assert inside.wait(5)
    within(10, Child).end()
    assert "in the middle of a write" in caplog.text
    leave.set()
    thread.join(5)
    store.record([make_record()])
    assert store.count_all() == 1


def test_reads_and_writes_of_other_threads_wait_for_a_fork_and_go_on(open_store: Any) -> None:
    store = open_store()
    store.record([make_record()])
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            store.record([make_record()])
            store.count_all()

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    children = [Child(lambda: store.record([make_record()])) for _ in range(5)]
    went_well = [child.do() for child in children]
    over.set()
    for thread in threads:
        thread.join(10)
    for child in children:
        child.end()
    assert went_well == [True] * 5
    assert store.count_raw() == store.count_all()


def test_a_lock_is_free_in_a_child_whoever_held_it_in_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "MOMENT_SECONDS", 0.1)
    lock, inside, leave = forks.Lock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock.held():
            inside.set()
            leave.wait(20)

    def use() -> None:
        with lock.held():
            pass

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(5)
    child = Child(use)
    assert child.do()
    child.end()
    leave.set()
    thread.join(5)
    within(5, use)
