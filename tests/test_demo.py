"""The made-up usage: exact in number and time, the same every time, and in the proportions of real logs."""

from __future__ import annotations

import json
from collections import Counter
from ipaddress import ip_address, ip_network
from itertools import islice, pairwise
from statistics import mean, median
from typing import Any

import pytest

from logservice.demo import DEMO_USERS, generate
from logservice.demo_world import CHANNELS, MODELS, QUOTA_PER_USD
from logservice.errors import InvalidValue
from logservice.store.ids import DAY

END = 1_764_000_000
ROWS = 50_000
USERS = 2000
CONSUME, ERROR = 2, 4
DOCUMENTATION = [
    ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
TEXTS = {
    "username",
    "token_name",
    "model_name",
    "channel_name",
    "group",
    "ip",
    "request_id",
    "content",
    "other",
}
NUMBERS = {
    "created_at",
    "type",
    "user_id",
    "token_id",
    "channel_id",
    "quota",
    "use_time_ms",
    "first_token_ms",
}
NUMBERS |= {"prompt_tokens", "completion_tokens", "cached_tokens"}
RATIOS = {"model_ratio", "completion_ratio", "group_ratio", "cache_ratio", "model_price"}

Event = dict[str, Any]


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(generate(ROWS, end=END))


@pytest.fixture(scope="module")
def calls(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] in (CONSUME, ERROR)]


@pytest.fixture(scope="module")
def answered(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] == CONSUME]


@pytest.mark.parametrize("days", [1, 7, 30])
@pytest.mark.parametrize("rows", [0, 1, 29, 1000])
def test_gives_exactly_as_many_rows_as_asked_for(rows: int, days: int) -> None:
    assert len(list(generate(rows, end=END, days=days, users=10))) == rows


@pytest.mark.parametrize("end", [END, END + 1, END - END % DAY, END + 40_000])
def test_rows_ascend_inside_the_window(end: int) -> None:
    moments = [event["created_at"] for event in generate(5000, end=end, days=3)]
    assert all(before <= after for before, after in pairwise(moments))
    assert end - 3 * DAY <= moments[0] <= moments[-1] < end


def test_the_same_arguments_give_the_same_rows() -> None:
    assert list(generate(3000, end=END, seed=7)) == list(generate(3000, end=END, seed=7))


def test_another_seed_gives_other_rows() -> None:
    assert list(generate(100, end=END, seed=1)) != list(generate(100, end=END, seed=2))


def test_tokens_belong_to_the_same_people_however_many_rows() -> None:
    few, many = (
        {event["token_id"]: event["username"] for event in generate(rows, end=END, users=5, days=days)}
        for rows, days in ((500, 2), (3000, 9))
    )
    assert few.items() <= many.items()


def test_nothing_waits_for_the_last_row() -> None:
    assert len(list(islice(generate(10**9, end=END, days=10**4), 3))) == 3


@pytest.mark.parametrize("wrong", [{"rows": -1}, {"days": 0}, {"users": 0}, {"end": DAY}])
def test_impossible_arguments_are_refused_at_once(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidValue):
        generate(**{"rows": 1, "end": END, **wrong})


def test_every_event_has_exactly_the_fields_of_the_contract(events: list[Event]) -> None:
    assert {frozenset(event) for event in events} == {frozenset(TEXTS | NUMBERS | {"is_stream"})}


def test_every_value_has_the_type_of_its_field(events: list[Event]) -> None:
    for names, kind in ((TEXTS, str), (NUMBERS, int), ({"is_stream"}, bool)):
        assert {type(event[name]) for event in events for name in names} == {kind}


def test_shares_of_types(events: list[Event]) -> None:
    counts = Counter(event["type"] for event in events)
    assert counts[CONSUME] / ROWS == pytest.approx(0.955, abs=0.005)
    assert counts[ERROR] / ROWS == pytest.approx(0.035, abs=0.004)
    assert set(counts) == set(range(1, 8))


def test_a_few_users_make_most_of_the_calls(events: list[Event]) -> None:
    counts = Counter(event["user_id"] for event in events)
    assert set(counts) <= set(range(1, USERS + 1))
    assert counts.most_common(1)[0][0] == 1
    assert counts[1] > 20 * median(counts.values())


def test_alice_and_bob_are_the_heaviest_users_and_own_their_tokens(calls: list[Event]) -> None:
    heaviest = [name for name, _ in Counter(event["username"] for event in calls).most_common(2)]
    seen = {(event["user_id"], event["username"], event["token_id"], event["token_name"]) for event in calls}
    assert heaviest == [user.username for user in DEMO_USERS] == ["alice", "bob"]
    assert {(user.user_id, user.username, user.token_id, user.token_name) for user in DEMO_USERS} <= seen


