"""Discovery on the local network by mDNS (RFC 6762, 6763).

An announcement holds addresses and a port under a name that is drawn anew at every start: nothing in
it tells who this is, or that it is the same as yesterday. zeroconf runs a thread of its own; hints
come from it through a bounded channel. A full channel drops hints, which are repeated anyway.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import ifaddr
import trio
from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, NonUniqueNameException, ServiceBrowser, ServiceInfo, Zeroconf

from leaderless.discovery.base import Hint, HintKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from zeroconf import ServiceListener

SERVICES: Final = {
    HintKind.SYNC: "_leaderless._tcp.local.",
    HintKind.PAIR: "_leaderless-pair._tcp.local.",
}
_QUEUE: Final = 64
_MAX_ADDRESSES: Final = 8
"""Of one announcement: a hostile one could name thousands."""
_RESOLVE_MS: Final = 3_000


def own_addresses() -> list[str]:
    """Return this machine's IPv4 addresses; the loopback one only if there is no other."""
    found = [
        str(address.ip)
        for adapter in ifaddr.get_adapters()
        for address in adapter.ips
        if address.is_IPv4
    ]
    outside = [address for address in found if not address.startswith("127.")]
    return outside or found or ["127.0.0.1"]


class Mdns:
    """Announcements and hints while it is open; made by `open_mdns`."""

    def __init__(self, zeroconf: Zeroconf, token: Callable[[], str]) -> None:
        self._zeroconf = zeroconf
        self._token = token
        self._announced: dict[HintKind, ServiceInfo] = {}

    async def announce(self, kind: HintKind, port: int) -> None:
        """Say that something is offered at a port of this machine; takes a second or two."""
        await self.withdraw(kind)
        name = self._token()
        info = ServiceInfo(
            SERVICES[kind],
            f"{name}.{SERVICES[kind]}",
            port=port,
            addresses=[socket.inet_aton(address) for address in own_addresses()],
            server=f"{name}.local.",
        )
        self._announced[kind] = info
        await trio.to_thread.run_sync(self._register, info)

    def _register(self, info: ServiceInfo) -> None:
        try:
            self._zeroconf.register_service(info)
        except (NonUniqueNameException, ZeroconfError, OSError):
            # Without an announcement the typed and known addresses remain.
            self._announced = {k: v for k, v in self._announced.items() if v is not info}

    async def withdraw(self, kind: HintKind) -> None:
        """Take an announcement back."""
        info = self._announced.pop(kind, None)
        if info is not None:
            await trio.to_thread.run_sync(self._unregister, info)

    def _unregister(self, info: ServiceInfo) -> None:
        try:
            self._zeroconf.unregister_service(info)
        except (ZeroconfError, KeyError, OSError):
            return

    async def announce_again(self) -> None:
        """Announce everything anew: the network changed, or the machine woke."""
        for kind, info in list(self._announced.items()):
            if info.port is not None:
                await self.announce(kind, info.port)

    def own_names(self) -> set[str]:
        """Return the names of our own announcements."""
        return {info.name for info in self._announced.values()}


class _Listener:
    """Turns what zeroconf sees into hints; its methods run in zeroconf's thread."""

    def __init__(
        self,
        mdns: Mdns,
        kind: HintKind,
        send: trio.MemorySendChannel[Hint],
        loop: trio.lowlevel.TrioToken,
    ) -> None:
        self._mdns = mdns
        self._kind = kind
        self._send = send
        self._loop = loop

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Resolve a new announcement."""
        if name in self._mdns.own_names():
            return
        info = zc.get_service_info(type_, name, timeout=_RESOLVE_MS)
        if info is None or not info.port:
            return
        for address in info.parsed_addresses(IPVersion.V4Only)[:_MAX_ADDRESSES]:
            hint = Hint(address, info.port, self._kind)
            try:
                self._loop.run_sync_soon(self._offer, hint)
            except trio.RunFinishedError:
                return

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Resolve an announcement that changed."""
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Ignore a withdrawal: a hint expires by failing."""

    def _offer(self, hint: Hint) -> None:
        try:
            self._send.send_nowait(hint)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return


@asynccontextmanager
async def open_mdns(
    token: Callable[[], str],
) -> AsyncIterator[tuple[Mdns, trio.MemoryReceiveChannel[Hint]]]:
    """Browse and be able to announce; `token` draws random names. Raises OSError without network."""
    send, receive = trio.open_memory_channel[Hint](_QUEUE)
    zeroconf = await trio.to_thread.run_sync(lambda: Zeroconf(ip_version=IPVersion.V4Only))
    mdns = Mdns(zeroconf, token)
    loop = trio.lowlevel.current_trio_token()

    def browse() -> None:
        for kind, service in SERVICES.items():
            listener: ServiceListener = _Listener(mdns, kind, send, loop)  # type: ignore[assignment]
            ServiceBrowser(zeroconf, service, listener=listener)

    await trio.to_thread.run_sync(browse)
    try:
        yield mdns, receive
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await trio.to_thread.run_sync(zeroconf.close, abandon_on_cancel=True)
