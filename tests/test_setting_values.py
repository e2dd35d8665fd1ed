"""Values of settings as people write them."""

from __future__ import annotations

import pytest

from logservice import setting_values


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
    assert setting_values.size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0GB", "0.5", "-1", "1.GB", ".5GB", "1,5GB", "10X", "10iB", "1PB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as"):
        setting_values.size(text)


@pytest.mark.parametrize(("text", "cap"), [("", None), (" 0 ", None), ("1MB", 10**6), ("10GB", 10**10)])
def test_nothing_and_0_are_no_cap(text: str, cap: int | None) -> None:
    assert setting_values.cap(text) == cap


@pytest.mark.parametrize("text", ["10", "999999", "999KB"])
def test_a_cap_whose_unit_is_missing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is less than 1MB; is a unit missing"):
        setting_values.cap(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://app.example.org", ("https://app.example.org",)),
        (" http://Localhost:5173 ,https://[::1]:8443", ("http://localhost:5173", "https://[::1]:8443")),
        ("https://a.example:443,http://a.example:80", ("https://a.example", "http://a.example")),
        ("http://a.example:443", ("http://a.example:443",)),
        ("chrome-extension://abcdef", ("chrome-extension://abcdef",)),
    ],
)
def test_origins_are_read_as_browsers_send_them(text: str, read: tuple[str, ...]) -> None:
    assert setting_values.origins(text) == read


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("app.example.org", "https://app.example.org"),
        ("app.example.org:8443", "https://app.example.org:8443"),
        ("https://app.example.com/", "https://app.example.com"),
        ("http://app.example.com/page?x#y", "http://app.example.com"),
        ("https://good.example, bad.example", "https://bad.example"),
        ("null", "https://app.example.org"),
        ("https://*.example.org", "https://app.example.org"),
        ("https://a.example:99999", "https://a.example:99999"),
        ("https://", "https://app.example.org"),
    ],
)
def test_what_is_no_origin_is_refused_with_one_that_is(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match="is no origin such as") as refused:
        setting_values.origins(text)
    assert str(refused.value).endswith(f"such as {meant}")


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1:8000", ":9000", "[::]:80", "tcp://10.0.0.1:1", "log.example:65535", "unix:/run/x.sock"],
)
def test_an_address_has_a_port_or_is_a_socket(text: str) -> None:
    assert setting_values.address(f" {text} ") == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("8123", "127.0.0.1:8123"),
        ("localhost", "localhost:8000"),
        ("log.example.org", "log.example.org:8000"),
        ("http://localhost:8000", "127.0.0.1:8000"),
        ("127.0.0.1:port", "127.0.0.1:8000"),
        ("127.0.0.1:0", "127.0.0.1:8000"),
        ("127.0.0.1:70000", "127.0.0.1:8000"),
        ("70000", "127.0.0.1:8000"),
        ("127.0.0.1:8000,[::1]:8000", "127.0.0.1:8000"),
        ("::1:80", "127.0.0.1:8000"),
        ("unix:", "127.0.0.1:8000"),
        ("", "127.0.0.1:8000"),
    ],
)
def test_what_gunicorn_would_read_otherwise_is_no_address(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match="is neither HOST:PORT nor unix:PATH, such as") as refused:
        setting_values.address(text)
    assert str(refused.value).endswith(f"such as {meant}")
