"""The audit of dependencies believes no source that knows nothing, and says so when there is none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dependency_audit import CONSTRAINTS, HARMLESS, KNOWN_TO_BE_WEAK, SOURCES, Ask, audit

WEAK = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-0"}]}
CLEAN = {"name": "flask", "version": "3.1.3", "vulns": []}
UNKNOWN = {"name": "flask", "skip_reason": "not found"}


def asking(*answers: dict[str, Any], knows: str = SOURCES[0]) -> Ask:
    """Return a way to ask sources of which one alone knows anything."""

    def answered(source: str, requirements: str) -> list[dict[str, Any]]:
        if source != knows:
            return [UNKNOWN]
        return [WEAK] if requirements == KNOWN_TO_BE_WEAK else list(answers)

    return answered


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_clean_passes_and_what_is_weak_does_not(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit("all", asking(CLEAN, knows=source)) == 0
    assert audit("all", asking(CLEAN, WEAK, knows=source)) == 1
    assert "jinja2 2.4.1: PYSEC-0" in capsys.readouterr().out


def test_what_a_source_does_not_know_is_not_called_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("all", asking(CLEAN, UNKNOWN)) == 0
    assert "flask: not audited, not found\n1 versions audited" in capsys.readouterr().out


@pytest.mark.parametrize("silent", [lambda *_: [], lambda *_: [UNKNOWN], lambda *_: [CLEAN]])
def test_sources_that_know_nothing_are_said_loudly_and_break_nothing(
    silent: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit("all", silent) == 0
    assert "NOT AUDITED" in capsys.readouterr().out


def test_an_audit_that_breaks_off_half_way_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("all", asking()) == 0
    assert "NOT AUDITED" in capsys.readouterr().out


def test_every_exception_has_its_reason_and_every_version_is_exact() -> None:
    assert all(HARMLESS.values())
    pins = [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]
    assert all("==" in pin for pin in pins)
