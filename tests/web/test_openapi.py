"""`GET /openapi.json`: all that is mounted, as it is, with examples that are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import jsonschema
import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from sqlalchemy import update

from logservice import LogService, Principal, create_app
from logservice.store.filters import FILTERS
from logservice.store.records import FIELDS
from logservice.store.store import LogStore
from logservice.store.tables import hourly
from logservice.web import schemas
from logservice.web.described import facts_of
from tests.rows import ALICE_KEY, NOW, ROOT, make_event, post

Document = dict[str, Any]
Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The standalone application, on a database that nothing here asks."""
    folder = tmp_path_factory.mktemp("standalone")
    app = create_app({"LOGSERVICE_DATABASE_URL": f"sqlite:///{folder / 'log.db'}"}, instance_path=str(folder))
    yield app
    app.extensions["logservice"].store.close()


@pytest.fixture(scope="module")
def document(standalone: Flask) -> Document:
    """Its document."""
    found: Document = standalone.test_client().get("/openapi.json").get_json()
    return found


def operations(document: Document) -> Iterator[Operation]:
    """Yield method, path and content of every operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what an operation says of the body of its request and of each answer, for each media type."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for body in bodies:
        yield from body.get("content", {}).values()


def parameters(document: Document, path: str, operation: dict[str, Any]) -> list[dict[str, Any]]:
    named = [*document["paths"][path].get("parameters", []), *operation["parameters"]]
    known = document["components"]["parameters"]
    return [known[one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in named]


def examples(content: dict[str, Any]) -> list[Any]:
    if "examples" in content:
        return [one["value"] for one in content["examples"].values()]
    return [content["example"]]


def check(document: Document, value: Any, schema: dict[str, Any]) -> None:
    """Check a value by a schema of the document."""
    resource = Resource.from_contents({**document, "$schema": "https://json-schema.org/draft/2020-12/schema"})
    registry = Registry().with_resource("urn:document", resource)
    whole = {"$ref": "urn:document" + schema["$ref"]} if "$ref" in schema else _absolute(schema)
    jsonschema.Draft202012Validator(whole, registry=registry).validate(value)


def _absolute(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_absolute(one) for one in schema]
    if isinstance(schema, dict):
        return {
            name: f"urn:document{one}" if name == "$ref" else _absolute(one) for name, one in schema.items()
        }
    return schema


def test_it_is_openapi(document: Document) -> None:
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_route_and_method_is_documented_and_no_other(standalone: Flask, document: Document) -> None:
    exist = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in standalone.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for method, path, _ in operations(document)} == exist


def test_every_operation_is_told_in_both_languages_and_has_a_group(document: Document) -> None:
    groups = {tag["name"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        assert operation["summary"], (method, path)
        assert re.search("[一-鿿]", operation["x-summary-zh"]), (method, path)
        assert set(operation["tags"]) <= groups, (method, path)
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(re.search("[一-鿿]", tag["x-summary-zh"]) for tag in document["tags"])


def test_every_parameter_that_a_view_reads_is_documented(standalone: Flask, document: Document) -> None:
    for rule in standalone.url_map.iter_rules():
        query = facts_of(standalone.view_functions[rule.endpoint]).query
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"} if query else ():
            documented = document["paths"][rule.rule][method.lower()]["parameters"]
            assert query().fields.keys() == {one["name"] for one in documented if "name" in one}, rule.rule


@pytest.mark.parametrize(
    "path", ["/api/log", "/api/log/stat", "/api/log/usage", "/api/log/search", "/api/log/export"]
)
def test_every_filter_is_there_for_administrators(document: Document, path: str) -> None:
    documented = {one["name"] for one in document["paths"][path]["get"]["parameters"]}
    assert {entry.name for entry in FILTERS if entry.name in schemas.AllFilters().fields} <= documented


def test_every_parameter_has_a_meaning_and_an_example_that_fits(document: Document) -> None:
    for method, path, operation in operations(document):
        for parameter in parameters(document, path, operation):
            assert parameter["description"], (method, path, parameter)
            check(document, parameter["example"], parameter["schema"])


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Event", FIELDS),
        ("KeyRow", schemas.KeyRow().fields),
        ("OwnRow", schemas.OwnRow().fields),
        ("AdminRow", schemas.AdminRow().fields),
    ],
)
def test_every_field_of_rows_and_events_is_documented(document: Document, name: str, fields: Any) -> None:
    assert document["components"]["schemas"][name]["properties"].keys() == set(fields)


def test_every_field_of_every_answer_has_a_meaning(document: Document) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema["properties"].items():
            told = "description" in described or "const" in described or "$ref" in str(described)
            assert told, (name, field)


def test_every_body_has_examples_that_fit_its_schema(document: Document) -> None:
    for _, _, operation in operations(document):
        for content in contents(operation):
            for example in examples(content):
                check(document, example, content["schema"])


def test_every_refusal_has_the_headers_that_say_what_to_do(document: Document) -> None:
    wanted = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
    for _, path, operation in operations(document):
        for status in wanted.keys() & operation["responses"].keys():
            assert wanted[status] in operation["responses"][status]["headers"], path


def test_answers_are_as_documented(client: FlaskClient, store: LogStore, document: Document) -> None:
    """Also those of a log with something in it, and with something wrong."""
    post(client, make_event(created_at=NOW, content="x"), make_event(created_at=NOW - 86400, type="error"))
    store.write(lambda connection: connection.execute(update(hourly).values(quota=7)))
    more = {
        "/api/log/token": {"key": ALICE_KEY},
        "/api/log/usage": {
            "group_by": "model_name,username,token_name,channel_id,group,type",
            "interval": "day",
        },
    }
    for method, path, operation in operations(document):
        if method == "GET" and "{" not in path:
            needed = [one for one in operation["parameters"] if one.get("required")]
            query = {one["name"]: one["example"] for one in needed} | more.get(path, {})
            answer = client.get(path, query_string=query, headers=ROOT)
            content = operation["responses"]["200"]["content"][answer.mimetype]
            assert answer.status_code == 200, path
            check(document, answer.get_json() if answer.is_json else answer.text, content["schema"])


def test_old_clients_are_told_that_failures_are_200(client_with) -> None:
    document = client_with(LEGACY_STATUS="1").get("/openapi.json").get_json()
    responses = document["paths"]["/api/log"]["get"]["responses"]
    assert set(responses) == {"200", "401"}
    check(
        document,
        {"success": False, "message": "no"},
        responses["200"]["content"]["application/json"]["schema"],
    )


# -- in an application of somebody else --------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Flask]:
    """An application of somebody else, which has no log yet."""
    host = Flask("host", instance_path=str(tmp_path))
    host.add_url_rule("/own", "own", lambda: "own")
    yield host
    host.extensions["logservice"].store.close()


def let_in(_request: Any) -> Principal:
    return Principal(1, "root", "admin")


def test_a_host_has_no_document_unless_it_says_so(host: Flask) -> None:
    LogService(host, authenticate=let_in)
    assert not [rule for rule in host.url_map.iter_rules() if "docs" in rule.endpoint]


def test_in_a_host_it_tells_of_what_is_mounted_alone_and_where(host: Flask) -> None:
    LogService(host, authenticate=let_in, url_prefix="/usage", docs=True)
    document = host.test_client().get("/usage/openapi.json").get_json()
    assert all(path.startswith("/usage") for path in document["paths"])
    assert {"/usage", "/usage/self", "/usage/docs"} <= document["paths"].keys()
    assert "post" not in document["paths"]["/usage"]
    assert "Writing" not in {tag["name"] for tag in document["tags"]}
    # How people are recognised is the host's own affair.
    assert "accessToken" not in document["components"]["securitySchemes"]
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
def test_paths_hold_below_any_prefix(host: Flask, slash: str, root: str) -> None:
    LogService(host, authenticate=let_in, url_prefix="/usage", docs="/usage/api")
    client = host.test_client()
    place = f"http://localhost{root}/usage/api/openapi.json{slash}"
    document = client.get(f"/usage/api/openapi.json{slash}", base_url=f"http://localhost{root}").get_json()
    [server] = document["servers"]
    assert urljoin(place, server["url"]).rstrip("/") == f"http://localhost{root}"


# -- the page ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_page_loads_files_of_this_service_alone(standalone: Flask, path: str) -> None:
    client = standalone.test_client()
    answer = client.get(path)
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    urls = re.findall(r'(?:src|href|data-document)="([^"]+)"', answer.text)
    assert len(urls) == 6
    for url in urls:
        found = client.get(urljoin(f"http://localhost{path}", url).removeprefix("http://localhost"))
        assert found.status_code == 200, url


def test_a_file_of_another_version_is_not_there(standalone: Flask) -> None:
    assert standalone.test_client().get("/docs/static/0/docs.js").status_code == 404
