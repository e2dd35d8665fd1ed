"""What each audience sees of a row, and what is left out of `other`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store.store import LogStore
from tests.answers import assert_ok
from tests.rows import (
    ALICE,
    ALICE_ID,
    ALICE_KEY,
    ALICE_TOKEN_ID,
    GATEWAY,
    NOW,
    ROOT,
    Headers,
    compact,
    make_event,
    only_row,
    post,
)
from tests.stores import set_other

ADMIN_FIELDS = {
    "id",
    "user_id",
    "created_at",
    "type",
    "content",
    "username",
    "token_name",
    "model_name",
    "quota",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "use_time",
    "use_time_ms",
    "first_token_ms",
    "is_stream",
    "channel_id",
    "channel",
    "channel_name",
    "token_id",
    "group",
    "ip",
    "request_id",
    "other",
}
SELF_FIELDS = ADMIN_FIELDS - {"channel_name", "channel"}
KEY_FIELDS = SELF_FIELDS - {"ip", "channel_id"}

#: Every way to a row, who goes it, and the fields seen there.
VIEWS = (
    ("/api/log/", ROOT, ADMIN_FIELDS),
    ("/api/log/search?keyword=consume", ROOT, ADMIN_FIELDS),
    ("/api/log/search?keyword=answered", ROOT, ADMIN_FIELDS),
    ("/api/log/?after=0", ROOT, ADMIN_FIELDS),
    ("/api/log/self", ALICE, SELF_FIELDS),
    ("/api/log/self?after=0", ALICE, SELF_FIELDS),
    ("/api/log/self/search?keyword=consume", ALICE, SELF_FIELDS),
    ("/api/log/self/search?keyword=answered", ALICE, SELF_FIELDS),
    (f"/api/log/token?key={ALICE_KEY}", {}, KEY_FIELDS),
    (f"/api/log/token?key={ALICE_KEY}&p=1", {}, KEY_FIELDS),
)
#: The views of those who are not told everything, one for each audience and kind of answer.
PUBLIC = [(path, who) for path, who, fields in VIEWS if fields is not ADMIN_FIELDS and "=0" not in path]

PRIVATE = ("admin_info", "audit_info", "stream_status")
#: Stands inside every private value of these tests, and must never be seen.
CHANNEL = "secret-channel-17"


def seen(client: FlaskClient, path: str, who: Headers) -> str:
    """Return `other` as one audience sees it, having checked that nothing private is in the whole answer."""
    answer = client.get(path, headers=who)
    assert answer.status_code == 200, answer.text
    assert CHANNEL not in answer.text
    text = only_row(client, path, who)["other"]
    assert isinstance(text, str)
    return text


# Fields


@pytest.mark.parametrize(("path", "who", "fields"), VIEWS)
def test_an_audience_sees_its_fields_and_no_others(
    client: FlaskClient, path: str, who: Headers, fields: set[str]
) -> None:
    post(client, make_event())
    assert only_row(client, path, who).keys() == fields


@pytest.mark.parametrize(("path", "who", "fields"), VIEWS)
def test_numbers_are_numbers_and_texts_are_texts_also_where_nothing_was_sent(
    client: FlaskClient, path: str, who: Headers, fields: set[str]
) -> None:
    post(client, {"user_id": ALICE_ID, "token_id": ALICE_TOKEN_ID, "content": "answered"})
    row = only_row(client, path, who)
    texts = {"content", "username", "token_name", "model_name", "channel_name", "group", "ip"}
    texts |= {"request_id", "other"}
    for name, value in row.items():
        expected = bool if name == "is_stream" else str if name in texts else int
        assert type(value) is expected, name


@pytest.mark.parametrize("streamed", [True, False])
def test_is_stream_is_a_boolean(client: FlaskClient, streamed: bool) -> None:
    post(client, make_event(is_stream=streamed))
    assert only_row(client)["is_stream"] is streamed


@pytest.mark.parametrize("second", [1, NOW, NOW + 86400])
def test_an_id_tells_its_time_and_is_safe_in_javascript(client: FlaskClient, second: int) -> None:
    post(client, make_event(created_at=second))
    row = only_row(client)
    assert row["id"] // 2**21 == row["created_at"] == second
    assert row["id"] < 2**53


def test_channel_repeats_channel_id(client: FlaskClient) -> None:
    post(client, make_event(channel_id=12))
    row = only_row(client)
    assert (row["channel"], row["channel_id"]) == (12, 12)


@pytest.mark.parametrize(("milliseconds", "seconds"), [(0, 0), (999, 0), (1000, 1), (1999, 1), (14_900, 14)])
def test_use_time_is_whole_seconds(client: FlaskClient, milliseconds: int, seconds: int) -> None:
    post(client, make_event(use_time_ms=milliseconds))
    assert only_row(client)["use_time"] == seconds


@pytest.mark.parametrize("path", ["/api/log/search?keyword=x", "/api/log/self/search?keyword=x"])
def test_no_rows_are_an_empty_list_and_never_null(client: FlaskClient, path: str) -> None:
    assert assert_ok(client.get(path, headers=ROOT)) == []
    assert assert_ok(client.get("/api/log/self", headers=ROOT))["items"] == []
    assert assert_ok(client.get(f"/api/log/token?key={ALICE_KEY}")) == []


# `other`

SHARED = {"model_ratio": 15.0, "group_ratio": 1, "frt": 350, "use_channel_note": "none"}
SECRET = {"use_channel": [CHANNEL], "deep": {"is_multi_key": True}}


def nested(levels: int, inside: Any) -> Any:
    """Put a value into so many lists."""
    for _ in range(levels):
        inside = [inside]
    return inside


def in_texts(levels: int, value: Any) -> Any:
    """Write a value as JSON text inside JSON text, so many times."""
    for _ in range(levels):
        value = {"text": compact(value)}
    return value


# What is sent as `other`, and what others than the administrator see of it.
STRIPPED = [
    # new-api's own rows: of a call, of a failed one, of an audited one, of a stream.
    (SHARED | {"admin_info": {"use_channel": [CHANNEL]}}, SHARED),
    (SHARED | {"admin_info": {"use_channel": [CHANNEL, "2"], "is_multi_key": True}}, SHARED),
    (SHARED | {"audit_info": {"operator": CHANNEL}}, SHARED),
    (SHARED | {"stream_status": {"status": CHANNEL, "end_reason": "eof", "error_count": 0}}, SHARED),
    (SHARED | dict.fromkeys(PRIVATE, SECRET), SHARED),
    # Any value: an object, a list, a text, nothing.
    ({"a": 1, "admin_info": [CHANNEL]}, {"a": 1}),
    ({"a": 1, "admin_info": CHANNEL}, {"a": 1}),
    ({"a": 1, "admin_info": compact(SECRET)}, {"a": 1}),
    ({"a": 1, "admin_info": None}, {"a": 1}),
    # Any depth, in objects and in lists.
    ({"a": {"b": {"admin_info": SECRET, "c": 1}}}, {"a": {"b": {"c": 1}}}),
    ({"a": [1, {"admin_info": SECRET}, {"b": 2, "audit_info": SECRET}]}, {"a": [1, {}, {"b": 2}]}),
    ({"a": nested(20, {"stream_status": SECRET, "b": 1})}, {"a": nested(20, {"b": 1})}),
    # What LiteLLM's own payloads are made of: metadata in objects and in texts.
    (
        {"metadata": {"requester_metadata": {"admin_info": SECRET, "tag": "x"}}, "request_tags": ["a"]},
        {"metadata": {"requester_metadata": {"tag": "x"}}, "request_tags": ["a"]},
    ),
    # JSON inside texts.
    ({"a": compact({"admin_info": SECRET, "b": 1})}, {"a": '{"b":1}'}),
    ({"a": compact([{"admin_info": SECRET}])}, {"a": "[{}]"}),
    ({"a": " \n" + compact({"admin_info": SECRET, "b": 1})}, {"a": '{"b":1}'}),
    ({"a": [compact({"admin_info": SECRET, "b": 1})]}, {"a": ['{"b":1}']}),
    (in_texts(3, {"admin_info": SECRET, "b": 1}), in_texts(3, {"b": 1})),
]


@pytest.mark.parametrize(("sent", "shown"), STRIPPED, ids=range(len(STRIPPED)))
def test_private_keys_never_leave_the_admin_audience(client: FlaskClient, sent: Any, shown: Any) -> None:
    post(client, make_event(other=sent))
    for path, who in PUBLIC:
        assert json.loads(seen(client, path, who)) == shown
    assert json.loads(only_row(client)["other"]) == sent


@pytest.mark.parametrize(("sent", "shown"), STRIPPED[:10], ids=range(10))
def test_it_does_not_matter_that_other_came_as_text(client: FlaskClient, sent: Any, shown: Any) -> None:
    post(client, make_event(other=json.dumps(sent, indent=2)))
    for path, who in PUBLIC:
        assert json.loads(seen(client, path, who)) == shown


ESCAPED = [
    '{"\\u0061dmin_info": %s, "b": 1}',
    '{"admin\\u005Finfo": %s, "b": 1}',
    '{"\\u0061\\u0064\\u006d\\u0069\\u006e\\u005f\\u0069\\u006e\\u0066\\u006f": %s, "b": 1}',
    '{"b": 1, "stream\\u005fstatus": %s}',
    '{"b": 1, "admin_info": 1, "admin_info": %s}',
    '{"b": 1, "admin_info"\n:\t%s}',
]


@pytest.mark.parametrize("template", ESCAPED)
def test_no_spelling_of_a_key_escapes(client: FlaskClient, template: str) -> None:
    text = template % compact(SECRET)
    post(client, make_event(other=text))
    for path, who in PUBLIC:
        assert json.loads(seen(client, path, who)) == {"b": 1}


@pytest.mark.parametrize("template", ESCAPED)
@pytest.mark.parametrize("levels", [1, 2])
def test_no_spelling_of_a_key_escapes_inside_texts(client: FlaskClient, template: str, levels: int) -> None:
    outer = {"text": template % compact(SECRET)}
    post(client, make_event(other=in_texts(levels - 1, outer)))
    for path, who in PUBLIC:
        assert "_" not in seen(client, path, who)


@pytest.mark.parametrize(
    "text",
    [
        compact(compact({"admin_info": SECRET})),
        compact(compact({"admin_info": SECRET})[:-1]),
        "[" * 600 + compact({"admin_info": SECRET}) + "]" * 600,
        compact({"admin_info": SECRET, "b": "@"}).replace('"@"', "NaN"),
        f'{{"\\u0061dmin_info":"{CHANNEL}","b":NaN}}',
        "\ufeff" + compact({"admin_info": SECRET}),
        f'\u00a0{{"\\u0061dmin_info":"{CHANNEL}"}}',
        "note: " + compact({"admin_info": SECRET}),
    ],
    ids=["text in text", "cut text in text", "deep", "NaN", "NaN, escaped", "BOM", "blank", "amid words"],
)
def test_texts_that_hide_a_private_key_well_tell_nothing_either(client: FlaskClient, text: str) -> None:
    post(client, make_event(other={"a": text}))
    for path, who in PUBLIC:
        seen(client, path, who)


def test_one_row_that_is_hard_to_read_does_not_cost_the_others(client: FlaskClient) -> None:
    deep = "[" * 2000 + '{"admin_info":1}' + "]" * 2000
    post(client, make_event(other={"a": deep}), make_event(content="fine"))
    for path, who in (("/api/log/self", ALICE), (f"/api/log/token?key={ALICE_KEY}", {})):
        data = assert_ok(client.get(path, headers=who))
        assert len(data if isinstance(data, list) else data["items"]) == 2


@pytest.mark.parametrize(
    "sent",
    [
        SHARED,
        {"a": "[not json", "b": "{neither}", "c": "admin", "d": "\\u0061 said she"},
        {"a": 'caf\u00e9 \\ " / \u2028', "b": [1, 2.5, None, True, 2**53]},
        {"info": "admin_infos", "admin_information": 1, "administrator": {"info": 2}},
        {"big": 2**63 - 1, "small": 1e-9},
    ],
    ids=range(5),
)
def test_everything_else_stays_for_all(client: FlaskClient, sent: dict[str, Any]) -> None:
    post(client, make_event(other=sent))
    for path, who in (*PUBLIC, ("/api/log/", ROOT)):
        assert json.loads(only_row(client, path, who)["other"]) == sent


@pytest.mark.parametrize("private", PRIVATE)
def test_nothing_left_is_an_empty_text(client: FlaskClient, private: str) -> None:
    post(client, make_event(other={private: SECRET}))
    for path, who in PUBLIC:
        assert seen(client, path, who) == ""


@pytest.mark.parametrize(
    "kept",
    [
        compact({"raw": f"not json: {CHANNEL} admin_info"}),
        compact({"raw": compact({"admin_info": SECRET})}),
        f"no JSON at all {CHANNEL}",
        f'["{CHANNEL}"]',
        f'{{"admin_info": "{CHANNEL}"',
    ],
)
def test_what_an_import_could_not_parse_is_for_administrators(
    client: FlaskClient, store: LogStore, kept: str
) -> None:
    post(client, make_event())
    set_other(store, kept)
    for path, who in PUBLIC:
        assert seen(client, path, who) == ""
    assert only_row(client)["other"] == kept


def test_other_from_litellm_keeps_its_rest_and_shows_it_to_all(client: FlaskClient) -> None:
    payload = {
        "endTime": float(NOW - 5),
        "status": "success",
        "model": "gpt-4o",
        "request_tags": ["team-a"],
        "cost_breakdown": {"input_cost": 0.5, "total_cost": 0.5},
        "messages": [{"role": "user", "content": CHANNEL}],
        "metadata": {"user_api_key_user_id": "alice", "admin_info": SECRET},
    }
    assert_ok(client.post("/api/ingest/litellm", json=[payload], headers=GATEWAY))
    for path, who in (("/api/log/self", ALICE), ("/api/log/", ROOT)):
        other = json.loads(seen(client, path, who))
        assert other["request_tags"] == ["team-a"]
        assert "messages" not in other


def test_private_keys_in_what_litellm_sends_stay_private(client: FlaskClient) -> None:
    hidden = {"input_cost": 0.5, "admin_info": SECRET}
    payload = {
        "endTime": float(NOW - 5),
        "status": "failure",
        "metadata": {"user_api_key_user_id": "alice"},
        "cost_breakdown": hidden,
        "request_tags": [compact({"admin_info": SECRET})],
        "error_information": {"error_class": compact({"stream_status": SECRET}), "error_code": "500"},
    }
    assert_ok(client.post("/api/ingest/litellm", json=[payload], headers=GATEWAY))
    text = seen(client, "/api/log/self", ALICE)
    assert not [key for key in PRIVATE if key in text]
    assert json.loads(text)["cost_breakdown"] == {"input_cost": 0.5}
