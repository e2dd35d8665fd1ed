"""Search: what a plain Python model finds is found, by scan and by index alike."""

from __future__ import annotations

import random
from typing import Any

import pytest

from logservice.store import ids, search
from logservice.store.filters import Filters
from logservice.store.retention import Purge
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.store_rows import (
    ALL,
    ALL_WAYS,
    EVER,
    FIELDS,
    HOUR,
    MIDNIGHT,
    SITE,
    Row,
    contents,
    fits,
    make_record,
    raw_rows,
    record,
    row_ids,
    rows_once,
)

TEXTS = [
    "Hauptstraße 7",
    "HAUPTSTRASSE 8",
    "STRASS",
    "İstanbul",
    "istanbul",
    "ISTANBUL",
    "ıstanbul",
    "ΟΔΟΣ",
    "οδός",
    "οδοσ",
    "模型错误",
    "模 型",
    "错",
    'he said "no" twice',
    'a ""b',
    "100% sure",
    "100 sure",
    "a_b",
    "axb",
    "a*b?[c]\\d",
    "NEAR(a b) AND OR NOT",
    "ﬁne ligature",
    "fine letters",
    "👩‍👩‍👧 family 😀",
    "e\u0301 decomposed",
    "\u00e9 composed",
    "line one\nline two\ttab",
    "it's; DROP TABLE log_records--",
    "quota exceeded " * 40,
    "",
]
KEYWORDS = [
    "STRASSE",
    "straße",
    "Straße",
    "strasse 8",
    "ß",
    "İ",
    "İstanbul",
    "istanbul",
    "ISTANBUL",
    "i̇st",
    "ı",
    "ΟΔΟΣ",
    "οδός",
    "οδοσ",
    "ς",
    "σ",
    "模",
    "模型",
    "型错误",
    "错",
    '"',
    '"no"',
    '""',
    '""b',
    "100%",
    "%",
    "%%%",
    "_",
    "a_b",
    "*b?[",
    "[c]\\d",
    "near(a",
    "AND OR",
    "fin",
    "ﬁn",
    "😀",
    "👩‍👩‍👧",
    "e\u0301 d",
    "\u00e9 c",
    "one\nline",
    "e\tt",
    "'; drop",
    "quota exceeded " * 40,
    "exceeded quota exceeded quota exceeded",
    "gpt",
    "GPT-4O",
    "sure",
    "xyz",
    "absent words",
    " ",
    "a",
]


