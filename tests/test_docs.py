"""What is documented is there, and what is there is documented."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import click
import pytest
from flask import Flask

from logservice import LogService
from logservice.cli import logservice
from logservice.config import Serving, Settings, setting_name
from logservice.web import schemas

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


FIELDS = (*dataclasses.fields(Settings), *dataclasses.fields(Serving))


@pytest.mark.parametrize("field", FIELDS, ids=setting_name)
def test_every_setting_is_documented(field: dataclasses.Field[object]) -> None:
    assert f"`{setting_name(field)}`" in text_of("docs/configuration.md")


def test_no_documented_setting_is_unknown() -> None:
    documented = set(re.findall(r"\| `(LOGSERVICE_[A-Z_]+)` \|", text_of("docs/configuration.md")))
    assert documented <= {setting_name(field) for field in FIELDS}


@pytest.mark.parametrize("page", ["docs/embedding.md", "docs/zh-CN/embedding.md"])
def test_the_table_of_arguments_is_the_signature(page: str) -> None:
    rows = re.findall(r"^\| (`\w+`(?:(?:, |、)`\w+`)*) \|", text_of(page), flags=re.MULTILINE)
    documented = sorted(name for row in rows for name in re.findall(r"\w+", row))
    assert documented == sorted(set(inspect.signature(LogService).parameters) - {"app"})


@pytest.mark.parametrize(
    "schema",
    [
        schemas.AllLogs,
        schemas.OwnLogs,
        schemas.AllSearch,
        schemas.AllExport,
        schemas.KeyLogs,
        schemas.Purging,
    ],
)
def test_every_parameter_is_documented(schema: type[schemas.QueryString]) -> None:
    documented = text_of("docs/api.md")
    assert [name for name in schema().fields if f"`{name}`" not in documented] == []


@pytest.mark.parametrize("page", ["docs/api.md", "docs/zh-CN/api.md"])
def test_the_messages_of_a_lost_database_are_explained(page: str) -> None:
    views = "".join(path.read_text() for path in (ROOT / "logservice" / "web").glob("*.py"))
    messages = set(re.findall(r'^@saying\("(.+)"\)$', views, re.MULTILINE))
    assert len(messages) == 3
    explained = re.search(r"^\*\*[^*\n]*503[^*\n]*\*\*(.+?)\n\n", text_of(page), re.MULTILINE | re.DOTALL)
    assert explained
    assert [message for message in messages if f"`{message}`" not in explained[1]] == []


def test_every_route_is_documented(app: Flask) -> None:
    documented = text_of("docs/api.md")
    assert [rule.rule for rule in app.url_map.iter_rules() if rule.rule not in documented] == []


def commands(group: click.Group, prefix: str) -> list[str]:
    found = []
    for name, command in group.commands.items():
        inner = f"{prefix} {name}"
        found += commands(command, inner) if isinstance(command, click.Group) else [inner]
    return found


@pytest.mark.parametrize("command", commands(logservice, "logservice"))
def test_every_command_is_documented(command: str) -> None:
    assert command in text_of("docs/cli.md")


def test_every_make_target_is_explained() -> None:
    targets = re.findall(r"^([a-z]+):.*##", text_of("Makefile"), flags=re.MULTILINE)
    assert targets
    explained = text_of("README.md") + text_of("CONTRIBUTING.md")
    assert [target for target in targets if f"make {target}" not in explained] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
