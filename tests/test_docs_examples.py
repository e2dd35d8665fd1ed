"""Every example in curl, JavaScript and Python is run, and all three get the same answers.

docs/examples.md is run part by part (Writing, Reading, ...), so that all see the same rows when they read.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import playwright
import pytest

from tests.documents import ADDRESS, ROOT, Block
from tests.first_run import FirstRun, first_run

PAGE = (ROOT / "docs" / "examples.md").read_text("utf-8")
#: What only pages load.
OF_PAGES = ("/", "/static/<version>/<path:name>", "/docs/static/<version>/<path:name>")
#: What has an example in the shell alone, and what its answer holds.
FOR_OTHERS = {"/metrics": "\nlogservice_rows ", "/openapi.json": '"openapi":"3.1', "/docs": "<rapi-doc"}
LANGUAGES = ("sh", "js", "python")
#: What passes between two calls changes these.
VARYING = {"rpm", "tpm", "database_bytes", "wal_bytes", "free_bytes", "bytes"}


def _parts() -> list[tuple[str, list[Block]]]:
    """Return the parts of the page, each with its title and its blocks in order."""
    found = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:]
    return [(title, _blocks(text)) for title, text in zip(found[::2], found[1::2], strict=True)]


def _blocks(text: str) -> list[Block]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(*block) for block in fenced]


(_, PREPARATION), *PARTS, (_, OTHERS) = _parts()


def test_every_endpoint_has_an_example_in_each_language() -> None:
    headings = re.findall(r"^### (\w+ /\S*)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE)
    wanted = [heading for heading in headings if heading.partition(" ")[2] not in OF_PAGES]
    shown = re.split(r"^### (.+)$", PAGE, flags=re.MULTILINE)[1:]
    examples = dict(zip(shown[::2], shown[1::2], strict=True))
    assert sorted(examples) == sorted(wanted)
    for heading, text in examples.items():
        blocks = _blocks(text)
        path = heading.partition(" ")[2].rstrip("/")
        languages = LANGUAGES[:1] if path in FOR_OTHERS else LANGUAGES
        assert tuple(block.language for block in blocks) == languages, heading
        assert all(path in block.text for block in blocks), heading


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstRun]:
    """A service that has just been started, for all parts one after the other."""
    with first_run(tmp_path_factory.mktemp("examples")) as running:
        yield running


def test_all_three_languages_get_the_same_answers(service: FirstRun) -> None:
    run = {"sh": _run_shell, "js": _run_javascript, "python": _run_python}
    told = {}
    for title, blocks in PARTS:
        answers = {
            language: run[language](_program(service, blocks, language))
            for language in LANGUAGES
            if language != "js" or _node()
        }
        told[title] = answers["sh"]
        assert all(answer.get("success", True) for answer in answers["sh"]), title
        for language, found in answers.items():
            assert _comparable(found) == _comparable(answers["sh"]), (title, language)
    # Five posts, of which one is answered by silence; what they stored is there to be read.
    assert len(told["Writing"]) == 4
    assert "too many requests" in json.dumps(told["Reading"])
    assert [answer["data"] for answer in told["Purging"]] == [0, {"running": False}]


def test_what_other_programs_ask_for_is_there(service: FirstRun) -> None:
    preparation, *examples = _program(service, OTHERS, "sh")
    for text, held in zip(examples, FOR_OTHERS.values(), strict=True):
        assert held in _run(["bash", "-euc", preparation + text.replace("curl ", "curl -fsS ")])


def _program(service: FirstRun, blocks: list[Block], language: str) -> list[str]:
    """Return the preparation and the examples in a language, for this service."""
    tokens = {"admins": "TOKEN", "users": "USER_TOKEN", "writers": "WRITER_TOKEN"}
    texts = [block.text for block in [*PREPARATION, *blocks] if block.language == language]
    for whose, name in tokens.items():
        texts = [text.replace(f"the-{whose}-token", service.tokens[name]) for text in texts]
    return [text.replace(ADDRESS, service.url) for text in texts]


def _run_shell(texts: list[str]) -> list[Any]:
    said = _run(["bash", "-euc", "".join(texts).replace("curl ", "curl -fsS ")])
    found = []
    while said := said.strip():
        answer, end = json.JSONDecoder().raw_decode(said)
        found.append(answer)
        said = said[end:]
    return found


def _run_python(texts: list[str]) -> list[Any]:
    show = "import json\ndef print(value): import sys; sys.stdout.write(json.dumps(value) + '\\n')\n"
    return _lines(_run([sys.executable, "-W", "error", "-c", show + "".join(texts)]))


def _run_javascript(texts: list[str]) -> list[Any]:
    show = "console.log = (value) => process.stdout.write(JSON.stringify(value) + '\\n');\n"
    preparation, *examples = texts
    # Each example stands alone, with names of its own.
    program = show + preparation + "".join(f"{{\n{text}}}\n" for text in examples)
    return _lines(_run([str(_node()), "--input-type=module", "--eval", program]))


@cache
def _node() -> str | None:
    """Return the Node that comes with playwright, or one on PATH."""
    ours = Path(playwright.__file__).parent / "driver" / "node"
    return str(ours) if ours.exists() else shutil.which("node")


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _lines(said: str) -> list[Any]:
    return [json.loads(line) for line in said.splitlines() if line != "null"]


def _comparable(value: Any) -> Any:
    """Return answers without what differs from one moment to the next."""
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    if isinstance(value, dict):
        return {name: "*" if name in VARYING else _comparable(inner) for name, inner in value.items()}
    return value
