"""Where this machine can be reached on its networks, as its adapters say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ifaddr

if TYPE_CHECKING:
    from collections.abc import Iterable


def own_addresses(adapters: Iterable[ifaddr.Adapter] | None = None) -> list[str]:
    """Return this machine's IPv4 addresses; the loopback one only if there is no other."""
    found = [
        str(address.ip)
        for adapter in (ifaddr.get_adapters() if adapters is None else adapters)
        for address in adapter.ips
        if address.is_IPv4
    ]
    outside = [address for address in found if not address.startswith("127.")]
    return outside or found or ["127.0.0.1"]
