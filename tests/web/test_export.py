"""`GET /api/log/export` and `/api/log/self/export`: whose rows, which of them, and as what."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from logservice.store import exports
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import (
    ALICE,
    ALICE_ID,
    BOB,
    NOW,
    ROOT,
    Headers,
    contents,
    make_bobs_event,
    make_event,
    post,
)
from tests.stores import rename

ALL, OWN = "/api/log/export", "/api/log/self/export"
SECRETS = {"admin_info": {"use_channel": ["3"]}, "stream_status": "ok", "kept": 1}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (
        ("FIRST_ROWS", 2),
        ("MOST_ROWS", 3),
        ("MOST_PASSED", 5),
        ("MOST_PASSED_BY_INDEX", 5),
    ):
        monkeypatch.setattr(exports, name, number)


def take(client: FlaskClient, path: str, headers: Headers = ROOT, **query: Any) -> TestResponse:
    answer = client.get(path, query_string=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def lines(client: FlaskClient, path: str, headers: Headers = ROOT, **query: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in take(client, path, headers, **query).text.splitlines()]


def post_mixed(client: FlaskClient) -> None:
    """Record rows of two people over a few hours, some of a kind each."""
    for place in range(12):
        make = make_bobs_event if place % 3 == 0 else make_event
        kind = {
            "model_name": "gpt-4o" if place % 2 else "claude",
            "ip": f"192.0.2.{place % 2}",
            "channel_id": place % 4,
        }
        when = NOW - 40_000 + place * 3000
        post(
            client,
            make(created_at=when, content=f"row {place}", other=SECRETS, request_id=f"r-{place % 5}", **kind),
        )


FILTERS = [
    {},
    {"model_name": "claude"},
    {"model_name": "gpt%"},
    {"username": "bob"},
    {"username": "%l%", "channel": "2"},
    {"ip": "192.0.2.1"},
    {"request_id": "r-2"},
    {"type": "error"},
    {"token_name": "laptop", "start_timestamp": str(NOW - 30_000), "end_timestamp": str(NOW - 10_000)},
    {"group": "default", "start_timestamp": str(NOW)},
]


@pytest.mark.parametrize("query", FILTERS, ids=str)
@pytest.mark.parametrize(
    ("path", "list_path", "who"), [(ALL, "/api/log/", ROOT), (OWN, "/api/log/self", ALICE)]
)
def test_an_export_has_the_rows_of_the_list_oldest_first(
    client: FlaskClient, path: str, list_path: str, who: Headers, query: dict[str, str]
) -> None:
    post_mixed(client)
    listed = assert_ok(client.get(list_path, query_string={**query, "page_size": 100}, headers=who))["items"]
    found = lines(client, path, who, **query)
    assert found == listed[::-1]
    assert [list(row) for row in found] == [list(row) for row in listed]


@pytest.mark.parametrize("query", FILTERS, ids=str)
def test_it_goes_on_strictly_behind_any_row(client: FlaskClient, query: dict[str, str]) -> None:
    post_mixed(client)
    rows = lines(client, ALL, **query)
    for place, row in enumerate(rows):
        assert lines(client, ALL, **query, after=row["id"]) == rows[place + 1 :]


def test_self_never_shows_others_rows_or_what_is_the_admin_s(client: FlaskClient) -> None:
    post_mixed(client)
    rows = lines(client, OWN, ALICE)
    assert {row["user_id"] for row in rows} == {ALICE_ID}
    assert {row["other"] for row in rows} == {'{"kept":1}'}
    assert all(row.keys().isdisjoint({"channel", "channel_name"}) for row in rows)
    table = take(client, OWN, ALICE, format="csv").text
    assert "admin_info" not in table
    assert "channel_name" not in table
    assert "bob" not in table


def test_admins_see_all_of_other(client: FlaskClient) -> None:
    post_mixed(client)
    assert all(json.loads(row["other"]) == SECRETS for row in lines(client, ALL))


# CSV


def test_csv_has_a_header_and_the_same_rows(client: FlaskClient) -> None:
    post_mixed(client)
    rows = list(csv.DictReader(io.StringIO(take(client, ALL, format="csv").text, newline="")))
    expected = [{name: str(value) for name, value in row.items()} for row in lines(client, ALL)]
    assert [row | {"is_stream": row["is_stream"].title()} for row in rows] == expected


def test_csv_of_nothing_is_its_header(client: FlaskClient) -> None:
    assert take(client, OWN, BOB, format="csv").text.startswith("id,user_id,created_at,")
    assert take(client, OWN, BOB).data == b""


@pytest.mark.parametrize(("bom", "marked"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_a_byte_order_mark_is_there_if_it_is_asked_for(client: FlaskClient, bom: str, marked: bool) -> None:
    assert take(client, ALL, format="csv", bom=bom).data.startswith(b"\xef\xbb\xbf") is marked
    assert take(client, ALL, bom=bom).data == b""


def test_cells_are_harmless_and_numbers_left_alone(client: FlaskClient) -> None:
    post(client, make_event(content="=HYPERLINK(1)", username="-x", model_name="@m", quota=-100, user_id=0))
    [row] = csv.DictReader(io.StringIO(take(client, ALL, format="csv").text, newline=""))
    assert (row["content"], row["username"], row["model_name"]) == ("'=HYPERLINK(1)", "'-x", "'@m")
    assert row["quota"] == "-100"


# The answer


@pytest.mark.parametrize(
    ("path", "who", "query", "name"),
    [
        (ALL, ROOT, {}, "logs-20251009T123456Z.ndjson"),
        (ALL, ROOT, {"format": "csv", "after": "17"}, "logs-20251009T123456Z-after-17.csv"),
        (OWN, ALICE, {"format": "csv"}, "my-logs-20251009T123456Z.csv"),
    ],
)
def test_the_name_of_the_file_tells_what_it_is(
    client: FlaskClient, path: str, who: Headers, query: dict[str, str], name: str
) -> None:
    headers = take(client, path, who, **query).headers
    assert headers["Content-Disposition"] == f"attachment; filename={name}"
    kind = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}[name.rpartition(".")[2]]
    assert headers["Content-Type"] == kind
    assert headers["Cache-Control"] == "no-store"
    assert "Content-Length" not in headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("format", value) for value in ("xml", "CSV", "parquet")),
        *(("bom", value) for value in ("yes please", "2")),
        *(("after", value) for value in ("x", "1.5", "9" * 20, "NaN")),
        ("type", "colour"),
        ("start_timestamp", f"{NOW}000"),
        ("model_name", "a\0b"),
    ],
)
@pytest.mark.parametrize(("path", "who"), [(ALL, ROOT), (OWN, ALICE)])
def test_a_parameter_that_cannot_be_read_is_named(
    client: FlaskClient, path: str, who: Headers, name: str, value: str
) -> None:
    assert_error(client.get(path, query_string={name: value}, headers=who), 400, name)


@pytest.mark.parametrize("after", ["-1", "0", str(-(2**63)), str(2**63 - 1), str(2**53)])
def test_any_number_of_64_bits_is_a_row_to_go_on_behind(client: FlaskClient, after: str) -> None:
    post_mixed(client)
    assert len(lines(client, ALL, after=after)) == (12 if int(after) <= 0 else 0)


@pytest.mark.parametrize(("path", "who"), [(ALL, ROOT), (OWN, ALICE)])
@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_failure_before_the_first_byte_is_told_in_the_envelope(
    client: FlaskClient, store: LogStore, path: str, who: Headers, format: str
) -> None:
    post_mixed(client)
    rename(store, "log_records", "away")
    answer = client.get(path, query_string={"format": format}, headers=who)
    assert_error(answer, 503, "获取日志失败")
    assert int(answer.headers["Retry-After"]) > 0


def test_the_file_of_a_request_for_the_headers_is_not_read(client: FlaskClient) -> None:
    post_mixed(client)
    answer = client.head(ALL, headers=ROOT)
    assert (answer.status_code, answer.data) == (200, b"")


def test_rows_recorded_meanwhile_do_not_disturb(client: FlaskClient) -> None:
    post_mixed(client)
    answer = client.get(ALL, headers=ROOT, buffered=False)
    pieces = answer.iter_encoded()
    found = [next(pieces), next(pieces)]
    post(client, make_event(created_at=NOW, content="meanwhile"))
    found += pieces
    assert contents([json.loads(line) for line in b"".join(found).splitlines()]) == [
        f"row {n}" for n in range(12)
    ]
