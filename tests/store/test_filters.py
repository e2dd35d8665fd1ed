"""Filters: one list for rows and for buckets, patterns alike on every engine."""

from __future__ import annotations

from typing import Any

import pytest

from logservice.store import tables
from logservice.store.filters import FILTERS, Filters
from logservice.store.queries import Query
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from logservice.store.tables import DIMENSIONS, SITE_DIMENSIONS
from tests.store_rows import ENGINES, EVER, SITE, each_of, like, make_record, page, raw_rows

engine_name = each_of(*ENGINES)

#: A value of each filter, and one of the same column that it must not find.
VALUES: dict[str, tuple[Any, Any]] = {
    "type": (4, 2),
    "types": ((4, 5), 2),
    "user_id": (5, 6),
    "username": ("bob", "Bob"),
    "token_name": ("laptop", "Laptop"),
    "model_name": ("gpt-4o", "gpt-4o-mini"),
    "model_names": (("gpt-4o", "o3"), "gpt-4o-mini"),
    "channel": (3, 33),
    "group": ("vip", "VIP"),
    "request_id": ("r-1", "r-10"),
    "ip": ("10.0.0.1", "10.0.0.10"),
    "some_type": ((4, 5), 2),
    "some_user_id": ((5, 7), 6),
    "some_username": (("bob", "b%"), "Bob"),
    "some_token_id": ((5,), 6),
    "some_token_name": (("laptop", ""), "Laptop"),
    "some_model_name": (("gpt-4o",), "gpt-4o-mini"),
    "some_channel_id": ((3, 0), 33),
    "some_group": (("vip",), "VIP"),
}
NAMES = [
    "gpt-4o",
    "GPT-4O",
    "gpt_4o",
    "gpt%4o",
    "gpt*4o",
    "gpt?4o",
    "gpt[4]o",
    "gpt4o",
    "gpt]4o",
    "gpt\\4o",
    "gpt^4o",
    "gpt-4o\nmini",
    "o-4-gpt",
    "模型-4o",
    "",
]


@pytest.fixture(scope="module")
def named(module_store: LogStore) -> LogStore:
    """A store with a row of each name."""
    if not raw_rows(module_store):
        module_store.record([make_record(model_name=name, token_name=name) for name in NAMES])
    return module_store


def found_by(store: LogStore, **values: Any) -> set[str]:
    return {row["model_name"] for row in page(store, filters=Filters(values), page_size=100).rows}


#: The filters but those by numbers that the store gives out itself, which are tried where search uses them.
TRIED = [entry for entry in FILTERS if entry.column not in ("id", "content_id")]


def test_every_filter_is_tried_here() -> None:
    assert list(VALUES) == [entry.name for entry in TRIED]
    assert len(FILTERS) - len(TRIED) == 2


@pytest.mark.parametrize("entry", TRIED, ids=lambda entry: entry.name)
def test_a_filter_finds_its_value_and_nothing_else(store: LogStore, entry: Any) -> None:
    wanted, other = VALUES[entry.name]
    first = wanted[0] if isinstance(wanted, tuple) else wanted
    store.record([make_record(**{entry.column: first}), make_record(**{entry.column: other})])

    found = page(store, filters=Filters({entry.name: wanted}))

    assert found.total == 1
    assert [row[entry.column] for row in found.rows] == [first]


@pytest.mark.parametrize("name", NAMES)
def test_a_value_without_percent_is_exact_whatever_else_it_holds(named: LogStore, name: str) -> None:
    if "%" not in name:
        assert found_by(named, model_name=name) == {name}


@pytest.mark.parametrize(
    "pattern",
    [
        "%",
        "%%",
        "gpt%",
        "%4o",
        "%4%",
        "gpt%4o",
        "GPT%",
        "gpt_4%",
        "gpt*%",
        "%?4o",
        "%[4]o",
        "%[%",
        "%]%",
        "%[^x]%",
        "%[g-z]%",
        "%\\4o",
        "%\\%",
        "%^4o",
        "%\\_%",
        "模型%",
        "%4o\n%",
        "%gpt%4o%",
        "%o%4%",
        "gpt-4o%gpt-4o",
    ],
)
@pytest.mark.parametrize("field", ["model_name", "token_name"])
def test_in_a_pattern_only_percent_is_special_and_case_counts(
    named: LogStore, field: str, pattern: str
) -> None:
    assert found_by(named, **{field: pattern}) == {name for name in NAMES if like(name, pattern)}


def test_a_pattern_finds_user_names_too(store: LogStore) -> None:
    store.record([make_record(username=name, user_id=number) for number, name in enumerate("xXy", start=1)])

    assert page(store, filters=Filters({"username": "x%"})).total == 1


@pytest.mark.parametrize("field", ["group", "request_id", "ip"])
def test_percent_is_an_ordinary_character_elsewhere(store: LogStore, field: str) -> None:
    store.record([make_record(**{field: value}) for value in ("1%", "1x", "%")])

    assert [row[field] for row in page(store, filters=Filters({field: "1%"})).rows] == ["1%"]


def test_a_longer_pattern_than_any_name_finds_nothing(named: LogStore) -> None:
    assert found_by(named, model_name="x%" * 40_000) == set()


def test_none_is_absent_and_zero_and_empty_text_are_values(store: LogStore) -> None:
    store.record([make_record(channel_id=0, group=""), make_record(channel_id=1, group="vip")])

    assert page(store, filters=Filters({"channel": None, "group": None})).total == 2
    assert page(store, filters=Filters({"channel": 0})).total == 1
    assert page(store, filters=Filters({"group": ""})).total == 1


def test_an_empty_request_id_can_be_asked_for(store: LogStore) -> None:
    store.record([make_record(request_id=""), make_record(request_id="r-1")])

    assert page(store, filters=Filters({"request_id": ""})).total == 1


def test_an_unknown_filter_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Filters({"colour": "red"})


def test_filters_know_which_buckets_can_answer() -> None:
    assert {entry.column for entry in FILTERS if entry.is_dimension} <= set(DIMENSIONS)
    assert {entry.column for entry in FILTERS if entry.is_site_dimension} <= set(SITE_DIMENSIONS)
    assert Filters({"username": "x"}).fit_hourly
    assert not Filters({"ip": "x"}).fit_hourly
    assert Filters({"ip": "x", "group": "y"}).dimensions_only() == {"group": "y"}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"model_name": "x", "channel": 3}, tables.site),
        ({"token_name": "x"}, tables.owners),
        ({"username": "x%"}, tables.owners),
        # An index of the hours leads to one user.
        ({"username": "x"}, tables.hourly),
        ({"user_id": 5}, tables.hourly),
        ({"token_name": "x", "model_name": "y"}, tables.hourly),
    ],
)
def test_the_coarsest_buckets_that_know_all_filters_answer(filters: dict[str, Any], expected: Any) -> None:
    assert Query(SITE, Filters(filters), EVER).ladder[0].table is expected
    assert Query(Scope.user(5), Filters(filters), EVER).ladder[0].table is tables.hourly


@pytest.mark.parametrize("given", [None, "1", 1.0, True])
def test_what_is_no_id_makes_no_scope(given: Any) -> None:
    """A scope without a user is the whole site."""
    with pytest.raises(TypeError, match="an id is a whole number"):
        Scope.user(given)
    with pytest.raises(TypeError, match="an id is a whole number"):
        Scope.tokens([1, given])
