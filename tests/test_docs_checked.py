"""What the documentation says is so: defaults, fields, routes, options, and every call with curl.

Every ```sh block of docs/api.md that calls curl is run, in the order of the page, against a service that was
started as a newcomer starts it; a ```json block right behind one is its answer.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from flask import Flask

from logservice import config
from logservice.cli import logservice as commands
from logservice.store.filters import FILTERS
from logservice.store.records import Event
from logservice.web import schemas
from tests.documents import ADDRESS, PAGES, ROOT, Block, blocks, first_cells, leads_somewhere, links, read
from tests.first_run import FirstRun, first_run

WITH_CURL = ("docs/api.md",)
#: What is said of settings, parameters and commands is checked in either language.
LANGUAGES = ("docs", "docs/zh-CN")
in_both_languages = pytest.mark.parametrize("folder", LANGUAGES)

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


# -- settings ----------------------------------------------------------------------------------------------

_SETTING = re.compile(r"^\| `(LOGSERVICE_\w+)` \| (`[^`]*`|empty|空) \| .+ \|$", re.MULTILINE)
DOCUMENTED = {folder: dict(_SETTING.findall(read(f"{folder}/configuration.md"))) for folder in LANGUAGES}
FIELDS = (*dataclasses.fields(config.Settings), *dataclasses.fields(config.Serving))


def _documented_default(folder: str, name: str) -> str:
    default = DOCUMENTED[folder][name]
    return default.strip("`") if default.startswith("`") else ""


@in_both_languages
@pytest.mark.parametrize("field", FIELDS, ids=config.setting_name)
def test_every_setting_is_documented_with_its_default(field: dataclasses.Field[Any], folder: str) -> None:
    default = _documented_default(folder, config.setting_name(field))
    assert field.metadata["read"](default) == field.default


@in_both_languages
def test_no_variable_is_read_or_documented_alone(folder: str) -> None:
    sources = (ROOT / "logservice").rglob("*.py")
    named = {name for path in sources for name in re.findall(r"LOGSERVICE_[A-Z][A-Z_]*[A-Z]", read(path))}
    settings = {config.setting_name(field) for field in FIELDS}
    assert named | settings == DOCUMENTED[folder].keys()


# -- API ---------------------------------------------------------------------------------------------------


@in_both_languages
@pytest.mark.parametrize("name", sorted({entry.name for entry in FILTERS} & EXPOSED))
def test_every_filter_is_documented(name: str, folder: str) -> None:
    assert name in first_cells(f"{folder}/api.md")


@in_both_languages
@pytest.mark.parametrize("name", sorted(EXPOSED))
def test_every_parameter_is_documented(name: str, folder: str) -> None:
    assert name in first_cells(f"{folder}/api.md")


@in_both_languages
@pytest.mark.parametrize("name", sorted({*schemas.AdminRow().fields, *msgspec.structs.asdict(Event())}))
def test_every_field_of_rows_and_events_is_documented(name: str, folder: str) -> None:
    assert name in first_cells(f"{folder}/api.md")


@in_both_languages
@pytest.mark.parametrize(
    ("column", "row"),
    [(3, schemas.KeyRow), (4, schemas.OwnRow), (5, schemas.AdminRow)],
    ids=["key", "own", "all"],
)
def test_the_table_of_fields_says_who_sees_them(column: int, row: type[schemas.KeyRow], folder: str) -> None:
    page = read(f"{folder}/api.md")
    [table] = [part for part in page.split("\n### ") if part.startswith(("Fields of a row", "记录的字段"))]
    _, _, *lines = [line.split("|") for line in table.splitlines() if line.startswith("|")]
    seen = {name for cells in lines for name in re.findall(r"`(\w+)`", cells[1]) if cells[column].strip()}
    assert seen == row().fields.keys()


@in_both_languages
def test_the_documented_routes_are_those_that_exist(folder: str, app: Flask) -> None:
    exist = {
        (method, rule.rule.rstrip("/"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    found = re.findall(r"^### (GET|POST|DELETE) (/\S*)$", read(f"{folder}/api.md"), re.MULTILINE)
    assert {(method, path.rstrip("/")) for method, path in found} == exist


# -- commands ----------------------------------------------------------------------------------------------


def _leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _leaves(inner, f"{path} {name}")
    else:
        yield path, command


LEAVES = dict(_leaves(commands, "logservice"))


@in_both_languages
@pytest.mark.parametrize("path", LEAVES)
def test_every_option_is_documented_with_its_command(path: str, folder: str) -> None:
    starts = (f"| `{path} ", f"| `{path}`")
    [line] = [line for line in read(f"{folder}/cli.md").splitlines() if line.startswith(starts)]
    options = [name for parameter in LEAVES[path].params for name in parameter.opts if name.startswith("--")]
    assert [name for name in options if name not in line] == []


# -- pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [target for target in links(page) if not leads_somewhere(page, target)]
    assert broken == []


# -- the first run, and every call with curl ---------------------------------------------------------------


def test_the_readme_shows_what_the_first_run_prints(tmp_path: Path) -> None:
    [shown] = [block.text for block in blocks("README.md") if block.language == "text"]
    with first_run(tmp_path) as service:
        assert _said(shown.replace(ADDRESS, service.url)) == _said(service.output)


def _said(output: str) -> list[str]:
    """Return the lines of the service itself, tokens aside."""
    lines = output.partition("This is the first start")[2].splitlines()
    said = [line for line in lines if not line.startswith("[")]
    return [re.sub(r"[\w-]{43}", "*", line) for line in said if line]


@pytest.mark.parametrize("name", WITH_CURL)
def test_calls_with_curl_answer_as_shown(name: str, tmp_path: Path) -> None:
    found = blocks(name)
    with first_run(tmp_path) as service:
        for block, following in zip(found, [*found[1:], Block("", "")], strict=True):
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
