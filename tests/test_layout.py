"""The floors of the house: who may import whom, and where a thing is done at all."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "logservice"
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the dotted name of a module file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in MODULES}


def imports_of(path: Path, *, when_run: bool = False) -> Iterator[str]:
    """Yield the full name of everything a module imports, relative imports resolved.

    With `when_run` what is imported for the sake of types alone is left out.
    """
    tree = ast.parse(path.read_text())
    left_out = for_types_alone(tree) if when_run else set()
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (
                f"{module}.{alias.name}" if f"{module}.{alias.name}" in NAMES else module
                for alias in node.names
            )


def on_floor(*floors: str) -> list[Path]:
    return [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in floors]


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


def test_there_are_modules_on_every_floor() -> None:
    floors = ("store", "sources", "imports", "exports", "archives", "web", "cli", "client")
    assert all(on_floor(floor) for floor in floors)


@pytest.mark.parametrize("path", on_floor("store", "sources", "imports", "exports", "archives"), ids=name_of)
def test_the_store_and_the_sources_know_no_flask(path: Path) -> None:
    assert roots(path).isdisjoint({"flask", "werkzeug", "marshmallow", "flask_sqlalchemy", "flask_cors"})


@pytest.mark.parametrize("path", on_floor("web", "sources", "exports", "archives"), ids=name_of)
def test_the_web_floor_the_sources_and_the_exports_know_no_sql(path: Path) -> None:
    assert roots(path).isdisjoint({"sqlalchemy", "sqlite3", "flask_sqlalchemy"})


@pytest.mark.parametrize("path", on_floor("client"), ids=name_of)
def test_the_client_needs_python_and_itself_alone(path: Path) -> None:
    own = {name for name in imports_of(path) if name.startswith("logservice.client")}
    assert {name.partition(".")[0] for name in set(imports_of(path)) - own} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_floor_imports_a_higher_one(path: Path) -> None:
    floors = ("store", "sources", "imports", "exports", "archives", "web", "cli")
    own = path.relative_to(PACKAGE).parts[0]
    if own in floors:
        higher = floors[floors.index(own) + 1 :]
        found = {name.split(".")[1] for name in imports_of(path) if name.startswith("logservice.")}
        assert found.isdisjoint(higher)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_imports_the_package_root(path: Path) -> None:
    assert "logservice" not in set(imports_of(path))


def for_types_alone(tree: ast.Module) -> set[int]:
    """Return the statements of `if TYPE_CHECKING:`, with which the package root names what it loads later."""
    blocks = [
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {id(node) for block in blocks for node in block.body}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_stand_at_the_top(path: Path) -> None:
    tree = ast.parse(path.read_text())
    at_top = {id(node) for node in tree.body} | for_types_alone(tree)
    inside = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in inside if id(node) not in at_top] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    imported = {name: {*imports_of(path, when_run=True)} for name, path in NAMES.items()}
    graph = {name: found & NAMES.keys() for name, found in imported.items()}
    # A package's own __init__ gathers its modules; they do not need it.
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", on_floor("store", "web", "sources"), ids=name_of)
def test_only_the_dialects_name_a_database(path: Path) -> None:
    if "dialects" in path.parts:
        return
    texts = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value
    }
    assert not {text for text in texts if "sqlite" in text.lower() or "postgres" in text.lower()}


@pytest.mark.parametrize("path", on_floor("web"), ids=name_of)
def test_only_auth_reads_credentials_and_only_responses_builds_bodies(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    if path.name != "auth.py":
        read = [ast.unparse(node) for node in nodes if isinstance(node, ast.Subscript | ast.Call)]
        assert not [
            code for code in read if "headers" in code.split("(")[0] and "'authorization'" in code.lower()
        ]
        assert "authorization" not in {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    if path.name != "responses.py":
        called = {ast.unparse(node.func).rpartition(".")[2] for node in nodes if isinstance(node, ast.Call)}
        assert called.isdisjoint({"Response", "make_response", "jsonify"})


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350
