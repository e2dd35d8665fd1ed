"""Whose address counts when proxies stand in between."""

from __future__ import annotations

import pytest

from logservice.web.addresses import TrustedProxies

PROXIES = TrustedProxies.parse("127.0.0.1, 10.0.0.0/8, ::1, 2001:db8:1::/48")


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "example.org", "*", "10.0.0.0/33", "300.1.1.1", "5"])
def test_an_entry_that_is_no_proxy_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="trusted proxies") as raised:
        TrustedProxies.parse(f"127.0.0.1, {entry}, unix")
    assert repr(entry) in str(raised.value)


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_empty_text_trusts_nobody(text: str) -> None:
    assert TrustedProxies.parse(text) == TrustedProxies()
    assert TrustedProxies.parse(text).client_address("127.0.0.1", ["203.0.113.7"]) == "127.0.0.1"
    assert TrustedProxies.parse(text).client_address("", ["203.0.113.7"]) == ""


@pytest.mark.parametrize("peer", ["203.0.113.1", "2001:db8:2::1", "localhost", "", None])
def test_a_stranger_cannot_name_another_address(peer: str | None) -> None:
    assert PROXIES.client_address(peer, ["198.51.100.9"]) == (peer or "")


def test_a_trusted_peer_without_the_header_is_the_client() -> None:
    assert PROXIES.client_address("127.0.0.1", []) == "127.0.0.1"


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1, 203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        (["1.1.1.1", "203.0.113.7,10.1.2.3", " 10.9.9.9 "], "203.0.113.7"),
        (["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        (["2001:db8:2::5, 2001:db8:1::1"], "2001:db8:2::5"),
    ],
)
def test_the_first_untrusted_hop_from_the_right_is_the_client(headers: list[str], client: str) -> None:
    assert PROXIES.client_address("127.0.0.1", headers) == client


@pytest.mark.parametrize(
    ("hop", "client"),
    [
        ("1.2.3.4:567", "1.2.3.4"),
        ("[2001:DB8::0:5]:80", "2001:db8::5"),
        ("[2001:db8::5]", "2001:db8::5"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:102:304]:9", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25<b>]:1", "fe80::1"),
    ],
)
def test_ports_zones_and_mappings_are_stripped(hop: str, client: str) -> None:
    assert PROXIES.client_address("127.0.0.1", [hop]) == client


@pytest.mark.parametrize(
    "garbage",
    ["", "unknown", "_hidden", "1.2.3", "01.2.3.4", "1.2.3.4:", "1.2.3.4:http", "[1.2.3.4]:5", "[::1",
     "::1]:8", "[]:80", "1.2.3.4 5.6.7.8", "٣.1.1.1", "x" * 5000, "\x00", "\udc80", "unix:"],
)  # fmt: skip
def test_garbage_ends_the_walk_at_the_last_good_hop(garbage: str) -> None:
    assert PROXIES.client_address("127.0.0.1", [garbage]) == "127.0.0.1"
    assert PROXIES.client_address("127.0.0.1", [f"203.0.113.7, {garbage}, 10.0.0.2"]) == "10.0.0.2"
    assert PROXIES.client_address("127.0.0.1", [f"{garbage}, 203.0.113.7"]) == "203.0.113.7"


def test_unix_trusts_peers_without_an_address_only() -> None:
    proxies = TrustedProxies.parse("UNIX")
    assert proxies.client_address("", ["203.0.113.7"]) == "203.0.113.7"
    assert proxies.client_address(None, ["203.0.113.7"]) == "203.0.113.7"
    assert proxies.client_address(None, ["unknown"]) == ""
    assert proxies.client_address("127.0.0.1", ["203.0.113.7"]) == "127.0.0.1"
    assert proxies.client_address("unix:", ["203.0.113.7"]) == "unix:"


def test_a_peer_is_trusted_in_whichever_way_its_address_is_spelled() -> None:
    assert PROXIES.client_address("::ffff:127.0.0.1", ["203.0.113.7"]) == "203.0.113.7"
    assert PROXIES.client_address("::1%lo", ["203.0.113.7"]) == "203.0.113.7"
    mapped = TrustedProxies.parse("::ffff:10.0.0.0/104, ::ffff:127.0.0.1")
    assert mapped.client_address("10.1.1.1", ["203.0.113.7"]) == "203.0.113.7"
    assert mapped.client_address("127.0.0.1", ["203.0.113.7"]) == "203.0.113.7"
    assert mapped.client_address("11.1.1.1", ["203.0.113.7"]) == "11.1.1.1"


@pytest.mark.parametrize(("peer", "client"), [("::ffff:9.9.9.9", "9.9.9.9"), ("FE80::1%eth0", "fe80::1")])
def test_the_address_of_an_untrusted_peer_is_normalised_too(peer: str, client: str) -> None:
    assert PROXIES.client_address(peer, ["203.0.113.7"]) == client
