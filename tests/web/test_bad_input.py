"""Bodies that cannot be read: a clear answer, and nothing half-written."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.conftest import MakeApp, with_everybody
from tests.failing import everything
from tests.rows import ALICE, GATEWAY, NOW, ROOT, make_event, only_row, post

ROOM = Path(__file__).parents[2]
NDJSON = "application/x-ndjson"
FOREIGN = ("/api/ingest/litellm", "/api/ingest/cliproxyapi", "/api/v1/events")
PATHS = ("/api/log/", *FOREIGN)


def send(client: FlaskClient, body: bytes, path: str = "/api/log/", **headers: str) -> TestResponse:
    """Post bytes; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, data=body, headers={**GATEWAY, "Content-Type": "application/json", **named})


@pytest.fixture(scope="module")
def app(make_shared_app: MakeApp) -> Flask:
    """One service for all: hardly any test leaves something behind, and the others count what they add."""
    app = with_everybody(make_shared_app())
    post(app.test_client(), make_event(content="was here before"))
    return app


@pytest.fixture
def unchanged(store: LogStore) -> Iterator[None]:
    """Check that a test leaves the whole database as it found it."""
    before = everything(store)
    yield
    assert everything(store) == before


# Bodies

GOOD = json.dumps(make_event()).encode()
UNREADABLE = {
    "nothing": b"",
    "blanks": b" \r\n\t ",
    "a word": b"hello",
    "half an object": GOOD[:-1],
    "half an array": b"[" + GOOD,
    "half an array, one more": b"[" + GOOD + b",",
    "a comma too many": b"[" + GOOD + b",]",
    "two values": GOOD + GOOD,
    "lines without their label": GOOD + b"\n" + GOOD,
    "single quotes": b"{'quota': 1}",
    "latin-1": '{"content": "é"}'.encode("latin-1"),
    "utf-16": GOOD.decode().encode("utf-16"),
    "NUL": b"\0",
    "nested": b"[" * 200_000,
    "nested whole": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"other":' * 100_000 + b"1" + b"}" * 100_000,
    "gzip without its label": gzip.compress(GOOD),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_a_body_that_is_no_json_is_refused(client: FlaskClient, body: bytes) -> None:
    assert_error(send(client, body), 400, "")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", [name for name in UNREADABLE if name != "lines without their label"])
@pytest.mark.parametrize("path", FOREIGN)
def test_a_foreign_body_that_is_no_json_is_refused(client: FlaskClient, name: str, path: str) -> None:
    # LiteLLM labels lines as application/json, so those are read.
    assert_error(send(client, UNREADABLE[name], path), 400, "")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "body", [b"null", b"true", b"1", b'"text"', b"[1]", b"[null]", b"[[]]", b"[[{}]]", b"1e400"]
)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["application/json", NDJSON])
def test_a_body_of_the_wrong_shape_is_refused(client: FlaskClient, body: bytes, path: str, kind: str) -> None:
    assert_error(send(client, body, path, Content_Type=kind), 400, "")


