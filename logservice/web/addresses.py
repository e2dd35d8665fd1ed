"""Who is calling, when proxies stand in between: X-Forwarded-For, as far as it can be trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_WITH_PORT = re.compile(r"(?P<four>[0-9.]+):[0-9]{1,5}|\[(?P<six>[^\[\]]+:[^\[\]]+)\](?::[0-9]{1,5})?")
_MAPPED = IPv6Network("::ffff:0:0/96")


def read_address(text: str) -> Address | None:
    """Return the address `text` spells, or None. IPv4-mapped IPv6 becomes IPv4, and a zone id is dropped."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return found.ipv4_mapped or IPv6Address(int(found))
    return found


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The peers whose X-Forwarded-For is believed. Without any, the header counts for nothing."""

    networks: tuple[Network, ...] = ()
    unix: bool = False

    @classmethod
    def parse(cls, text: str) -> TrustedProxies:
        """Read a comma-separated list of addresses, networks and `unix` (callers on a unix socket).

        Raises ValueError naming the first entry that is none of these.
        """
        entries = [entry for part in text.split(",") if (entry := part.strip())]
        names = [entry for entry in entries if entry.lower() != "unix"]
        return cls(networks=tuple(_read_network(name) for name in names), unix=len(names) < len(entries))

    def client_address(self, remote_addr: str | None, forwarded_for: Sequence[str]) -> str:
        """Return the address of the client behind `remote_addr`, the peer; "" for one without an address.

        `forwarded_for` holds the values of all X-Forwarded-For headers in the order they came. Each proxy
        adds its own peer at the right, so they are read from there, up to the first address that is not
        trusted: whatever stands left of it, that client may have invented.
        """
        peer = remote_addr or ""
        address = read_address(peer)
        client = peer if address is None else str(address)
        if not (self._trusts(address) if address is not None else self.unix and not peer):
            return client
        for hop in reversed(",".join(forwarded_for).split(",")):
            address = _read_hop(hop.strip())
            if address is None:
                # What cannot be read may hide an untrusted hop; the last good one is all that is known.
                return client
            client = str(address)
            if not self._trusts(address):
                return client
        return client

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def _read_network(entry: str) -> Network:
    try:
        network = ip_network(entry)
    except ValueError as error:
        raise ValueError(f"trusted proxies: {entry!r} is no address, network or 'unix' ({error})") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # Addresses are compared unwrapped, so a mapped network has to be unwrapped too or would never match.
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _read_hop(text: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    return read_address((with_port["four"] or with_port["six"]) if with_port else text)
