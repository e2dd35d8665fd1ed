"""Files that are sent as they are, such as scripts and styles, under URLs that change with any of them."""

from __future__ import annotations

import mimetypes
import posixpath
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources.abc import Traversable

from flask import Response, request

from .described import Content, Success
from .responses import ApiError, static_file

NOTHING_HERE = "there is nothing at this path"
# What a system's own table of types says of JavaScript differs, and browsers insist on this one for modules.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".md": "text/plain"}

HTML = Success("The document.", (Content("text/html", {"type": "string"}, "<!doctype html>..."),))
FILE = (
    Success("The file.", tuple(Content(kind, {"type": "string"}, "...") for kind in sorted(_TYPES.values()))),
    Success("It is still what the caller has, by its `If-None-Match`.", status=304),
)


@dataclass(frozen=True)
class Files:
    """All files of a folder, and a version that changes with any of them."""

    version: str
    contents: dict[str, bytes]

    def arguments(self) -> dict[str, tuple[str, str]]:
        """Return what stands in the path of a file, for the OpenAPI document."""
        return {
            "version": ("changes with any of the files", self.version),
            "name": ("path of the file, with slashes in it if it lies deeper", "favicon.svg"),
        }


def files_in(folder: Traversable) -> Files:
    """Read the files once; there are few, and small ones."""
    contents = dict(sorted(_walk(folder, "").items()))
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


def answered(found: Files, version: str, name: str) -> Response:
    """Answer with a file. Raises ApiError 404 for one that is not there, and for another version."""
    content = found.contents.get(name) if version == found.version else None
    if content is None:
        raise ApiError(404, NOTHING_HERE)
    ending = posixpath.splitext(name)[1]
    mimetype = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "text/plain"
    response = static_file(content, mimetype=mimetype, etag=sha256(content).hexdigest()[:32])
    response.make_conditional(request)
    return response
