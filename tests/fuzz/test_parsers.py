"""The parsers of what strangers send raise nothing but their own refusals, whatever bytes they are given.

Every run reads the seeds of `corpus/`, and some inputs that are bent from them.
LOGSERVICE_TEST_FUZZ_CASES=1000000 has atheris (`pip install -e '.[fuzz]'`) go on from them, so often in all.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutations import bent
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
CASES = int(os.environ.get("LOGSERVICE_TEST_FUZZ_CASES", "0"))
#: Inputs that are bent from each seed in a short run.
BENT = 60
SEED = 8
LONGEST = 8192
EACH = pytest.mark.parametrize("name", TARGETS)


@EACH
def test_every_seed_is_read_or_refused(name: str) -> None:
    found = {path.name: TARGETS[name](path.read_bytes()) for path in sorted((CORPUS / name).iterdir())}
    assert sum(found.values()) > 0, "no seed is right, so that none leads to what reads it"


@EACH
def test_whatever_is_bent_from_a_seed_is_read_or_refused(name: str, tmp_path: Path) -> None:
    if CASES:
        _try_with_atheris(name, tmp_path)
    else:
        _try_some(name)


def _try_some(name: str) -> None:
    for path in sorted((CORPUS / name).iterdir()):
        data = path.read_bytes()
        for seed in range(BENT):
            data = bent(data, LONGEST, seed, _bent_by_bytes)
            try:
                TARGETS[name](data)
            except Exception as error:
                raise AssertionError(f"{name}: {data!r}") from error


def _bent_by_bytes(data: bytes, most: int) -> bytes:
    """Return bytes with some of them changed, doubled or taken out."""
    chance = random.Random(data)
    start, length = chance.randrange(len(data) + 1), chance.randrange(1, 9)
    piece = chance.choice([b"", chance.randbytes(length), data[start : start + length] * 2])
    return (data[:start] + piece + data[start + length :])[:most]


def _try_with_atheris(name: str, folder: Path) -> None:
    """Have atheris go on from the seeds; an input that shows a defect is left in the folder."""
    found = folder / "found"
    found.mkdir()
    cases = -(-CASES // len(TARGETS))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz", name, f"-runs={cases}", f"-seed={SEED}", str(found)),
            *(f"-max_len={LONGEST}", "-timeout=10", f"-artifact_prefix={folder}/"),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    print(name, *done.stderr.splitlines()[-2:], sep="\n")
    assert done.returncode == 0, done.stderr[-5000:]
