"""`GET /openapi.json`, and `GET /docs`, which shows it with RapiDoc and nothing from anywhere else."""

from __future__ import annotations

import posixpath
from functools import cache
from importlib.resources import files
from typing import Any
from weakref import WeakKeyDictionary

from flask import Blueprint, Flask, Response, current_app, render_template, request

from ..described import JSON, Content, Success, answers_with, fails, with_path
from ..files import FILE, HTML, NOTHING_HERE, Files, answered, files_in
from ..responses import document, plain_json
from .document import document_of

bp = Blueprint("logservice_docs", __name__, template_folder="../templates")

# RapiDoc writes styles into its elements. Scripts, which could do harm, are ours alone all the same.
STYLES = "'self' 'unsafe-inline'"
_DOCUMENT = Success(
    "An OpenAPI 3.1 document.",
    (
        Content(
            JSON,
            {"type": "object", "required": ["openapi", "info", "paths"]},
            {"openapi": "3.1.0", "info": {}, "paths": {}},
        ),
    ),
)

_documents: WeakKeyDictionary[Flask, dict[str, Any]] = WeakKeyDictionary()


@cache
def docs_files() -> Files:
    """Return the files of the page."""
    return files_in(files(__package__) / "static")


@bp.get("/openapi.json", strict_slashes=False, merge_slashes=False)
@answers_with(_DOCUMENT)
def openapi() -> Response:
    """This document.

    The URL of its server is relative, so that it is right below any prefix.

    本接口文档（OpenAPI 3.1）。
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    found = _documents.get(app)
    if found is None:
        found = _documents[app] = document_of(app)
    root = posixpath.relpath("/", posixpath.dirname(request.path))
    return plain_json({**found, "servers": [{"url": root}]})


@bp.get("/docs", strict_slashes=False, merge_slashes=False)
@answers_with(HTML)
def docs() -> Response:
    """The page that shows this document.

    显示本接口文档的网页。
    """
    here = "" if not request.path.endswith("/") else "../"
    html = render_template(
        "logservice/docs.html",
        files=f"{here}docs/static/{docs_files().version}",
        document=f"{here}openapi.json",
    )
    return document(html, styles=STYLES)


@bp.get("/docs/static/<version>/<path:name>", merge_slashes=False)
@answers_with(*FILE)
@fails(404, NOTHING_HERE)
@with_path(lambda: docs_files().arguments())
def file(version: str, name: str) -> Response:
    """A file of that page. Its URL changes whenever a file does, so that it may be kept for ever.

    该网页所用的文件。
    """
    return answered(docs_files(), version, name)
