"""The pages of the documentation, as tests read them: their blocks of code, headings, tables and links."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)
)
#: The pages that people read in either language.
ENGLISH, CHINESE = ROOT / "docs", ROOT / "docs" / "zh-CN"
TRANSLATED = sorted(path.name for path in CHINESE.glob("*.md"))
#: Where the documentation says that the service answers.
ADDRESS = "http://127.0.0.1:8000"

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str

    @property
    def calls_curl(self) -> bool:
        return self.language == "sh" and "curl " in self.text


def read(name: str | Path) -> str:
    """Return the text of a file, by its path below the root of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str | Path) -> str:
    """Return a page without its blocks of code."""
    return _FENCED.sub("", read(name))


def blocks(name: str | Path) -> list[Block]:
    """Return the blocks of code of a page, in order."""
    return [Block(*block) for block in _FENCED.findall(read(name))]


def headings(name: str | Path) -> list[str]:
    """Return the headings of a page, without their marks."""
    return re.findall(r"^#+ (.+)$", prose(name), re.MULTILINE)


def codes(text: str) -> list[str]:
    """Return what stands between backticks in a text, line breaks as blanks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]


def rows(name: str | Path) -> list[list[str]]:
    """Return the cells of all rows of all tables of a page."""
    lines = re.findall(r"^\|(.+)\|$", prose(name), re.MULTILINE)
    return [re.split(r"(?<!\\)\|", line) for line in lines]


def first_cells(name: str | Path) -> set[str]:
    """Return whatever stands as code in the first cell of a table's row."""
    return {code for cells in rows(name) for code in codes(cells[0])}


def links(page: str | Path) -> list[str]:
    """Return the links of a page that lead to other files or to its own headings."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a link leads to a file that is there, and to a heading in it where it names one."""
    name, _, anchor = target.partition("#")
    path = page.parent / name if name else page
    return path.exists() and (not anchor or anchor in map(_anchor, headings(path)))


def _anchor(heading: str) -> str:
    """Return what a heading is called in links, as code hosting sites make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
