"""The invented rows hold what an importer has to cope with, and are the same every time."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest

from tests.gateways.flavours import FLAVOURS
from tests.gateways.people import People, Row, invent
from tests.gateways.rows import LogRows
from tests.rows import NOW


def people_of(flavour: str, *, seed: int = 1) -> People:
    return invent(FLAVOURS[flavour], users=60, seed=seed)


def rows_of(flavour: str, *, rows: int = 3000, seed: int = 1) -> list[Row]:
    people = people_of(flavour, seed=seed)
    return list(LogRows(FLAVOURS[flavour]["logs"], people, rows=rows, seed=seed, end=NOW, first_id=1))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_seed_decides_everything(flavour: str) -> None:
    assert rows_of(flavour) == rows_of(flavour)
    assert rows_of(flavour) != rows_of(flavour, seed=2)
    assert people_of(flavour) == people_of(flavour)


@pytest.mark.parametrize(
    ("flavour", "types"),
    [
        ("one-api-2025", {0, 1, 2, 3, 4, 5}),
        ("new-api-2025-04", {0, 1, 2, 3, 4, 5}),
        ("new-api-2026", {0, 1, 2, 3, 4, 5, 6, 7}),
    ],
)
def test_all_types_and_two_unknown_ones_appear(flavour: str, types: set[int]) -> None:
    assert {row["type"] for row in rows_of(flavour)} == types | {42, -1, None}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_column_that_takes_null_has_one(flavour: str) -> None:
    rows = rows_of(flavour, rows=200)
    for column in FLAVOURS[flavour]["logs"].columns:
        assert any(row[column.name] is None for row in rows) == column.nullable


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_ids_have_gaps_and_times_go_back_now_and_then(flavour: str) -> None:
    rows = rows_of(flavour)
    assert all(first["id"] < second["id"] for first, second in pairwise(rows))
    assert rows[-1]["id"] > len(rows)
    times = [row["created_at"] for row in rows if row["created_at"]]
    assert any(first > second for first, second in pairwise(times))
    assert max(times) <= NOW


@pytest.mark.parametrize("flavour", ["new-api-2025-04", "new-api-2026"])
def test_other_is_good_bad_and_missing(flavour: str) -> None:
    found = Counter(kind_of(row["other"]) for row in rows_of(flavour))
    assert set(found) == {"object", "no object", "broken", "empty", "missing"}
    assert max(len(row["other"] or "") for row in rows_of(flavour)) > 65_536


def kind_of(other: str | None) -> str:
    if not other:
        return "missing" if other is None else "empty"
    try:
        return "object" if isinstance(json.loads(other), dict) else "no object"
    except ValueError:
        return "broken"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_text_holds_a_zero_byte(flavour: str) -> None:
    people = people_of(flavour)
    for row in [*rows_of(flavour), *people.users, *people.tokens, *people.channels]:
        assert not any("\0" in value for value in row.values() if isinstance(value, str))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_rows_outlive_their_users_tokens_and_channels(flavour: str) -> None:
    people, rows = people_of(flavour), rows_of(flavour)
    assert {row["user_id"] for row in rows} - {user["id"] for user in people.users} > {None, 0}
    assert {row["channel_id"] for row in rows} - {channel["id"] for channel in people.channels} > {None, 0}
    if "token_id" in rows[0]:
        assert {row["token_id"] for row in rows} - {token["id"] for token in people.tokens} > {None, 0}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_people_are_of_every_kind(flavour: str) -> None:
    people = people_of(flavour)
    assert {user["role"] for user in people.users} == {0, 1, 10, 100, None}
    assert {user["status"] for user in people.users} >= {1, 2, None}
    assert {token["status"] for token in people.tokens} == {1, 2, 3, 4, None}
    assert {"", None} < {user["access_token"] for user in people.users}
    names = Counter((token["user_id"], token["name"]) for token in people.tokens)
    assert max(names.values()) == 2


def test_one_api_renames_the_deleted_and_new_api_marks_them() -> None:
    renamed = [user for user in people_of("one-api-2025").users if user["status"] == 3]
    assert renamed
    assert all(user["username"].startswith("deleted_") for user in renamed)
    marked = people_of("new-api-2026")
    assert any(user["deleted_at"] for user in marked.users)
    assert any(token["deleted_at"] for token in marked.tokens)
