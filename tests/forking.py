"""A child process that is forked from a test, and does what the test tells it to."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tests.store_rows import within


class Child:
    """A forked process that does one thing after another, each when it is told to."""

    def __init__(self, *deeds: Callable[[], Any]) -> None:
        orders, self._orders = os.pipe()
        self._done, done = os.pipe()
        self._number = os.fork()
        if self._number == 0:
            try:
                # With no end of its own to give orders, it notices when its parent has gone.
                os.close(self._orders)
                os.close(self._done)
                for deed in deeds:
                    if not os.read(orders, 1):
                        break
                    os.write(done, _fate(deed))
                else:
                    os.read(orders, 1)
            finally:
                os._exit(0)
        os.close(orders)
        os.close(done)

    def do(self) -> bool:
        """Have it do the next thing; return whether that went well."""
        os.write(self._orders, b".")
        return os.read(self._done, 1) == b"y"

    def end(self) -> None:
        """Let the process end."""
        os.write(self._orders, b".")
        os.close(self._orders)
        os.close(self._done)
        assert os.waitpid(self._number, 0)[1] == 0


def _fate(deed: Callable[[], Any]) -> bytes:
    try:
        within(10, deed)
    except BaseException:  # noqa: BLE001 - the parent is told, whatever it is
        return b"n"
    return b"y"
