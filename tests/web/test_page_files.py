"""The files of the page: small, complete, in two languages, and unable to make elements out of text."""

from __future__ import annotations

import re
from pathlib import Path

from logservice.web.dashboard import page_files

STATIC = Path(__file__).parents[2] / "logservice/web/static"
ALL_TOGETHER = 250_000


def test_all_files_together_are_small() -> None:
    assert sum(len(content) for content in page_files().contents.values()) < ALL_TOGETHER


def test_every_module_that_is_imported_is_there() -> None:
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r'^import .*"(\.[^"]+)";$', path.read_text(), flags=re.MULTILINE):
            assert (path.parent / name).is_file(), (path.name, name)


def test_nothing_of_the_page_makes_elements_out_of_text() -> None:
    own = [path for path in STATIC.rglob("*.js") if "vendor" not in path.parts]
    dangerous = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
    assert own
    assert [path.name for path in own if dangerous.search(path.read_text())] == []


def keys(language: str) -> list[str]:
    text = (STATIC / f"messages/{language}.js").read_text()
    return re.findall(r'^  "([\w.]+)": "', text, flags=re.MULTILINE)


def test_both_languages_say_the_same_things() -> None:
    assert len(keys("en")) > 100
    assert keys("en") == keys("zh")
    assert len(set(keys("en"))) == len(keys("en"))


def test_both_languages_fill_in_the_same_values() -> None:
    texts = [(STATIC / f"messages/{language}.js").read_text() for language in ("en", "zh")]
    values = [
        {key: sorted(re.findall(r"\{(\w+)\}", text)) for key, text in re.findall(r'"([\w.]+)": "(.*)"', file)}
        for file in texts
    ]
    assert values[0] == values[1]


def test_no_text_says_one_rows() -> None:
    text = (STATIC / "messages/en.js").read_text()
    without = re.findall(r'"([\w.]+)": ".*?\{\w+\} (?:rows|days|hours)\b', text)
    # Pages have 20 rows and more.
    assert without == ["logs.size"]
