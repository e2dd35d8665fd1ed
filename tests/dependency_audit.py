"""Whether any version in constraints.txt has a known weakness: `python -m tests.dependency_audit`.

pip-audit passes what its source of advisories does not know, and a mirror of packages may know nothing at
all. So each source is first asked about a version whose weaknesses have been public for years, and believed
only if it names them. Without such a source nothing is audited, which is said loudly and is no failure:
there may be no network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
SOURCES = ("pypi", "osv")
KNOWN_TO_BE_WEAK = "jinja2==2.4.1"
#: Weaknesses that do not touch us, by their number, each with its reason. None so far.
HARMLESS: dict[str, str] = {}
SECONDS = 60
_WRONG_USAGE = 2

#: Asks a source about versions, and returns what pip-audit says of each; nothing if it could not ask.
Ask = Callable[[str, str], Sequence[dict[str, Any]]]


def ask(source: str, requirements: str) -> Sequence[dict[str, Any]]:
    """Run pip-audit on requirements with exact versions. Raises ValueError if it does not know an option."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "-s",
            source,
            "-r",
            file.name,
            "--no-deps",
            "--disable-pip",
        ]
        command += ["--progress-spinner", "off", "--format", "json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return []
    if done.returncode == _WRONG_USAGE:
        raise ValueError(done.stderr)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return []
    return found


def audit(requirements: str, ask: Ask) -> int:
    """Print what is known of all versions, and return 1 if that is a weakness that could touch us, else 0."""
    for source in SOURCES:
        answers = ask(source, requirements) if _weak(ask(source, KNOWN_TO_BE_WEAK)) else []
        if not answers:
            continue
        weak = _weak(answers)
        unknown = [answer for answer in answers if "skip_reason" in answer]
        for name, number in weak:
            click.secho(f"{name}: {number}", fg="red")
        for answer in unknown:
            click.secho(f"{answer['name']}: not audited, {answer['skip_reason']}", fg="yellow")
        click.echo(f"{len(answers) - len(unknown)} versions audited by {source}, weaknesses: {len(weak)}")
        return 1 if weak else 0
    message = "DEPENDENCIES WERE NOT AUDITED: no source of advisories gives an answer"
    click.secho(f"{message} ({', '.join(SOURCES)})", fg="red", bold=True)
    return 0


def _weak(answers: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return each weakness that is not harmless, as the version that has it and its number."""
    return [
        (f"{answer['name']} {answer['version']}", weakness["id"])
        for answer in answers
        for weakness in answer.get("vulns", ())
        if weakness["id"] not in HARMLESS
    ]


if __name__ == "__main__":
    sys.exit(audit(CONSTRAINTS.read_text(), ask))
