"""Discovery on the local network by mDNS (RFC 6762, 6763).

An announcement holds addresses and a port under a name that is drawn anew at every start: nothing in
it tells who this is, or that it is the same as yesterday. zeroconf runs threads of its own, which
must neither wait nor raise in our callbacks: one bad answer would silence all others. What is
whole becomes a hint at once; what lacks a part is asked for elsewhere, a few at a time. Both go
through bounded channels. A full channel drops hints: typed and known addresses remain.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager, suppress
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import trio
from zeroconf import Error as ZeroconfError
from zeroconf import InterfaceChoice, IPVersion, ServiceBrowser, ServiceInfo, Zeroconf

from leaderless.discovery.addresses import own_addresses
from leaderless.discovery.base import Hint, HintKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from zeroconf import ServiceListener

_T = TypeVar("_T")

SERVICES: Final = {
    HintKind.SYNC: "_leaderless._tcp.local.",
    HintKind.PAIR: "_leaderless-pair._tcp.local.",
}
_QUEUE: Final = 64
MAX_ADDRESSES: Final = 8
"""Of one announcement: a hostile one could name thousands."""
_RESOLVE_MS: Final = 3_000
_RESOLVERS: Final = 4
"""Each waits up to `_RESOLVE_MS` for the rest of an announcement, in a thread."""
_CLOSE_S: Final = 5.0


def hints_of(info: ServiceInfo, kind: HintKind) -> list[Hint]:
    """Return the hints in an announcement: none without a port, only addresses a machine can have."""
    if not info.port:
        return []
    addresses = [
        address
        for address in map(IPv4Address, info.addresses_by_version(IPVersion.V4Only))
        if not (address.is_multicast or address.is_unspecified or address.is_reserved)
    ]
    return [Hint(str(address), info.port, kind) for address in addresses[:MAX_ADDRESSES]]


class Mdns:
    """Announcements while it is open; made by `open_mdns`."""

    def __init__(
        self,
        zeroconf: Zeroconf,
        token: Callable[[], str],
        addresses: Callable[[], list[str]],
    ) -> None:
        self._zeroconf = zeroconf
        self._token = token
        self._addresses = addresses
        self._wanted: dict[HintKind, int] = {}
        self._announced: dict[HintKind, ServiceInfo] = {}
        self._one_at_a_time = trio.Lock()
        self._closed = False
        # Replaced, never changed: zeroconf's threads read it.
        self._own_names: frozenset[str] = frozenset()

    async def announce(self, kind: HintKind, port: int) -> None:
        """Say that something is offered at a port of this machine; takes a second or two."""
        self._wanted[kind] = port
        async with self._one_at_a_time:
            await self._withdraw(kind)
            await self._announce(kind)

    async def withdraw(self, kind: HintKind) -> None:
        """Take an announcement back."""
        self._wanted.pop(kind, None)
        async with self._one_at_a_time:
            await self._withdraw(kind)

    async def announce_again(self) -> None:
        """Announce everything anew, under new names: the network changed, or the machine woke."""
        async with self._one_at_a_time:
            for kind in list(self._announced):
                await self._withdraw(kind)
            await self._attempt(self._zeroconf.update_interfaces)
            for kind in list(self._wanted):
                await self._announce(kind)

    async def close(self) -> None:
        """Take everything back and end zeroconf; what is called later does nothing."""
        async with self._one_at_a_time:
            self._closed = True
            await trio.to_thread.run_sync(self._zeroconf.close, abandon_on_cancel=True)

    async def _attempt(self, work: Callable[[], object]) -> None:
        if not self._closed:
            # Announcing takes seconds: who stops does not wait for it, closing takes all back.
            await trio.to_thread.run_sync(_try, work, abandon_on_cancel=True)

    def own_names(self) -> frozenset[str]:
        """Return the names of our own announcements."""
        return self._own_names

    async def _announce(self, kind: HintKind) -> None:
        port = self._wanted.get(kind)
        if port is None:
            # It was withdrawn while this waited for its turn.
            return
        name = self._token()
        info = ServiceInfo(
            SERVICES[kind],
            f"{name}.{SERVICES[kind]}",
            port=port,
            addresses=[socket.inet_aton(address) for address in self._addresses()],
            server=f"{name}.local.",
        )
        self._announced[kind] = info
        self._own_names |= {info.name}
        # Without an announcement the typed and known addresses remain; the next change of the
        # network tries again.
        await self._attempt(partial(self._zeroconf.register_service, info))

    async def _withdraw(self, kind: HintKind) -> None:
        info = self._announced.pop(kind, None)
        if info is not None:
            await self._attempt(partial(self._zeroconf.unregister_service, info))
            self._own_names -= {info.name}


def _try(work: Callable[[], object]) -> None:
    """Do what a network that is half there may refuse."""
    try:
        work()
    except (ZeroconfError, KeyError, OSError):
        return


class Unresolved(NamedTuple):
    """An announcement of which a part has not come."""

    kind: HintKind
    name: str


class _Listener:
    """Sorts what zeroconf sees; its methods run in zeroconf's threads."""

    def __init__(
        self,
        mdns: Mdns,
        kind: HintKind,
        hints: trio.MemorySendChannel[Hint],
        unresolved: trio.MemorySendChannel[Unresolved],
        loop: trio.lowlevel.TrioToken,
    ) -> None:
        self._mdns = mdns
        self._kind = kind
        self._hints = hints
        self._unresolved = unresolved
        self._loop = loop

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Look at a new announcement."""
        if name in self._mdns.own_names():
            return
        try:
            info = ServiceInfo(type_, name)
        except ZeroconfError:
            # A name of another form than ours: none of us.
            return
        if info.load_from_cache(zc):
            self._soon(self._hints, hints_of(info, self._kind))
        else:
            self._soon(self._unresolved, [Unresolved(self._kind, name)])

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Look at an announcement that changed."""
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Ignore a withdrawal: a hint expires by failing."""

    def _soon(self, channel: trio.MemorySendChannel[_T], items: Sequence[_T]) -> None:
        with suppress(trio.RunFinishedError):
            self._loop.run_sync_soon(_put, channel, items)


def _put(channel: trio.MemorySendChannel[_T], items: Sequence[_T]) -> None:
    """Put in what there is room for."""
    with suppress(trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
        for item in items:
            channel.send_nowait(item)


async def _resolve(
    zeroconf: Zeroconf,
    unresolved: trio.MemoryReceiveChannel[Unresolved],
    hints: trio.MemorySendChannel[Hint],
) -> None:
    """Ask for the rest of announcements, one after the other."""
    async for kind, name in unresolved:
        info = ServiceInfo(SERVICES[kind], name)
        ask = partial(info.request, zeroconf, _RESOLVE_MS)
        await trio.to_thread.run_sync(_try, ask, abandon_on_cancel=True)
        _put(hints, hints_of(info, kind))


@asynccontextmanager
async def open_mdns(
    token: Callable[[], str],
    *,
    interfaces: Sequence[str] | None = None,
    addresses: Callable[[], list[str]] = own_addresses,
) -> AsyncIterator[tuple[Mdns, trio.MemoryReceiveChannel[Hint]]]:
    """Browse and be able to announce; `token` draws random names. Raises OSError without network.

    `interfaces` are the addresses of those to use, all by default; `addresses` are announced.
    """
    where = InterfaceChoice.All if interfaces is None else list(interfaces)
    zeroconf = await trio.to_thread.run_sync(partial(Zeroconf, where, ip_version=IPVersion.V4Only))
    mdns = Mdns(zeroconf, token, addresses)
    send, receive = trio.open_memory_channel[Hint](_QUEUE)
    send_unresolved, unresolved = trio.open_memory_channel[Unresolved](_QUEUE)
    loop = trio.lowlevel.current_trio_token()
    browsers: list[ServiceBrowser] = []

    def browse() -> None:
        for kind, service in SERVICES.items():
            sorter = _Listener(mdns, kind, send, send_unresolved, loop)
            listener: ServiceListener = sorter  # type: ignore[assignment]
            browsers.append(ServiceBrowser(zeroconf, service, listener=listener))

    def stop_browsing() -> None:
        for browser in browsers:
            browser.cancel()

    try:
        await trio.to_thread.run_sync(browse)
        async with trio.open_nursery() as nursery:
            for _ in range(_RESOLVERS):
                nursery.start_soon(_resolve, zeroconf, unresolved, send)
            try:
                yield mdns, receive
            finally:
                nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
            await trio.to_thread.run_sync(stop_browsing, abandon_on_cancel=True)
            await mdns.close()
