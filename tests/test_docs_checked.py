"""What the documentation says is so: defaults, fields, routes, options, and every call with curl.

Every ```sh block of docs/api.md that calls curl is run, in the order of the page, against a service that was
started as a newcomer starts it; a ```json block right behind one is its answer.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from flask import Flask

from logservice import config, gunicorn_conf
from logservice.cli import logservice as commands
from logservice.store.filters import FILTERS
from logservice.store.records import Event
from logservice.web import schemas

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)
)
WITH_CURL = ("docs/api.md",)

ADDRESS = "http://127.0.0.1:8000"
#: What differs from one run to the next.
VARYING = {"id", "user_id", "token_id", "created_at", "rpm", "tpm"}

QUERIES = (
    schemas.AllHours,
    schemas.AllExport,
    schemas.AllLogs,
    schemas.AllSearch,
    schemas.AllUsage,
    schemas.KeyLogs,
    schemas.OwnExport,
    schemas.OwnFilters,
    schemas.OwnLogs,
    schemas.OwnSearch,
    schemas.Purging,
)
EXPOSED = {name for query in QUERIES for name in query().fields}


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str

    @property
    def calls_curl(self) -> bool:
        return self.language == "sh" and "curl " in self.text


def _read(name: str | Path) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _blocks(name: str) -> list[Block]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", _read(name), re.MULTILINE | re.DOTALL)
    return [Block(*block) for block in found]


def _headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.M)


def _first_cells(name: str) -> set[str]:
    """Return whatever stands as code in the first cell of a table's row."""
    cells = re.findall(r"^\|((?:[^|\\\n]|\\.)*)\|", _read(name), re.MULTILINE)
    return {code for cell in cells for code in re.findall(r"`([^`]+)`", cell)}


# -- settings ----------------------------------------------------------------------------------------------

DOCUMENTED = dict(
    re.findall(r"^\| `(LOGSERVICE_\w+)` \| (`[^`]+`|empty) \| .+ \|$", _read("docs/configuration.md"), re.M)
)
SERVER_VARIABLES = re.findall(r'"(LOGSERVICE_\w+)"', Path(gunicorn_conf.__file__).read_text("utf-8"))


def _documented_default(name: str) -> str:
    default = DOCUMENTED[name]
    return "" if default == "empty" else default.strip("`")


@pytest.mark.parametrize("field", dataclasses.fields(config.Settings), ids=config.setting_name)
def test_every_setting_is_documented_with_its_default(field: dataclasses.Field[Any]) -> None:
    default = _documented_default(config.setting_name(field))
    assert field.metadata["read"](default) == field.default


@pytest.mark.parametrize("name", SERVER_VARIABLES)
def test_every_server_variable_is_documented_with_its_default(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, _documented_default(name))
    as_documented = _server_settings()
    monkeypatch.delenv(name)
    assert as_documented == _server_settings()


def _server_settings() -> dict[str, Any]:
    settings = runpy.run_path(gunicorn_conf.__file__)
    return {name: settings[name] for name in ("bind", "workers", "threads", "loglevel")}


def test_no_variable_is_read_or_documented_alone() -> None:
    sources = (ROOT / "logservice").rglob("*.py")
    read = {name for path in sources for name in re.findall(r"LOGSERVICE_[A-Z][A-Z_]*[A-Z]", _read(path))}
    settings = {config.setting_name(field) for field in dataclasses.fields(config.Settings)}
    assert read | settings == DOCUMENTED.keys()


# -- API ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({entry.name for entry in FILTERS} & EXPOSED))
def test_every_filter_is_documented(name: str) -> None:
    assert name in _first_cells("docs/api.md")


@pytest.mark.parametrize("name", sorted(EXPOSED))
def test_every_parameter_is_documented(name: str) -> None:
    assert name in _first_cells("docs/api.md")


@pytest.mark.parametrize("name", sorted({*schemas.AdminRow().fields, *msgspec.structs.asdict(Event())}))
def test_every_field_of_rows_and_events_is_documented(name: str) -> None:
    assert name in _first_cells("docs/api.md")


@pytest.mark.parametrize(
    ("audience", "row"), [("key", schemas.KeyRow), ("own", schemas.OwnRow), ("all", schemas.AdminRow)]
)
def test_the_table_of_fields_says_who_sees_them(audience: str, row: type[schemas.KeyRow]) -> None:
    table = _read("docs/api.md").partition("### Fields of a row")[2].partition("\n### ")[0]
    heading, _, *lines = [line.split("|") for line in table.splitlines() if line.startswith("|")]
    column = heading.index(f" {audience} ")
    seen = {name for cells in lines for name in re.findall(r"`(\w+)`", cells[1]) if "yes" in cells[column]}
    assert seen == row().fields.keys()


