"""The wire format of Protocol Buffers, walked without building anything: what is in it is counted beforehand.

A message of two bytes takes up to 180 once it is built, so that what is short may still be too much. Each
field is a tag, which is its number and how it is encoded (0 a varint, 1 eight bytes, 2 a length and as many
bytes, 5 four bytes; https://protobuf.dev/programming-guides/encoding/), and its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any

#: Deeper messages are refused by the package that builds them.
_DEEPEST = 100
_MOST_BITS = 63
_LENGTH = 2
_SIZES = {1: 8, 5: 4}
#: A byte of a number that is not its last one is at least this.
_CONTINUED = 0x80


class Kind:
    """A type of message: its name, and the types of its fields that are messages, by the tag before each."""

    def __init__(self, descriptor: Any) -> None:
        self.name: str = descriptor.name
        self._descriptor = descriptor

    @cached_property
    def fields(self) -> dict[int, Kind]:
        """Found when it is asked for: a type may hold messages of its own type."""
        fields = ((field.number, field.message_type) for field in self._descriptor.fields)
        return {number << 3 | _LENGTH: kind(found) for number, found in fields if found is not None}


@cache
def kind(descriptor: Any) -> Kind:
    """Return the type of message that a descriptor of the package describes."""
    return Kind(descriptor)


def messages(content: bytes, outermost: Kind) -> Iterator[str]:
    """Yield the type of each message inside an encoded one, in the order in which they would be built.

    What cannot be read ends the walk, as it would end the building.
    """
    position, end, fields = 0, len(content), outermost.fields
    around: list[tuple[int, dict[int, Kind]]] = []
    try:
        while position < end or around:
            if position >= end:
                end, fields = around.pop()
                continue
            # Nearly all numbers are one byte long, and a call for each would take longer than all else.
            tag, position = content[position], position + 1
            if tag >= _CONTINUED:
                tag, position = _varint(content, position - 1)
            if tag & 7 != _LENGTH:
                position = _behind(content, position, tag & 7)
                continue
            length, position = content[position], position + 1
            if length >= _CONTINUED:
                length, position = _varint(content, position - 1)
            found = fields.get(tag)
            if found is None:
                position += length
                continue
            if position + length > end or len(around) >= _DEEPEST:
                return
            yield found.name
            if length:
                around.append((end, fields))
                end, fields = position + length, found.fields
    except IndexError:
        return


def _behind(content: bytes, position: int, encoding: int) -> int:
    """Return where a value that begins somewhere ends; of a group, where its first field begins."""
    return position + _SIZES.get(encoding, 0) if encoding else _varint(content, position)[1]


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return the number that begins somewhere, and where it ends. Raises IndexError where it does not end."""
    byte = content[position]
    if byte < _CONTINUED:
        return byte, position + 1
    number, shift = 0, 0
    while byte >= _CONTINUED:
        number |= (byte & 0x7F) << shift
        shift += 7
        position += 1
        if shift > _MOST_BITS:
            raise IndexError("no varint has more than ten bytes")
        byte = content[position]
    return number | byte << shift, position + 1
