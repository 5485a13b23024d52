"""Where this device can be called, and where the others may be.

Our own addresses stand in our device row, which we keep true; the others' rows, mDNS and the
configuration name theirs. All of these are hints for the dialer: TLS proves who answers.
"""

from __future__ import annotations

import json
import secrets
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

import structlog
import trio

from leaderless import __version__
from leaderless.daemon import hardware
from leaderless.discovery.addresses import own_addresses
from leaderless.discovery.base import HintKind
from leaderless.discovery.network import open_network_watch
from leaderless.discovery.static import parse_address
from leaderless.errors import UsageError
from leaderless.store.disk import DiskError
from leaderless.store.restoring import ClonedError, RestoringError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Connection as Database

    from leaderless.clock import Clock
    from leaderless.config import Config
    from leaderless.daemon.pairing_desk import PairingDesk
    from leaderless.discovery.base import Hint
    from leaderless.discovery.mdns import Mdns
    from leaderless.store import Store
    from leaderless.sync.dialer import Dialer
    from leaderless.sync.driver import Driver

    _Opened = AbstractAsyncContextManager[tuple[Mdns, trio.MemoryReceiveChannel[Hint]]]

LOOK_S: Final = 5.0
"""Between two looks at the addresses in others' rows."""
MAX_NAMED: Final = 16
"""Addresses that are taken from one row: a member could name thousands."""


class Whereabouts:
    """Keeps the own device row true and the dialer supplied."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        store: Store,
        port: int,
        changed: Callable[[], trio.Event],
        tell: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._store = store
        self._port = port
        self._changed = changed
        self._tell = tell

    def addresses(self) -> list[str]:
        """Return where this device can be called, HOST:PORT."""
        config = self._config
        if config.advertise:
            return list(config.advertise)
        hosts = [config.listen_host] if config.listen_host else own_addresses()
        return [
            f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}" for host in hosts
        ]

    async def describe(self) -> None:
        """Keep the own device row true; it changes when the machine or its addresses do."""
        store = self._store
        facts = await trio.to_thread.run_sync(hardware.read_facts)
        facts.update(software_version=__version__, addresses=json.dumps(self.addresses()))

        def held(connection: Database) -> tuple[object, ...] | None:
            columns = ", ".join(hardware.COLUMNS)
            row = connection.exec_driver_sql(
                f"SELECT {columns} FROM device WHERE uuid = ?",  # noqa: S608 - our own names
                (store.own_device,),
            ).first()
            return None if row is None else tuple(row)

        before = await store.read(held)
        facts["name"] = self._config.name if before is None else before[1]
        row = (store.own_device, *(facts[column] for column in hardware.COLUMNS[1:]))
        if row != before:
            # Who may write nothing of its own now, or has a disk that fails, does it again later.
            with suppress(RestoringError, ClonedError, DiskError):
                await store.write(lambda tx: tx.put("device", hardware.COLUMNS, [row]))

    async def call_named(self, dialer: Dialer) -> None:
        """Call members at the addresses they name in their own rows, for ever."""
        store = self._store
        while True:
            changed = self._changed()
            rows = await store.read(
                lambda connection: connection.exec_driver_sql(
                    "SELECT uuid, addresses FROM device WHERE dead = 0 AND uuid <> ?",
                    (store.own_device,),
                ).all()
            )
            for device, text in rows:
                for host, port in named_addresses(text):
                    dialer.suggest(host, port, of=device)
            await changed.wait()
            await trio.sleep(LOOK_S)

    async def discover(self, dialer: Dialer, desk: PairingDesk, driver: Driver) -> None:
        """Announce, browse, and call everybody when the network changes, for ever."""
        async with AsyncExitStack() as stack:
            mdns: Mdns | None = None
            hints: trio.MemoryReceiveChannel[Hint] | None = None
            if self._config.mdns:
                try:
                    open_mdns = await trio.to_thread.run_sync(_mdns_opener)
                    opened = open_mdns(lambda: secrets.token_hex(8))
                    mdns, hints = await stack.enter_async_context(opened)
                except OSError as error:
                    self._tell("mdns_off", {"why": str(error)})
            desk.mdns = mdns
            changes = trio.Event()
            kinds: list[str] = []

            def on_change(kind: str) -> None:
                kinds.append(kind)
                changes.set()

            await stack.enter_async_context(open_network_watch(self._clock, on_change))
            nursery = await stack.enter_async_context(trio.open_nursery())
            if mdns is not None and hints is not None:
                nursery.start_soon(take_hints, hints, dialer, desk)
                await mdns.announce(HintKind.SYNC, self._port)
            while True:
                await changes.wait()
                changes = trio.Event()
                self._tell("network_changed", {"kinds": ", ".join(kinds)})
                kinds.clear()
                dialer.call_all()
                await self.describe()
                await driver.introduce()
                if mdns is not None:
                    await mdns.announce_again()


def _mdns_opener() -> Callable[[Callable[[], str]], _Opened]:
    """Return `open_mdns`, loaded beside the loop once there are answers: it brings zeroconf along."""
    from leaderless.discovery.mdns import open_mdns  # noqa: PLC0415

    return open_mdns


async def take_hints(
    hints: trio.MemoryReceiveChannel[Hint], dialer: Dialer, desk: PairingDesk
) -> None:
    """Hand each hint to whom it concerns: a code is shown there, or a member takes calls."""
    async for hint in hints:
        if hint.kind is HintKind.PAIR:
            desk.hints.add(hint.host, hint.port)
        else:
            dialer.suggest(hint.host, hint.port, now=True)


def named_addresses(text: str | None) -> list[tuple[str, int]]:
    """Return the addresses in another device's row; a row that holds no list names none."""
    try:
        named = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return parsed_addresses(named) if isinstance(named, list) else []


def parsed_addresses(named: Sequence[object]) -> list[tuple[str, int]]:
    """Return what others call their addresses; what is none is passed over."""
    found: list[tuple[str, int]] = []
    for item in named[:MAX_NAMED]:
        if isinstance(item, str):
            try:
                found.append(parse_address(item))
            except UsageError as error:
                structlog.get_logger().debug("bad_address", why=error.message)
    return found
