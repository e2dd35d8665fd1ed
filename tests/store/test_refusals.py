"""What a producer is told of an event that is refused: the field, and what was expected, in plain words."""

from __future__ import annotations

import re

import pytest

from logservice.errors import InvalidValue
from logservice.store import records, refusals

TEXT, WHOLE = "a text of at most 128 characters", "a whole number from 0 to 10^10"


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ('{"username": 5}', f"username: expected {TEXT}, got a number"),
        (f'{{"username": "{"x" * 129}"}}', f"username: expected {TEXT}"),
        ('{"prompt_tokens": "12"}', f"prompt_tokens: expected {WHOLE}, got a text"),
        ('{"prompt_tokens": 1.5}', f"prompt_tokens: expected {WHOLE}, got a number with a fraction"),
        ('{"prompt_tokens": -1}', f"prompt_tokens: expected {WHOLE}"),
        ('{"is_stream": 1}', "is_stream: expected true or false, got a number"),
        ('{"token_hash": "ab"}', "token_hash: expected 64 hexadecimal digits"),
        ('{"created_at": []}', "created_at: expected epoch seconds, or a time in ISO 8601, got an array"),
        ('{"type": {}}', "type: expected the number or the name of a type, got an object"),
        ('{"colour": "blue"}', "unknown field 'colour'"),
        ('"an event"', "the event: expected an object, got a text"),
        ('{"username": alice}', "not valid JSON (invalid character (byte 13))"),
    ],
)
def test_a_refusal_names_the_field_and_what_was_expected(event: str, told: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        records.from_json(event.encode(), now=records.FUTURE)
    assert str(caught.value) == told


def test_every_field_is_described() -> None:
    # Anything may be `other`, as far as the decoder is concerned: what it holds is looked at later.
    described = refusals.expectations(records.Event)
    assert [name for name, words in described.items() if not words] == ["other"]


@pytest.mark.parametrize("name", sorted(records.FIELDS - {"other"}))
def test_no_refusal_speaks_of_types(name: str) -> None:
    for value in (object, b"bytes", ["list"]):
        with pytest.raises(InvalidValue) as caught:
            records.from_mapping({name: value}, now=records.FUTURE)
        assert str(caught.value).startswith(f"{name}: expected ")
        assert not re.search(r"`|\b(str|int|float|bool)\b", str(caught.value))


def test_a_stranger_s_name_of_a_field_is_cut() -> None:
    with pytest.raises(InvalidValue, match=r"^unknown field 'x{80}'$"):
        records.from_mapping({"x" * 5000: 1}, now=records.FUTURE)