def test_a_token_has_one_user_and_a_user_up_to_three_tokens_and_one_group(calls: list[Event]) -> None:
    owners = {(event["token_id"], event["user_id"]) for event in calls}
    groups = {(event["user_id"], event["group"]) for event in calls}
    assert len({token for token, _ in owners}) == len(owners)
    assert max(Counter(user for _, user in owners).values()) == 3
    assert len({user for user, _ in groups}) == len(groups)


def test_a_user_keeps_to_at_most_four_models(calls: list[Event]) -> None:
    pairs = {(event["user_id"], event["model_name"]) for event in calls}
    assert len(MODELS) == len({model for _, model in pairs}) == 25
    assert max(Counter(user for user, _ in pairs).values()) == 4


def test_a_model_has_up_to_four_channels_and_a_main_one(calls: list[Event]) -> None:
    counts: dict[str, Counter[int]] = {}
    for event in calls:
        counts.setdefault(event["model_name"], Counter())[event["channel_id"]] += 1
    shares = {
        len(channels): max(channels.values()) / channels.total()
        for channels in counts.values()
        if channels.total() > 2000
    }
    assert all(
        len(channels) <= 4 and set(channels) <= set(range(1, CHANNELS + 1)) for channels in counts.values()
    )
    assert shares == {count: pytest.approx(1 if count == 1 else 0.85, abs=0.03) for count in shares}


def test_calls_come_in_sessions_of_about_25(calls: list[Event]) -> None:
    starts: Counter[tuple[int, str]] = Counter()
    last: dict[tuple[int, str], int] = {}
    for event in calls:
        key = event["token_id"], event["model_name"]
        starts[key] += event["created_at"] - last.get(key, 0) > 900
        last[key] = event["created_at"]
    assert len(calls) / starts.total() == pytest.approx(25, abs=5)


def test_token_counts_are_skewed_as_a_log_normal_is(answered: list[Event]) -> None:
    for name in ("prompt_tokens", "completion_tokens"):
        counts = [event[name] for event in answered]
        assert mean(counts) > 1.3 * median(counts) > 0


def test_amounts_of_an_answer_agree_with_each_other(answered: list[Event]) -> None:
    for event in answered:
        assert 0 <= event["cached_tokens"] <= event["prompt_tokens"]
        assert 0 <= event["first_token_ms"] <= event["use_time_ms"]
        assert (event["first_token_ms"] > 0) is event["is_stream"]


def test_quota_is_what_tokens_and_ratios_come_to(answered: list[Event]) -> None:
    for event in answered:
        other = json.loads(event["other"])
        cached = event["cached_tokens"]
        prompt = event["prompt_tokens"] - cached + cached * other["cache_ratio"]
        tokens = prompt + event["completion_tokens"] * other["completion_ratio"]
        cost = tokens * other["model_ratio"] * other["group_ratio"]
        assert event["quota"] == pytest.approx(cost, abs=1.001)


def test_a_call_costs_a_plausible_amount(answered: list[Event]) -> None:
    assert 0.0005 < mean(event["quota"] for event in answered) / QUOTA_PER_USD < 0.05


def test_failed_calls_are_free_and_carry_their_request_id(calls: list[Event]) -> None:
    failed = [event for event in calls if event["type"] == ERROR]
    assert {event["quota"] + event["completion_tokens"] for event in failed} == {0}
    assert all(event["request_id"] in event["content"] for event in failed)


def test_consume_contents_come_from_few_templates(answered: list[Event]) -> None:
    assert len({event["content"] for event in answered}) <= 4 * 3 * len(MODELS)


def test_request_ids_are_unique_and_only_calls_have_one(events: list[Event], calls: list[Event]) -> None:
    ids = {event["request_id"] for event in calls}
    assert "" not in ids
    assert len(ids) == len(calls)
    assert sum(event["request_id"] != "" for event in events) == len(calls)


def test_other_of_a_call_is_json_of_200_to_250_bytes(calls: list[Event]) -> None:
    lengths = [len(event["other"].encode()) for event in calls]
    assert 200 <= min(lengths) <= max(lengths) <= 250
    assert all(event["admin_info"]["use_channel"] for event in (json.loads(call["other"]) for call in calls))


def test_other_of_an_answer_has_the_keys_of_the_gateway(answered: list[Event]) -> None:
    for event in answered:
        other = json.loads(event["other"])
        assert other.keys() >= RATIOS | {"cache_tokens", "frt", "admin_info"}
        assert other["cache_tokens"] == event["cached_tokens"]
        assert other["admin_info"]["use_channel"][-1] == str(event["channel_id"])


def test_addresses_are_those_reserved_for_documentation(events: list[Event]) -> None:
    addresses = [ip_address(text) for text in {event["ip"] for event in events}]
    assert all(any(address in net for net in DOCUMENTATION) for address in addresses)
    assert {address.version for address in addresses} == {4, 6}
