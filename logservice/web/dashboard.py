"""The page: one HTML document, the files it is made of, and who it is that looks at it.

The document and its files are open to anybody, for they hold nothing of the log; all they show comes from the
API. Every URL in the document is relative, so that the page works below any prefix, also one that a proxy
takes away.
"""

from __future__ import annotations

import posixpath
from functools import cache
from importlib.resources import files

from flask import Blueprint, Response, render_template, request, url_for

from .answers import PERSON
from .auth import by_access_token, current_principal, requires
from .described import answers, answers_with, fails, with_path
from .files import FILE, HTML, NOTHING_HERE, Files, answered, files_in
from .responses import as_it_says, document, success
from .state import current_state

bp = Blueprint("logservice_page", __name__, template_folder="templates")


@cache
def page_files() -> Files:
    """Return the files of the page."""
    return files_in(files(__package__) / "static")


@bp.get("/", strict_slashes=False, merge_slashes=False)
@answers_with(HTML)
def page() -> Response:
    """The page on which people look at the log.

    日志网页。
    """
    # Its settings are attributes, for nothing in it may be a script.
    state, here = current_state(), _here()
    html = render_template(
        "logservice/page.html",
        files=f"{here}static/{page_files().version}",
        api=_api(here),
        user=f"{here}api/user/self",
        # Hosts may know their people by cookies; otherwise nobody is known without an access token.
        login="token" if state.authenticate is by_access_token else "host",
        quota_per_unit=state.settings.quota_per_unit,
        currency=state.settings.currency,
    )
    return document(html)


@bp.get("/static/<version>/<path:name>", merge_slashes=False)
@answers_with(*FILE)
@fails(404, NOTHING_HERE)
@with_path(lambda: page_files().arguments())
def file(version: str, name: str) -> Response:
    """A file of the page. Its URL changes whenever a file does, so that it may be kept for ever.

    网页所用的文件。
    """
    return answered(page_files(), version, name)


@bp.get("/api/user/self", strict_slashes=False, merge_slashes=False)
@answers(PERSON)
@requires("user", "admin", "writer")
def who_asks() -> Response:
    """Who the caller is, so that the page knows what to offer.

    当前调用者是谁。
    """
    found = current_principal()
    answer = success({"id": found.user_id, "username": found.username, "role": found.role})
    answer.headers["Cache-Control"] = "no-store"
    return as_it_says(answer)


def _here() -> str:
    """Return what to put before a relative URL, so that it begins at the page, with or without its slash."""
    last = request.path.rpartition("/")[2]
    return f"{last}/" if last else ""


def _api(here: str) -> str:
    """Return the relative URL of the log's own routes."""
    page_path = (request.script_root + request.path).rstrip("/") or "/"
    return here + posixpath.relpath(url_for("logservice.admin.logs"), page_path)
