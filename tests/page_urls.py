"""What a page's HTML says of URLs, read as a browser reads it."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import urljoin


def attribute(html: str, name: str) -> str:
    """Return the value of the one attribute of this name."""
    [value] = re.findall(rf' {name}="([^"]*)"', html)
    return str(value)


def loaded(html: str) -> list[str]:
    """Return the URLs of all that a page loads."""
    return re.findall(r'(?:src|href)="([^"]+)"', html)


def leads(base: str, relative: str) -> str:
    """Return the path to which a URL in the page at `base` leads."""
    return posixpath.normpath(urljoin(f"http://host{base}", relative).removeprefix("http://host"))
