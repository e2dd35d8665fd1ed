"""How far an import is moves in the transaction of its rows."""

from __future__ import annotations

from typing import Any

import pytest

from logservice.errors import Conflict, InvalidValue
from logservice.store.imports import Imports
from logservice.store.store import LogStore
from tests.store_rows import ENGINES, contents, each_of, make_record, raw_rows
from tests.stores import rows_apart

engine_name = each_of(*ENGINES)


@pytest.fixture
def imports(store: LogStore) -> Imports:
    return Imports(store)


def state(last: int, begins: str = "here") -> dict[str, Any]:
    return {"last": last, "begins": begins}


def test_an_import_is_known_with_its_first_rows(imports: Imports, store: LogStore) -> None:
    begun = imports.begin("gateway", {})
    assert imports.known("gateway") == []

    progress, stored = imports.advance(begun, [make_record(content="one")], state(1))

    assert stored == 1
    assert imports.known("gateway") == [progress]
    assert progress.state == state(1)
    assert imports.known("file") == []


def test_an_import_goes_on_from_where_it_is(imports: Imports, store: LogStore) -> None:
    progress, _ = imports.advance(imports.begin("gateway", {}), [make_record(content="one")], state(1))

    imports.advance(progress, [make_record(content="two")], state(2))

    [found] = imports.known("gateway")
    assert found.state == state(2)
    assert sorted(contents(raw_rows(store))) == ["one", "two"]


def test_of_two_that_import_the_same_one_stores_nothing(imports: Imports, store: LogStore) -> None:
    progress, _ = imports.advance(imports.begin("gateway", {}), [], state(1))
    imports.advance(progress, [make_record(content="first")], state(2))

    with pytest.raises(Conflict, match="by somebody else"):
        imports.advance(progress, [make_record(content="second")], state(2))

    assert contents(raw_rows(store)) == ["first"]


def test_of_two_that_begin_at_once_one_stores_nothing(imports: Imports, store: LogStore) -> None:
    first, second = imports.begin("gateway", {}), imports.begin("gateway", {})
    imports.advance(first, [make_record(content="first")], state(1))

    with pytest.raises(Conflict):
        imports.advance(second, [make_record(content="second")], state(1))

    assert contents(raw_rows(store)) == ["first"]


def test_two_that_begin_with_different_sources_at_once_both_do(imports: Imports, store: LogStore) -> None:
    first, second = imports.begin("gateway", {}), imports.begin("gateway", {})
    imports.advance(first, [make_record(content="first")], state(1))

    imports.advance(second, [make_record(content="second")], state(1, "there"))

    assert [progress.state["begins"] for progress in imports.known("gateway")] == ["here", "there"]
    assert len(raw_rows(store)) == 2


def test_rows_that_fail_do_not_move_the_mark(
    imports: Imports, store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, _ = imports.advance(imports.begin("gateway", {}), [], state(1))

    def fail(*_: Any, **__: Any) -> None:
        raise InvalidValue("no room")

    apart = rows_apart(store)
    monkeypatch.setattr(
        *((store.dialect, "new_ids") if apart is None else (apart._recorder.ids, "assign")), fail
    )
    with pytest.raises(InvalidValue):
        imports.advance(progress, [make_record()], state(2))

    assert imports.known("gateway") == [progress]
    assert raw_rows(store) == []
