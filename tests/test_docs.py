"""What is documented is there, and what is there is documented."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import click
import pytest
from flask import Flask

from logservice.cli import logservice
from logservice.config import Settings, setting_name
from logservice.web import schemas
from tests.serving import TOKENS, serving

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=setting_name)
def test_every_setting_is_documented(field: dataclasses.Field[object]) -> None:
    assert f"`{setting_name(field)}`" in text_of("docs/configuration.md")


def test_every_variable_of_the_gunicorn_settings_is_documented() -> None:
    read = set(re.findall(r"LOGSERVICE_[A-Z_]+", text_of("logservice/gunicorn_conf.py")))
    assert read
    assert all(f"`{name}`" in text_of("docs/configuration.md") for name in read)


def test_no_documented_setting_is_unknown() -> None:
    known = {setting_name(field) for field in dataclasses.fields(Settings)}
    known |= set(re.findall(r"LOGSERVICE_[A-Z_]+", text_of("logservice/gunicorn_conf.py")))
    documented = set(re.findall(r"\| `(LOGSERVICE_[A-Z_]+)` \|", text_of("docs/configuration.md")))
    assert documented - known == {"LOGSERVICE_INSTANCE_PATH"}


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


def code_blocks(name: str) -> list[str]:
    return re.findall(r"```\w*\n.*?```", text_of(name), flags=re.DOTALL)


@pytest.mark.parametrize("name", ["README", "docs/deploying", "docs/metrics"])
def test_both_languages_show_the_same_code(name: str) -> None:
    assert code_blocks(f"{name}.md") == code_blocks(f"{name}.zh-CN.md")


def test_both_languages_list_the_same_metrics() -> None:
    listed = [
        re.findall(r"^\| `(\w+)` \| (\w+) \|", text_of(f"docs/metrics{end}"), re.M)
        for end in (".md", ".zh-CN.md")
    ]
    assert listed[0] == listed[1]


def test_the_commands_of_the_readme_work(tmp_path: Path) -> None:
    """Run the block that sends events and reads them back against a real service."""
    [block] = [block for block in code_blocks("README.md") if block.startswith("```sh\nTOKEN=")]
    script = block.removeprefix("```sh\n").removesuffix("```")
    with serving(tmp_path) as service:
        script = script.replace("the-access-token", TOKENS["root"])
        script = script.replace("http://127.0.0.1:8000", service.url).replace("curl ", "curl -fsS ")
        done = subprocess.run(
            ["bash", "-e", "-c", script], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.replace("}{", "}\n{").splitlines()
    assert len(answers) == 5
    assert all('"success":true' in answer for answer in answers)
    assert all("a call that went well" in answer for answer in (answers[1], answers[3], answers[4]))
