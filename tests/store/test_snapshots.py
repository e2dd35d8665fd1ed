"""Verbs that read together see one state of the log, and take fewer steps for it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from logservice.errors import Unavailable
from logservice.store.store import LogStore
from tests.store_rows import make_record, within


@pytest.fixture
def begun(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that began snapshots, and "ended" for each that ended."""
    found: list[str] = []
    snapshot = store.dialect.snapshot

    @contextmanager
    def noted() -> Any:
        found.append(threading.current_thread().name)
        with snapshot() as reader:
            yield reader
        found.append("ended")

    store.record([make_record()])
    monkeypatch.setattr(store.dialect, "snapshot", noted)
    return found


MAIN = threading.main_thread().name


def test_what_is_read_together_is_of_one_moment(store: LogStore, begun: list[str]) -> None:
    with store.reading_together():
        assert begun == []
        assert store.count_all() == 1
        within(5, lambda: store.record([make_record()]))
        assert store.count_all() == 1
        assert begun == [MAIN]

    assert begun == [MAIN, "ended"]
    assert store.count_all() == 2


def test_a_block_within_a_block_shares_its_snapshot(store: LogStore, begun: list[str]) -> None:
    with store.reading_together():
        with store.reading_together():
            store.count_all()
        assert begun == [MAIN]
        store.count_all()

    assert begun == [MAIN, "ended"]


def test_other_threads_read_for_themselves(store: LogStore, begun: list[str]) -> None:
    with store.reading_together():
        store.count_all()
        store.record([make_record()])
        other = threading.Thread(target=store.count_all, name="other")
        other.start()
        other.join(10)

        assert begun == [MAIN, "other", "ended"]


def test_without_a_block_each_verb_sees_what_is_there(store: LogStore, begun: list[str]) -> None:
    store.count_all()
    store.count_all()

    assert begun == [MAIN, "ended"] * 2


def test_after_a_failure_the_next_verb_reads_anew(store: LogStore, begun: list[str]) -> None:
    with store.reading_together():
        store.count_all()
        with pytest.raises(Unavailable), store._snapshot() as reader:
            reader.connection.cursor().execute("SELECT nothing FROM nowhere")

        assert store.count_all() == 1

    assert begun.count(MAIN) == 2


def test_a_block_that_fails_lets_go_of_its_snapshot(store: LogStore, begun: list[str]) -> None:
    def fail() -> None:
        with store.reading_together():
            store.count_all()
            raise LookupError

    with pytest.raises(LookupError):
        fail()

    assert begun == [MAIN, "ended"]


def test_a_block_in_which_nobody_reads_needs_no_database(store: LogStore, begun: list[str]) -> None:
    with store.reading_together():
        pass

    assert begun == []


def test_a_schema_that_was_overtaken_is_refused_within_a_block_too(store: LogStore, begun: list[str]) -> None:
    def overtake(connection: Any) -> None:
        connection.execute(text("UPDATE log_alembic_version SET version_num = '9999'"))

    store.write(overtake)

    with pytest.raises(Unavailable, match="9999"), store.reading_together():
        store.count_all()
