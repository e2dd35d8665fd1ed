"""Fuzz one parser with atheris, for as long as libFuzzer is told: python -m tests.fuzz litellm -runs=100000.

New inputs that reach new code go into the folder that is named first, if any; the seeds are read in any case.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["logservice"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.mutations import bent

CORPUS = Path(__file__).parent / "corpus"


def main(name: str, *arguments: str) -> None:
    """Run libFuzzer on a target; it ends the process itself, with a status other than 0 for a defect."""
    target = TARGETS[name]
    folders = [argument for argument in arguments if not argument.startswith("-")]
    options = [argument for argument in arguments if argument.startswith("-")]
    atheris.Setup(
        [sys.argv[0], *options, *folders, str(CORPUS / name)],
        lambda data: (target(data), None)[1],
        custom_mutator=lambda data, most, seed: bent(data, most, seed, atheris.Mutate),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