#: JSON texts that stand for one field, and the field that the refusal names.
VALUES = [
    *(
        (name, text)
        for name in ("quota", "prompt_tokens", "user_id", "token_id", "channel_id")
        for text in (
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "9" * 5000,
            "1e400",
        )
    ),
    ("quota", "NaN"),
    ("quota", "Infinity"),
    ("quota", "-Infinity"),
    ("quota", "1e30"),
    ("use_time", "1e400"),
    ("use_time", "NaN"),
    ("id", '"x"'),
    ("created_at", "9223372036854775808"),
    ("created_at", "-9223372036854775809"),
    ("created_at", "9" * 5000),
    ("created_at", "1e308"),
    ("created_at", "1e400"),
    ("created_at", "-1e308"),
    ("created_at", "NaN"),
    ("created_at", f"{NOW}000"),
    ("created_at", f"{NOW}000.5"),
    ("created_at", str(NOW + 86401)),
    ("created_at", "0"),
    ("created_at", '"0001-01-01T00:00:00+23:59"'),
    ("created_at", '"9999-12-31T23:59:59-23:59"'),
    ("created_at", '"9999-12-31T23:59:59Z"'),
    ("created_at", '"2025-02-30T00:00:00Z"'),
    ("created_at", '"\\u0000"'),
    ("type", "99"),
    ("type", '"unknown"'),
    ("type", "9223372036854775808"),
    ("type", "9" * 5000),
    ("type", '"%s"' % ("9" * 5000)),
    ("type", "{}"),
    ("content", '"%s"' % ("x" * 5_000_000)),
    ("username", '"%s"' % ("x" * 5_000_000)),
    ("model_name", '"%s"' % ("x" * 5_000_000)),
    ("request_id", '"%s"' % ("x" * 5_000_000)),
    ("token_key", '"%s"' % ("x" * 5_000_000)),
    ("other", '{"a":"%s"}' % ("x" * 5_000_000)),
    *(
        (name, '"a\\u0000b"')
        for name in (
            "content",
            "username",
            "token_name",
            "model_name",
            "group",
            "ip",
            "request_id",
            "channel_name",
        )
    ),
    *(
        (name, text)
        for name in ("content", "username", "model_name")
        for text in ('"\\ud800"', '"\\udc00"', '"\\ud800x"', '"\\udc00\\ud800"')
    ),
    ("other", '{"a":"\\ud800"}'),
    ("other", '{"\\ud800":1}'),
    ("other", '"{\\"a\\":\\"\\\\ud800\\"}"'),
    ("other", "[" * 5000 + "]" * 5000),
    ("other", '{"a":' * 5000 + "1" + "}" * 5000),
    ("other", '{"a":' * 33 + "1" + "}" * 33),
    ("other", json.dumps('{"a":' * 5000 + "1" + "}" * 5000)),
    ("other", '{"a":1e400}'),
    ("other", '{"a":NaN}'),
    ("other", json.dumps('{"a":NaN}')),
    ("other", '"not json"'),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("name", "text"), VALUES, ids=[f"{name}={text[:24]!r}" for name, text in VALUES])
def test_a_value_that_cannot_be_stored_is_refused(client: FlaskClient, name: str, text: str) -> None:
    body = f'{{"{name}":{text}}}'.encode()
    message = assert_error(send(client, body), 400, "none of 1")
    assert len(message) < 1000


@pytest.mark.parametrize(("name", "text"), VALUES, ids=[f"{name}={text[:24]!r}" for name, text in VALUES])
def test_on_a_line_of_its_own_it_costs_the_others_nothing(
    client: FlaskClient, store: LogStore, name: str, text: str
) -> None:
    before = store.count_all()
    body = GOOD + f'\n{{"username":"mallory","{name}":{text}}}\n'.encode() + GOOD
    data = assert_ok(send(client, body, Content_Type=NDJSON))
    assert (data["accepted"], [entry["index"] for entry in data["rejected"]]) == (2, [1])
    assert store.count_raw() == store.count_all() == before + 2
    assert "mallory" not in str(everything(store))


def test_a_nul_in_other_is_stored_as_an_escape_or_refused(client: FlaskClient, store: LogStore) -> None:
    answer = send(client, b'{"user_id":7,"request_id":"nul","other":{"a":"x\\u0000y"}}')
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert json.loads(only_row(client, "/api/log/self?request_id=nul", ALICE)["other"]) == {"a": "x\0y"}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("field", ["nonsense", "\\u0000", "\\ud800", "x" * 100_000])
def test_an_unknown_field_of_any_name_is_refused(client: FlaskClient, field: str) -> None:
    message = assert_error(send(client, f'{{"{field}":1}}'.encode()), 400, "")
    assert len(message) < 1000


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png"],
)
@pytest.mark.parametrize("path", PATHS)
def test_another_content_type_is_refused(client: FlaskClient, kind: str, path: str) -> None:
    message = assert_error(send(client, GOOD, path, Content_Type=kind), 415, kind.partition(";")[0])
    assert message.endswith("; send the header `Content-Type: application/json`")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "nonsense" * 100])
@pytest.mark.parametrize("path", PATHS)
def test_another_encoding_is_refused(client: FlaskClient, encoding: str, path: str) -> None:
    assert_error(send(client, GOOD, path, Content_Encoding=encoding), 415, "Content-Encoding")


