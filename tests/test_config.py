"""Settings as people write them."""

from __future__ import annotations

import pytest

from logservice import config
from logservice.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 2**20),
        ("7B", 7),
        ("512KB", 512_000),
        ("32MiB", 32 * 2**20),
        ("10GB", 10**10),
        ("10G", 10**10),
        ("1.5GB", 1_500_000_000),
        ("0.3 kb", 300),
        ("1TB", 10**12),
        ("2Ti", 2**41),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert config.size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0GB", "0.5", "-1", "1.GB", ".5GB", "1,5GB", "10X", "10iB", "1PB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as"):
        config.size(text)


@pytest.mark.parametrize(("text", "cap"), [("", None), (" 0 ", None), ("1MB", 10**6), ("10GB", 10**10)])
def test_nothing_and_0_are_no_cap(text: str, cap: int | None) -> None:
    assert config.cap(text) == cap


@pytest.mark.parametrize("text", ["10", "999999", "999KB"])
def test_a_cap_whose_unit_is_missing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is less than 1MB; is a unit missing"):
        config.cap(text)


def test_settings_do_not_show_what_is_secret() -> None:
    settings = config.Settings(database_url="postgresql://log:a-password@db/log", metrics_token="a-token")
    assert "a-password" not in repr(settings)
    assert "a-token" not in repr(settings)


NAME = "LOGSERVICE_METRICS_TOKEN"


@pytest.mark.parametrize(
    ("given", "read"),
    [(" a-token-of-sixteen\n", "a-token-of-sixteen"), ("x" * 16, "x" * 16), ("", ""), (" ", "")],
)
def test_a_token_is_read_without_what_surrounds_it(given: str, read: str) -> None:
    assert config.Settings.load({}, {NAME: given}).metrics_token == read


@pytest.mark.parametrize(
    "given", ["x", "x" * 15, " " + "x" * 15, "令牌" * 16, "é" * 16, "two words of some length"]
)
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        config.Settings.load({NAME: given}, {})
    assert str(refused.value) == (
        f"{NAME}: what is given is not a token of at least 16 characters of ASCII, without blanks"
    )
