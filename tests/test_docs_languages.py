"""The English and the Chinese pages keep in step: same parts, code, names, tables and links."""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.documents import (
    CHINESE,
    ENGLISH,
    ROOT,
    TRANSLATED,
    blocks,
    codes,
    headings,
    links,
    prose,
    read,
    rows,
)

#: Pages that the newcomer and the operator need, so that they are in Chinese as well.
NEEDED = {
    "README.md",
    "quickstart.md",
    "api.md",
    "configuration.md",
    "cli.md",
    "producers.md",
    "importing.md",
    "retention.md",
    "archives.md",
    "page.md",
}
PAIRS = [
    (ROOT / "README.md", ROOT / "README.zh-CN.md"),
    *((ENGLISH / name, CHINESE / name) for name in TRANSLATED),
]

pairs = pytest.mark.parametrize(
    ("english", "chinese"), PAIRS, ids=[str(chinese.relative_to(ROOT)) for _, chinese in PAIRS]
)


def sections(page: Path) -> list[str]:
    """Return the texts under the headings of a page, each with its heading."""
    return re.split(r"^(?=#+ )", prose(page), flags=re.MULTILINE)


def test_the_pages_of_newcomers_and_operators_are_in_chinese() -> None:
    assert set(TRANSLATED) >= NEEDED


@pytest.mark.parametrize("folder", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_the_index_leads_to_every_page(folder: Path) -> None:
    led_to = {target.partition("#")[0] for target in links(folder / "README.md")}
    assert {path.name for path in folder.glob("*.md")} - {"README.md"} <= led_to


@pairs
def test_both_have_the_same_headings(english: Path, chinese: Path) -> None:
    assert [text.partition(" ")[0] for text in sections(english)[1:]] == [
        text.partition(" ")[0] for text in sections(chinese)[1:]
    ]
    # What is a name in either language is the same name.
    for ours, theirs in zip(headings(english), headings(chinese), strict=True):
        assert theirs == ours or re.search(r"[\u4e00-\u9fff]", theirs)


@pairs
def test_both_show_the_same_code(english: Path, chinese: Path) -> None:
    assert blocks(english) == blocks(chinese)


@pairs
def test_both_name_the_same_things_in_each_section(english: Path, chinese: Path) -> None:
    for ours, theirs in zip_longest(sections(english), sections(chinese), fillvalue=""):
        assert set(codes(ours)) == set(codes(theirs)), ours.partition("\n")[0]


@pairs
def test_both_have_the_same_tables(english: Path, chinese: Path) -> None:
    def shape(cells: list[str]) -> tuple[list[str], list[bool]]:
        return codes(cells[0]), [bool(cell.strip()) for cell in cells]

    assert [shape(cells) for cells in rows(english)] == [shape(cells) for cells in rows(chinese)]


@pairs
def test_both_lead_to_the_same_pages(english: Path, chinese: Path) -> None:
    assert destinations(english) - {english} == destinations(chinese) - {english}


@pytest.mark.parametrize("page", [pair[1] for pair in PAIRS], ids=lambda page: str(page.relative_to(ROOT)))
def test_chinese_pages_lead_to_chinese_ones_where_there_are_some(page: Path) -> None:
    for target in links(page):
        led_to = (page.parent / target.partition("#")[0]).resolve()
        if led_to.parent == ENGLISH and led_to.name != page.name:
            assert led_to.name not in TRANSLATED, target


OURS, THEIRS = zip(*PAIRS, strict=True)


def destinations(page: Path) -> set[Path]:
    """Return the files that a page leads to, those in Chinese as their English ones."""
    found = set()
    for target in links(page):
        path = (page.parent / target.partition("#")[0]).resolve() if target[0] != "#" else page
        # Pictures may be in the language of the page.
        if path.parent.name != "images":
            found.add(dict(zip(THEIRS, OURS, strict=True)).get(path, path))
    return found


def test_a_page_says_in_which_other_language_it_is() -> None:
    for ours, theirs in ((ENGLISH / "README.md", "zh-CN/README.md"), (CHINESE / "README.md", "../README.md")):
        assert f"({theirs})" in read(ours)
