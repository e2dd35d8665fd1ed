"""Numbers of things as people write them: 1 row, 1,234 rows."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with what it counts, in the plural unless it is 1."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