def test_the_documented_routes_are_those_that_exist(app: Flask) -> None:
    exist = {
        (method, rule.rule.rstrip("/"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    found = re.findall(r"^### (GET|POST|DELETE) (/\S*)$", _read("docs/api.md"), re.MULTILINE)
    assert {(method, path.rstrip("/")) for method, path in found} == exist


# -- commands ----------------------------------------------------------------------------------------------


def _leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _leaves(inner, f"{path} {name}")
    else:
        yield path, command


LEAVES = dict(_leaves(commands, "logservice"))


@pytest.mark.parametrize("path", LEAVES)
def test_every_option_is_documented_with_its_command(path: str) -> None:
    starts = (f"| `{path} ", f"| `{path}`")
    [line] = [line for line in _read("docs/cli.md").splitlines() if line.startswith(starts)]
    options = [name for parameter in LEAVES[path].params for name in parameter.opts if name.startswith("--")]
    assert [name for name in options if name not in line] == []


# -- pages -------------------------------------------------------------------------------------------------


def test_both_readmes_lead_to_the_same_pages() -> None:
    names = ("README.md", "README.zh-CN.md")
    english, chinese = (
        # Pictures are in the language of the page, and so are pages that have both.
        {link.replace(".zh-CN.md", ".md") for link in _links(ROOT / name) if "docs/images/" not in link}
        for name in names
    )
    assert english - {"README.md"} == chinese - {"README.md"}


def _links(page: Path) -> list[str]:
    """Return the links of a page that lead to other files or to its own headings."""
    text = re.sub(r"^```.*?^```$", "", _read(page), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [target for target in _links(page) if not _leads_somewhere(page, target)]
    assert broken == []


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = page.parent / name if name else page
    return path.exists() and (not anchor or anchor in map(_anchor, _headings(_read(path))))


def _anchor(heading: str) -> str:
    """Return what a heading is called in links, as code hosting sites make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# -- the first run, and every call with curl ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FirstRun:
    """A service on its first start: where it answers, what it printed, and the tokens of a few people."""

    url: str
    output: str
    tokens: Mapping[str, str]


@contextmanager
def _first_run(folder: Path) -> Iterator[FirstRun]:
    """Start the service in an empty folder as `make run` does, and stop it at the end."""
    url = f"http://127.0.0.1:{_free_port()}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LOGSERVICE_")}
    environ |= {
        "LOGSERVICE_INSTANCE_PATH": str(folder / "instance"),
        "LOGSERVICE_BIND": url.removeprefix("http://"),
    }
    printed = folder / "printed"
    with printed.open("wb") as output:
        command = [sys.executable, "-m", "logservice", "serve"]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(url)
        said = printed.read_text("utf-8")
        tokens = {
            "TOKEN": said.split("shown only now:")[1].split()[0],
            "WRITER_TOKEN": _login("gateway", "writer", environ),
            "USER_TOKEN": _login("alice", "user", environ),
        }
        yield FirstRun(url, said, tokens)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=30).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _login(name: str, role: str, environ: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "logservice", "user", "add", name, "--role", role, "--json"]
    added = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True)
    token: str = json.loads(added.stdout)["access_token"]
    return token


def test_the_readme_shows_what_the_first_run_prints(tmp_path: Path) -> None:
    [shown] = [block.text for block in _blocks("README.md") if block.language == "text"]
    with _first_run(tmp_path) as service:
        assert _said(shown.replace(ADDRESS, service.url)) == _said(service.output)


def _said(output: str) -> list[str]:
    """Return the lines of the service itself, tokens aside."""
    lines = output.partition("This is the first start")[2].splitlines()
    said = [line for line in lines if not line.startswith("[")]
    return [re.sub(r"[\w-]{43}", "*", line) for line in said if line]


@pytest.mark.parametrize("name", WITH_CURL)
def test_calls_with_curl_answer_as_shown(name: str, tmp_path: Path) -> None:
    blocks = _blocks(name)
    with _first_run(tmp_path) as service:
        for block, following in zip(blocks, [*blocks[1:], Block("", "")], strict=True):
            if not block.calls_curl:
                continue
            answers = _answers(block.text, service)
            assert answers
            # OTLP knows no envelope, and the rows of an export stand alone.
            alone = "/v1/traces" in block.text or "/export" in block.text
            assert all(answer.get("success", alone) for answer in answers), answers
            if following.language == "json":
                assert _comparable(answers) == _comparable([json.loads(following.text)])


def _answers(script: str, service: FirstRun) -> list[Any]:
    """Run a block, and return every JSON value it prints."""
    assert ADDRESS in script
    done = subprocess.run(
        ["bash", "-euc", script.replace(ADDRESS, service.url)],
        env={**os.environ, **service.tokens},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed, answers = done.stdout.strip(), []
    while printed:
        answer, end = json.JSONDecoder().raw_decode(printed)
        answers.append(answer)
        printed = printed[end:].strip()
    return answers


def _comparable(value: Any) -> Any:
    """Return an answer without what differs from one run to the next."""
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    if isinstance(value, dict):
        return {name: "*" if name in VARYING else _comparable(inner) for name, inner in value.items()}
    return value
