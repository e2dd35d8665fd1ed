"""The page: one HTML document, the files it is made of, and who it is that looks at it.

The document and its files are open to anybody, for they hold nothing of the log; all they show comes from the
API. Every URL in the document is relative, so that the page works below any prefix, also one that a proxy
takes away.
"""

from __future__ import annotations

import mimetypes
import posixpath
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from flask import Blueprint, Response, render_template, request, url_for

from .auth import by_access_token, current_principal, requires
from .responses import ApiError, document, static_file, success
from .state import current_state

bp = Blueprint("logservice_page", __name__, template_folder="templates")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
# What a system's own table of types says of JavaScript differs, and browsers insist on this one for modules.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".md": "text/plain"}


@dataclass(frozen=True)
class Files:
    """All files of the page, and a version that changes with any of them."""

    version: str
    contents: dict[str, bytes]


@cache
def page_files() -> Files:
    """Read the files once; there are few, and small ones."""
    contents = dict(sorted(_walk(files(__package__) / "static", "").items()))
    digest = sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Files(digest.hexdigest()[:16], contents)


def _walk(folder: Traversable, prefix: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        name = prefix + entry.name
        found |= _walk(entry, f"{name}/") if entry.is_dir() else {name: entry.read_bytes()}
    return found


@bp.get("/", strict_slashes=False, merge_slashes=False)
def page() -> Response:
    """The document. Its settings are attributes, for nothing in it may be a script."""
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
    return document(html, policy=POLICY)


@bp.get("/static/<version>/<path:name>", merge_slashes=False)
def file(version: str, name: str) -> Response:
    """A file of the page. Its URL changes whenever a file does, so that it may be kept for ever."""
    found = page_files()
    content = found.contents.get(name) if version == found.version else None
    if content is None:
        raise ApiError(404, "there is nothing at this path")
    ending = posixpath.splitext(name)[1]
    mimetype = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "text/plain"
    response = static_file(content, mimetype=mimetype, etag=sha256(content).hexdigest()[:32])
    response.make_conditional(request)
    return response


@bp.get("/api/user/self", strict_slashes=False, merge_slashes=False)
@requires("user", "admin", "writer")
def who_asks() -> Response:
    """Who the caller is, so that the page knows what to offer."""
    found = current_principal()
    answer = success({"id": found.user_id, "username": found.username, "role": found.role})
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _here() -> str:
    """Return what to put before a relative URL, so that it begins at the page, with or without its slash."""
    last = request.path.rpartition("/")[2]
    return f"{last}/" if last else ""


def _api(here: str) -> str:
    """Return the relative URL of the log's own routes."""
    page_path = (request.script_root + request.path).rstrip("/") or "/"
    return here + posixpath.relpath(url_for("logservice.admin.logs"), page_path)
