"""What people are told to install is what brings it, and not a package of somebody else."""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest

from logservice.extras import EXTRAS, how_to_install
from tests.documents import ROOT


def test_extras_are_those_of_the_package() -> None:
    described = ConfigParser()
    described.read(ROOT / "setup.cfg")
    extras = dict(described["options.extras_require"])
    assert {name: extras[name].strip() for name in EXTRAS} == EXTRAS
    assert extras.keys() - EXTRAS.keys() == {"dev", "fuzz"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_installed_from_a_checkout_or_by_its_requirement(extra: str) -> None:
    assert re.fullmatch(
        rf"`pip install '{re.escape(EXTRAS[extra])}'`, .*'\.\[{extra}\]'.*", how_to_install(extra)
    )


def test_nobody_is_told_to_install_what_is_called_like_us_elsewhere() -> None:
    files = [*ROOT.glob("logservice/**/*.py"), *ROOT.glob("examples/**/*"), *ROOT.glob("**/*.md")]
    wrong = re.compile(r"pip install (?:-\S+ )*['\"]?logservice(?![-\w./])")
    told = [path for path in files if path.is_file() and wrong.search(path.read_text(errors="replace"))]
    assert told == []