PACKED = gzip.compress(b"[" + GOOD + b"]")
BROKEN = {
    "cut": PACKED[:-9],
    "cut by one": PACKED[:-1],
    "only a header": PACKED[:10],
    "half a header": PACKED[:3],
    "no gzip": GOOD,
    "wrong checksum": PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:],
    "wrong length": PACKED[:-4] + b"\xff\xff\xff\xff",
    "zlib": zlib.compress(GOOD),
    "rubbish behind": PACKED + b"rubbish",
    "half a second one": PACKED + PACKED[:12],
    "nothing": b"",
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("path", PATHS)
def test_gzip_that_cannot_be_unpacked_is_refused(client: FlaskClient, body: bytes, path: str) -> None:
    assert_error(send(client, body, path, Content_Encoding="gzip"), 400, "body")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("path", PATHS)
def test_a_body_beyond_the_limit_is_refused_packed_or_not(make_shared_app: MakeApp, path: str) -> None:
    client = make_shared_app(MAX_BODY="100KB").test_client()
    body = b"[" + b" " * 99_998 + b"]"
    assert send(client, body, path).status_code in (200, 204)
    assert send(client, gzip.compress(body), path, Content_Encoding="gzip").status_code in (200, 204)
    assert_error(send(client, body + b" ", path), 413, "body")
    assert_error(send(client, gzip.compress(body + b" "), path, Content_Encoding="gzip"), 413, "body")


@pytest.mark.usefixtures("unchanged")
def test_gzip_of_more_members_than_anybody_packs_is_refused(client: FlaskClient) -> None:
    empty = gzip.compress(b"")
    # A million of them fit into a body, and take a quarter of an hour.
    assert_error(send(client, empty * 1_000_000, Content_Encoding="gzip"), 413, "body: more than")
    assert_ok(send(client, empty * 5000 + gzip.compress(b"[]"), Content_Encoding="gzip"))


@pytest.mark.usefixtures("unchanged")
def test_gzip_within_gzip_is_not_unpacked_twice(client: FlaskClient) -> None:
    assert_error(send(client, gzip.compress(PACKED), Content_Encoding="gzip"), 400, "body: not valid JSON")


@pytest.mark.usefixtures("unchanged")
def test_a_body_that_ends_too_early_is_refused(client: FlaskClient) -> None:
    answer = client.post(
        "/api/log/", data=GOOD[:20], headers=GATEWAY, environ_overrides={"CONTENT_LENGTH": str(len(GOOD))}
    )
    assert_error(answer, 400, "body")


@pytest.mark.parametrize("value", ['"\\ud800"', "NaN", "1e400", "[]", "{}", "9" * 400])
def test_one_bad_record_of_litellm_does_not_cost_the_others(
    client: FlaskClient, store: LogStore, value: str
) -> None:
    # Not in the words of another case, for that would be the same event once more.
    good = f'{{"endTime":{NOW - 5}.5,"status":"success","model":"good {store.count_all()}"}}'
    bad = f'{{"endTime":{value},"status":"success","model":"bad"}}'
    before = store.count_all()
    data = assert_ok(send(client, f"[{good},{bad},{good}]".encode(), "/api/ingest/litellm"))
    assert (data["accepted"], [entry["index"] for entry in data["rejected"]]) == (2, [1])
    assert store.count_all() == before + 2
    assert assert_ok(client.get("/api/log/?model_name=bad", headers=ROOT))["total"] == 0


@pytest.mark.parametrize(
    ("path", "text", "field", "kept"),
    [
        ("/api/log/", '"quota":1,"quota":2', "quota", 2),
        ("/api/log/", '"quota":5,"quota":-0', "quota", 0),
        ("/api/log/", '"quota":-0.0', "quota", 0),
        ("/api/log/", '"other":{"a":1,"a":2}', "other", '{"a":2}'),
        ("/api/log/", '"other":{"admin_info":{},"\\u0061dmin_info":1}', "other", '{"admin_info":1}'),
        ("/api/ingest/litellm", '"endTime":1760013000,"response_cost":-0.0', "quota", 0),
        ("/api/ingest/litellm", '"endTime":0,"endTime":1760013000', "created_at", 1760013000),
    ],
)  # fmt: skip
def test_of_a_key_twice_the_last_counts_and_minus_0_is_0(
    client: FlaskClient, path: str, text: str, field: str, kept: object
) -> None:
    known = "request_id" if path == "/api/log/" else "litellm_call_id"
    name = f"twice {path} {text}"
    assert_ok(send(client, f'{{"{known}":{json.dumps(name)},{text}}}'.encode(), path))
    rows = assert_ok(client.get("/api/log/", query_string={"request_id": name}, headers=ROOT))["items"]
    assert [row[field] for row in rows] == [kept]