@pytest.fixture(params=["scanned", "indexed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Try both ways: few rows are scanned, many are looked up in the index."""
    monkeypatch.setattr(search, "FEW_ROWS", 10**9 if request.param == "scanned" else 0)


@pytest.fixture(scope="module")
def library(module_store: LogStore) -> LogStore:
    """A store in which each text stands twice, at different times, by different people."""
    if not raw_rows(module_store):
        draw = random.Random(5)
        module_store.record(
            [
                make_record(
                    content=text,
                    created_at=MIDNIGHT - draw.randrange(30 * HOUR),
                    user_id=user_id,
                    username=f"user {user_id}",
                    type=draw.choice((2, 4)),
                    token_id=draw.choice((0, 7)),
                    model_name=draw.choice(("gpt-4o", "GPT-4o-mini", "claude", "straße")),
                    request_id=draw.choice(("", "r-1")),
                )
                for text in TEXTS
                for user_id in (1, 2)
            ]
        )
    return module_store


def found(store: LogStore, keyword: str, *, limit: int = 100, **query: Any) -> list[Row]:
    query = {"scope": SITE, "filters": ALL, "span": EVER} | query
    return store.search(query["scope"], query["filters"], query["span"], keyword, fields=FIELDS, limit=limit)


def model(rows: list[Row], keyword: str, **query: Any) -> list[Row]:
    """Return what a keyword finds among rows, in their order, by plain Python."""
    folded = keyword.casefold()
    return [
        row
        for row in rows
        if (folded in row["content"].casefold() or folded in row["model_name"].casefold())
        and fits(row, **query)
    ]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_keyword_finds_what_holds_it_in_any_case(library: LogStore, keyword: str) -> None:
    expected = row_ids(model(rows_once(library), keyword))

    assert row_ids(found(library, keyword)) == expected
    assert row_ids(found(library, keyword.upper())) == row_ids(model(rows_once(library), keyword.upper()))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("keyword", ["s", "str", "quota exceeded", "gpt", "错"])
@pytest.mark.parametrize(
    "query",
    [
        {"scope": Scope.user(1)},
        {"scope": Scope.tokens([7])},
        {"scope": Scope.tokens([])},
        {"filters": Filters({"type": 4})},
        {"filters": Filters({"model_name": "gpt%"})},
        {"filters": Filters({"request_id": "r-1"})},
        {"span": ids.between(MIDNIGHT - 10 * HOUR - 7, MIDNIGHT - HOUR)},
        {"scope": Scope.user(2), "filters": Filters({"username": "user 2", "type": 2})},
    ],
    ids=str,
)
def test_a_keyword_finds_only_what_filters_range_and_scope_let_through(
    library: LogStore, keyword: str, query: dict[str, Any]
) -> None:
    assert row_ids(found(library, keyword, **query)) == row_ids(model(rows_once(library), keyword, **query))


@ALL_WAYS
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("limit", [1, 3, 10])
def test_the_newest_matches_come_first_whether_in_content_or_in_name(library: LogStore, limit: int) -> None:
    expected = row_ids(model(rows_once(library), "stra"))

    assert len(expected) > 10
    assert row_ids(found(library, "stra", limit=limit)) == expected[:limit]


@ALL_WAYS
@pytest.mark.usefixtures("way")
def test_random_keywords_cut_from_random_texts_are_found(store: LogStore) -> None:
    draw = random.Random(9)
    letters = "abAB ßẞİıσςΣ模型错😀\"'%_*?[]\\ﬁé\u0301-"
    texts = ["".join(draw.choices(letters, k=draw.randrange(40))) for _ in range(300)]
    store.record([make_record(content=text) for text in texts])
    rows = raw_rows(store)[::-1]

    for _ in range(150):
        text = draw.choice(texts) or "x"
        start = draw.randrange(len(text))
        keyword = text[start : start + draw.randrange(1, 9)]
        keyword = draw.choice([keyword, keyword.upper(), keyword.lower(), keyword.swapcase()])
        assert row_ids(found(store, keyword, limit=300)) == row_ids(model(rows, keyword)), keyword


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("keyword", ["4", "error", "ERROR", " Error ", "错误"])
def test_a_keyword_that_is_a_type_finds_its_rows_and_no_words(store: LogStore, keyword: str) -> None:
    record(
        store,
        {"type": "error", "content": "an error row"},
        {"type": "consume", "content": "error 4 错误"},
        {"type": "error", "content": "another"},
    )

    assert contents(found(store, keyword)) == ["another", "an error row"]
    assert contents(found(store, keyword, filters=Filters({"type": 4}), limit=1)) == ["another"]
    assert found(store, keyword, filters=Filters({"type": 2})) == []


@pytest.mark.parametrize("keyword", ["8", "0", "44", "errors", "-4"])
def test_a_keyword_that_is_no_type_is_a_word(store: LogStore, keyword: str) -> None:
    record(store, {"content": f"<{keyword}>"}, {"type": "error"})

    assert contents(found(store, keyword)) == [f"<{keyword}>"]


def test_few_and_many_rows_are_told_apart_by_the_buckets(
    library: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = search._newest_holding
    monkeypatch.setattr(search, "_newest_holding", lambda *args: asked.append(args[2]) or real(*args))

    found(library, "strasse")
    monkeypatch.setattr(search, "FEW_ROWS", len(TEXTS))
    found(library, "strasse", scope=Scope.user(1))
    assert asked == []
    found(library, "Straße")
    assert asked == ["strasse"]


@ALL_WAYS
@pytest.mark.usefixtures("way")
def test_purged_rows_are_found_no_more(store: LogStore) -> None:
    record(
        store,
        {"content": "needle old", "created_at": MIDNIGHT - 10},
        {"content": "needle new", "created_at": MIDNIGHT + 10},
    )

    list(store.purge(Purge(MIDNIGHT)))

    assert contents(found(store, "needle")) == ["needle new"]


@pytest.mark.usefixtures("way")
def test_a_failed_batch_leaves_no_posting_behind(store: LogStore) -> None:
    spoiled = [make_record(content="needle"), make_record(content="needle")]
    spoiled[1].row["quota"] = None
    with pytest.raises(Exception, match="quota"):
        store.record(spoiled)
    record(store, {"content": "haystack"}, {"content": "haystack"})

    assert found(store, "needle") == []
