"""The lowest versions that setup.cfg allows, as constraints for pip: `python -m tests.lowest_versions`.

The tools that test keep the versions of constraints.txt, and what setup.cfg does not name is left to pip.
"""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What is installed with the package, and what its users may choose to install.
CHOICES = ("postgres", "mysql", "otlp", "archive", "clickhouse")
TOOLS = ("pytest", "pytest-xdist", "hypothesis")


def lower_bounds(text: str) -> dict[str, str]:
    """Return the lowest version of each requirement in a list of setup.cfg."""
    return dict(re.findall(r"^([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)$", text, flags=re.MULTILINE))


def constraints() -> dict[str, str]:
    """Return the versions to install."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lists = [setup["options"]["install_requires"]]
    lists += [setup["options.extras_require"][name] for name in CHOICES]
    tested = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    bounds = {name: version for text in lists for name, version in lower_bounds(text).items()}
    return bounds | {name: tested[name] for name in TOOLS}


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in sorted(constraints().items())))
