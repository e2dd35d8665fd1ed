"""A bound on the values in a JSON text, found without decoding it: each takes memory, however short it is."""

from __future__ import annotations

#: Decoded, so many take about 300 MB at most. Events that are meant have fewer in 32 MiB: 11 bytes for each.
MOST_VALUES = 3_000_000


def holds_too_much(text: bytes) -> bool:
    """Whether a JSON text may hold more than MOST_VALUES: commas and brackets in strings count as well."""
    return len(text) > MOST_VALUES and sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES
