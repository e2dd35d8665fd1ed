"""Commands that stay: they end when they are told to, wherever the signal meets them."""

from __future__ import annotations

import signal

import pytest

from logservice.cli.repeating import until_told_to_stop
from logservice.errors import Unavailable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_a_driver_turns_into_an_error_of_its_own_is_heeded(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before, rounds = signal.getsignal(number), []
    with until_told_to_stop() as heed:
        while len(rounds) < 3:
            rounds.append("another")
            try:
                _query(number)
            except Unavailable:
                heed()
    assert rounds == ["another"]
    assert capsys.readouterr().err == "Stopped.\n"
    assert signal.getsignal(number) is before


def _query(number: signal.Signals) -> None:
    """Do what psycopg does when it is interrupted: its clearing up fails, and that is what is raised."""
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        raise Unavailable("another command is already in progress") from None
