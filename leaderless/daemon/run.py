"""`serve`: one process, one nursery, the rooms in their order.

Opened in this order and closed in the reverse: store, sync, listener, indexer, discovery, status
socket. READY is told when the database, the listener and the socket are up, not when peers are; the
watchdog is told alive only after a round trip through the writer.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import signal
import sys
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio

from entities import MODELS
from leaderless import __version__
from leaderless.clock import SYSTEM_CLOCK
from leaderless.daemon.catalogue_routes import CatalogueDesk
from leaderless.daemon.overview import Overview
from leaderless.daemon.pairing_desk import PairingDesk
from leaderless.daemon.presence import Presence
from leaderless.daemon.routes import Desk
from leaderless.daemon.whereabouts import Whereabouts
from leaderless.discovery.static import parse_address
from leaderless.errors import LeaderlessError, NotFoundError
from leaderless.identity import certificate_key, device_id, fingerprint, load_or_create
from leaderless.ids import RecordIds
from leaderless.indexer.service import Settings, open_indexer
from leaderless.logs import configure
from leaderless.notify import Notifier
from leaderless.status.events import Events
from leaderless.status.server import serve_status
from leaderless.store import open_store
from leaderless.sync.backoff import Backoff
from leaderless.sync.dialer import Dialer
from leaderless.sync.driver import open_sync
from leaderless.transport.tls import Trust
from leaderless.transport.websocket import dial, open_listener
from registry.models import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leaderless.clock import Clock
    from leaderless.config import Config, Paths
    from leaderless.store import Store
    from leaderless.transport.base import Connection

_QUIET = frozenset(["dial_failed"])


class DaemonRunningError(LeaderlessError):
    """Another daemon has this home."""

    code = "already_running"


def serve(config: Config, clock: Clock = SYSTEM_CLOCK) -> None:
    """Run the daemon until it is told to stop. Blocks."""
    configure(sys.stderr, os.environ, config.log_level)
    if not config.paths.database.exists():
        raise NotFoundError(
            f"there is no device at {config.paths.state} yet", hint="leaderless init"
        )
    with _alone(config.paths):
        trio.run(Daemon(config, clock, Notifier(os.environ)).run)


@contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    """Hold the home against a second daemon; the kernel lets go when we die."""
    with (paths.state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DaemonRunningError(f"a daemon is running already in {paths.state}") from error
        yield


async def _dial(trust: Trust, nursery: trio.Nursery, host: str, port: int) -> Connection:
    return await dial(nursery, trust, host, port)


class Daemon:
    """The rooms of one device, joined."""

    def __init__(self, config: Config, clock: Clock, notifier: Notifier) -> None:
        self._config = config
        self._clock = clock
        self._notifier = notifier
        self._log = structlog.get_logger()
        self._events = Events(secrets.token_hex(4))
        self._changed = trio.Event()
        self._proved_at: dict[bytes, int] = {}
        self._port = config.listen_port
        self._presence = Presence()

    async def run(self) -> None:
        """Open every room and stay until a signal comes."""
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            await nursery.start(self._stop_on_signal, nursery.cancel_scope)
            try:
                await self._open(stack, nursery)
                self._notifier.tell("READY=1", f"STATUS=Taking calls at port {self._port}")
                self._tell("started", {"version": __version__, "port": self._port})
                await trio.sleep_forever()
            finally:
                self._notifier.tell("STOPPING=1")

    async def _stop_on_signal(
        self,
        scope: trio.CancelScope,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                scope.cancel()

    async def _open(self, stack: AsyncExitStack, nursery: trio.Nursery) -> None:
        config, paths = self._config, self._config.paths
        identity = await trio.to_thread.run_sync(load_or_create, paths.keys)
        registry, ids = Registry(MODELS), RecordIds(self._clock)
        store = await stack.enter_async_context(
            open_store(paths.database, registry, self._clock, ids, identity.sign)
        )
        members = await store.membership(certificate_key)
        sync = open_sync(store, members, __version__, self._tell)
        driver = await stack.enter_async_context(sync)
        store.listen(self._bump)

        def pins() -> dict[bytes, bytes]:
            return {
                fingerprint(member.public_key): member.certificate
                for member in driver.applier.members.members.values()
            }

        trust = Trust(identity, pins)
        listener = await stack.enter_async_context(
            open_listener(trust, config.listen_host, config.listen_port, driver.run_link)
        )
        self._port = listener.port
        whereabouts = Whereabouts(
            config, self._clock, store, self._port, lambda: self._changed, self._tell
        )
        await whereabouts.describe()
        dialer = Dialer(
            partial(_dial, trust),
            driver.run_link,
            driver.connected,
            device_id,
            Backoff(config.reconnect_min_s, config.reconnect_max_s),
            random.SystemRandom().random,
            self._tell,
        )
        for address in config.peers:
            dialer.suggest(*parse_address(address))
        settings = Settings(
            config.ignore,
            config.watch,
            config.full_scan_interval_s,
            config.mass_delete_count,
            config.mass_delete_ratio,
        )
        indexer = await stack.enter_async_context(open_indexer(store, settings, self._tell))

        def suggest(host: str, port: int) -> None:
            dialer.suggest(host, port, now=True)

        desk = PairingDesk(
            nursery,
            store,
            identity,
            config,
            driver.applier,
            lambda: tuple(whereabouts.addresses()),
            suggest,
            self._tell,
        )
        overview = Overview(store, driver, indexer, lambda: driver.applier.members, self._proved_at)
        catalogue = CatalogueDesk(store, driver, indexer)
        api = Desk(config, catalogue, overview, desk, self._events, lambda: self._changed)
        await stack.enter_async_context(serve_status(paths.socket, api.routes()))
        nursery.start_soon(dialer.run)
        nursery.start_soon(whereabouts.call_named, dialer)
        nursery.start_soon(whereabouts.discover, dialer, desk, driver)
        nursery.start_soon(self._presence.keep, store)
        nursery.start_soon(self._watchdog, store)

    # --- what happens -----------------------------------------------------------------------------

    def _tell(self, kind: str, data: Mapping[str, object]) -> None:
        """Hear of an event from any room: to the log, the stream, and whoever waits."""
        now_ms = self._clock.wall_ns() // 1_000_000
        device = data.get("device")
        if isinstance(device, bytes):
            if kind == "proved":
                self._proved_at[device] = now_ms
            self._presence.heard(kind, device)
        if kind not in _QUIET:
            self._events.add(kind, now_ms, data)
        log = self._log.debug if kind in _QUIET else self._log.info
        log(kind, **data)
        self._bump()

    def _bump(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _watchdog(self, store: Store) -> None:
        interval = self._notifier.watchdog_s
        while interval is not None:
            await store.write(lambda tx: tx.own_device)
            self._notifier.tell("WATCHDOG=1")
            await trio.sleep(interval / 3)
