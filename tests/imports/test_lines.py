"""The lines of a file, and going on where it was left."""

from __future__ import annotations

import io
from hashlib import sha256

import pytest

from logservice.imports.lines import LONGEST_LINE, HashedLines, Mark

TEXT = b"one\ntwo\r\n\nfour\nfive"


def lines_of(content: bytes) -> HashedLines:
    return HashedLines(io.BytesIO(content))


def mark_at(content: bytes, offset: int) -> Mark:
    return Mark(offset, sha256(content[:offset]).hexdigest())


def test_lines_are_given_as_they_are_and_counted() -> None:
    lines = lines_of(TEXT)

    assert list(lines) == [b"one\n", b"two\r\n", b"\n", b"four\n", b"five"]
    assert (lines.number, lines.offset) == (5, len(TEXT))


def test_a_mark_is_where_the_last_line_ended() -> None:
    lines = lines_of(TEXT)

    for line in lines:
        if line == b"two\r\n":
            break

    assert lines.mark() == mark_at(TEXT, 9)


def test_the_first_line_that_holds_something_can_be_looked_at() -> None:
    lines = lines_of(b"\xef\xbb\xbf\n \nthird\nfourth\n")

    # A byte order mark alone holds nothing that could be read.
    assert lines.first() == b"\n"
    assert list(lines) == [b"\n", b" \n", b"third\n", b"fourth\n"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b" "])
def test_a_file_may_hold_nothing(content: bytes) -> None:
    assert lines_of(content).first() == b""


def test_a_file_goes_on_after_the_furthest_mark_that_lies_in_it() -> None:
    lines = lines_of(TEXT)
    marks = [mark_at(TEXT, 4), mark_at(TEXT, 9), Mark(15, "0" * 64), Mark(10**9, "0" * 64)]

    assert lines.resume(marks) == mark_at(TEXT, 9)
    assert (lines.number, lines.offset) == (2, 9)
    assert list(lines) == [b"\n", b"four\n", b"five"]
    assert lines.mark() == mark_at(TEXT, len(TEXT))


@pytest.mark.parametrize("marks", [[], [Mark(4, "0" * 64)], [mark_at(b"one\nTWO\n", 8)]])
def test_a_file_that_was_never_read_begins_at_its_start(marks: list[Mark]) -> None:
    lines = lines_of(TEXT)

    assert lines.resume(marks) is None
    assert len(list(lines)) == 5


def test_a_file_that_has_grown_goes_on_with_what_is_new() -> None:
    lines = lines_of(b"one\ntwo\n" + b"three\n")

    assert lines.resume([mark_at(b"one\ntwo\n", 8)])
    assert list(lines) == [b"three\n"]


def test_a_file_goes_on_within_a_line_that_had_not_ended() -> None:
    lines = lines_of(TEXT + b"\nsix\n")

    assert lines.resume([mark_at(TEXT, len(TEXT))])
    assert (lines.number, lines.is_whole) == (4, False)
    assert list(lines) == [b"\n", b"six\n"]
    assert lines.number == 6


def test_the_place_before_a_line_that_has_not_ended_is_known() -> None:
    lines = lines_of(TEXT)

    assert list(lines)[-1] == b"five"
    assert not lines.is_whole
    assert lines.mark_before() == mark_at(TEXT, 15)


def test_a_look_at_the_first_line_does_not_disturb() -> None:
    lines = lines_of(TEXT)
    lines.first()

    assert lines.resume([mark_at(TEXT, 4)])
    assert next(iter(lines)) == b"two\r\n"


def test_a_line_without_end_is_cut_and_passed() -> None:
    content = b"x" * (2 * LONGEST_LINE + 5) + b"\nnext\n"
    lines = lines_of(content)

    first, second = lines

    assert (len(first), second) == (LONGEST_LINE + 1, b"next\n")
    assert lines.mark() == mark_at(content, len(content))


def test_empty_lines_in_front_are_passed_like_others() -> None:
    # Taken from the front of a list one by one, they would take hours.
    lines = HashedLines(io.BytesIO(b"\n" * 1_000_000 + b"x"))
    assert lines.first() == b"x"
    assert sum(1 for _ in lines) == 1_000_001
