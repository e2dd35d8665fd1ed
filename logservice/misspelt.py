"""Names that look like settings and are none: most are misspelt, and whoever set them believes they count."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from .config import PREFIX, Serving, Settings, setting_name

#: What clients, examples and tests read, and what Kubernetes sets for a service that is called like us.
_OTHERS = re.compile(r"TOKEN|URL|TEST_.*|SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT_.+")
_LINK = re.compile(r"(?:tcp|udp|sctp)://")


def complaints(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each name among `given` that begins like a setting and is none; never a value."""
    fields = (*dataclasses.fields(Settings), *dataclasses.fields(Serving))
    known = [setting_name(field).removeprefix(PREFIX) for field in fields]
    for name in sorted(name for name in given if isinstance(name, str) and name.startswith(PREFIX)):
        rest = name.removeprefix(PREFIX)
        if rest in known or _OTHERS.fullmatch(rest) or (rest == "PORT" and _LINK.match(str(given[name]))):
            continue
        near = get_close_matches(rest.upper(), known, n=1)
        meant = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        yield f"{name} is no setting, and has no effect{meant}"
