"""What `make lowest` installs."""

from __future__ import annotations

import re

from tests.lowest_versions import ROOT, constraints, lower_bounds


def test_a_lower_bound_is_read_with_and_without_extras() -> None:
    read = lower_bounds("\n# a comment\nflask>=3.1\npsycopg[binary,pool]>=3.2.1\npymysql[rsa]>=1.1\n")
    assert read == {"flask": "3.1", "psycopg": "3.2.1", "pymysql": "1.1"}


def test_every_requirement_of_the_package_has_a_lower_bound() -> None:
    setup = (ROOT / "setup.cfg").read_text()
    required = re.findall(r"^    ([\w-]+)(?:\[[\w,]+\])?[<>=!~]", setup.partition("\ndev =")[0], re.MULTILINE)
    assert {"flask", "psycopg", "pyarrow"} <= set(required)
    assert set(required) <= constraints().keys()
