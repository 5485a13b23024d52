"""The addresses of this machine's adapters, and of some that are made up."""

from __future__ import annotations

import socket

import ifaddr

from leaderless.discovery.addresses import own_addresses


def _adapter(name: str, *addresses: str | tuple[str, int, int]) -> ifaddr.Adapter:
    return ifaddr.Adapter(name, name, [ifaddr.IP(address, 24, name) for address in addresses])


def test_a_machine_announces_its_outside_addresses() -> None:
    """Neither loopback nor IPv6 is among them."""
    adapters = [
        _adapter("lo", "127.0.0.1"),
        _adapter("eth0", "192.0.2.1", ("fe80::1", 0, 2)),
        _adapter("wlan0", "198.51.100.1"),
    ]
    assert own_addresses(adapters) == ["192.0.2.1", "198.51.100.1"]


def test_a_machine_without_network_announces_loopback() -> None:
    """Several devices on one machine find each other without a network."""
    assert own_addresses([_adapter("lo", "127.0.0.1")]) == ["127.0.0.1"]
    assert own_addresses([]) == ["127.0.0.1"]


def test_this_machine_has_an_address() -> None:
    """Without an argument the machine's own adapters are asked."""
    for address in own_addresses():
        socket.inet_aton(address)
    assert own_addresses()
