"""How far a log was read: its gaps, and the rows by which it is known again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logservice.imports.position import LATE, MOST_GAPS, MOST_WITNESSES, RECENT_IDS, Gap, Position, digest
from logservice.sources.gateways import GatewayRow

NOW = 1_750_000_000


def make_row(row_id: int, created_at: Any = NOW) -> GatewayRow:
    return GatewayRow(row_id, created_at, 2, content=f"row {row_id}")


def after(position: Position, *row_ids: int, newest: GatewayRow | None = None, now: float = NOW) -> Position:
    rows = [make_row(row_id) for row_id in row_ids]
    return position.beyond(rows, newest=newest or rows[-1], now=now)


def test_missing_ids_are_noted_between_rows_and_after_the_last() -> None:
    position = after(Position(last=3), 5, 6, 9)

    assert position.last == 9
    assert position.gaps == (Gap(4, 4, NOW), Gap(7, 8, NOW))
    assert after(position, 11).gaps[2:] == (Gap(10, 10, NOW),)


def test_gaps_of_long_ago_are_nothing_to_wait_for() -> None:
    rows = [make_row(1, NOW - 2 * LATE), make_row(5, NOW - 2 * LATE)]
    newest = make_row(5 + 2 * RECENT_IDS)

    assert Position().beyond(rows, newest=newest, now=NOW).gaps == ()


@pytest.mark.parametrize("created_at", [None, 0, NOW - 10**6])
def test_a_wrong_time_near_the_end_hides_no_gap(created_at: int | None) -> None:
    rows = [make_row(5, created_at)]

    assert Position(last=1).beyond(rows, newest=make_row(9), now=NOW).gaps == (Gap(2, 4, NOW),)


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)))
def test_what_is_left_of_gaps_is_what_was_not_found(there: set[int], found_later: set[int]) -> None:
    position = after(Position(), *sorted(there), 41).without(found_later - there, now=NOW)

    missing = {row_id for gap in position.gaps for row_id in range(gap.low, gap.high + 1)}
    assert missing == set(range(1, 41)) - there - found_later


def test_gaps_are_given_up_after_a_while() -> None:
    position = after(Position(last=1), 3, now=NOW - LATE / 2)
    position = after(position, 5, now=NOW)

    assert position.without((), now=NOW + LATE / 2).gaps == (Gap(4, 4, NOW),)
    assert position.without((), now=NOW + LATE).gaps == ()


def test_gaps_and_witnesses_do_not_grow_for_ever() -> None:
    position = Position()
    for row_id in range(2, 3 * MOST_GAPS, 2):
        position = after(position, row_id)

    assert len(position.gaps) == MOST_GAPS
    assert position.gaps[-1].high == position.last - 1
    assert len(position.witnesses) <= MOST_WITNESSES
    assert position.witnesses[-1] == (position.last, digest(make_row(position.last)))
    assert position.witnesses[0].id < MOST_GAPS


def test_a_position_survives_being_written_down() -> None:
    position = after(after(Position(), 3, 4, 9), 12)

    assert Position.of(position.state()) == position


@pytest.mark.parametrize(
    "change", [{"created_at": 1}, {"content": "x"}, {"user_id": 9}, {"quota": 1}, {"model_name": "m"}]
)
def test_a_digest_tells_rows_apart(change: dict[str, Any]) -> None:
    assert digest(make_row(1)._replace(**change)) != digest(make_row(1))


def test_a_digest_looks_at_what_every_version_of_a_table_has() -> None:
    row = make_row(1)

    assert digest(row._replace(other="{}", ip="127.0.0.1", group="vip", token_id=4)) == digest(row)
