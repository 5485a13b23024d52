"""`serve`: one process, one nursery, the rooms in their order.

Opened in this order and closed in the reverse: store, sync, listener, indexer, discovery, status
socket. READY is told when the database, the listener and the socket are up, not when peers are; the
watchdog is told alive only by what the writer does (watchdog.py).
"""

from __future__ import annotations

import gc
import os
import random
import secrets
import signal
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import trio

from entities import MODELS
from leaderless import __version__
from leaderless.advice import advice, is_findable
from leaderless.clock import SYSTEM_CLOCK, wall_ms
from leaderless.daemon.album_routes import AlbumDesk
from leaderless.daemon.alone import alone
from leaderless.daemon.catalogue_routes import CatalogueDesk
from leaderless.daemon.disk_watch import watch_disk
from leaderless.daemon.forgetting import Forgetting, terms_of
from leaderless.daemon.history_routes import HistoryDesk
from leaderless.daemon.member_routes import MemberDesk
from leaderless.daemon.members import certificates
from leaderless.daemon.mending import mend_before_start
from leaderless.daemon.metadata_routes import MetadataDesk
from leaderless.daemon.overview import Overview
from leaderless.daemon.pairing_desk import PairingDesk
from leaderless.daemon.presence import Presence, open_presence
from leaderless.daemon.proof_routes import ProofDesk
from leaderless.daemon.record_routes import RecordDesk
from leaderless.daemon.routes import Desk
from leaderless.daemon.snapshots import open_snapshots
from leaderless.daemon.tagging_routes import TaggingDesk
from leaderless.daemon.watchdog import ask_for_time, keep_alive
from leaderless.daemon.whereabouts import Whereabouts, parsed_addresses
from leaderless.discovery.static import parse_address
from leaderless.errors import LeaderlessError, NotFoundError, said_on_purpose
from leaderless.identity import certificate_key, device_id, load_or_create
from leaderless.ids import RecordIds
from leaderless.indexer.passes import Settings
from leaderless.indexer.service import open_indexer
from leaderless.logs import configure
from leaderless.notify import Notifier
from leaderless.plugins import load_models
from leaderless.status.events import Events
from leaderless.status.server import serve_status
from leaderless.store import open_store, repair
from leaderless.store.adoption import TABLES
from leaderless.store.disk import DamagedError
from leaderless.store.pulse import Pulse
from leaderless.sync.backoff import Backoff
from leaderless.sync.dialer import Dialer
from leaderless.sync.driver import open_sync
from leaderless.transport.tls import Trust
from leaderless.transport.websocket import dial, open_listener
from registry.models import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.clock import Clock
    from leaderless.config import Config
    from leaderless.indexer.service import Indexer
    from leaderless.sync.driver import Driver
    from leaderless.transport.base import Connection

SWITCH_S: Final = 0.0005
GARBAGE: Final = (10_000, 20, 20)
"""After so many new objects circles are looked for among them, after so many looks among older ones."""
_QUIET = frozenset(["dial_failed"])


class ListenError(LeaderlessError):
    """Calls cannot be taken where the configuration says."""

    code = "cannot_listen"


def serve(config: Config, clock: Clock = SYSTEM_CLOCK) -> None:
    """Run the daemon until it is told to stop; raises a LeaderlessError if it cannot. Blocks."""
    configure(sys.stderr, os.environ, config.log_level)
    if not repair.is_there(config.paths.database):
        raise NotFoundError(
            f"there is no device at {config.paths.state} yet", hint="leaderless init"
        )
    # A question is answered by many short turns (each query gives the interpreter's lock back);
    # while a batch is applied, the default of 5 ms would be waited for at each of them.
    sys.setswitchinterval(SWITCH_S)
    # Modules and models stay as long as the process: the collector need not go through them whenever
    # thousands of new rows made it look for garbage.
    gc.freeze()
    # Rows and changes refer to nothing that refers to them: to look for circles after each few hundred
    # of them costs a sixth of what a command over many files takes.
    gc.set_threshold(*GARBAGE)
    with alone(config.paths):
        _mend(config, clock)
        try:
            _run(config, clock)
        except LeaderlessError as error:
            if isinstance(error, DamagedError):
                repair.suspect(config.paths.database)
            if not repair.is_suspect(config.paths.database):
                raise
            # Once: what is damaged again at once is not damaged by chance.
            _mend(config, clock)
            _run(config, clock)


def _mend(config: Config, clock: Clock) -> None:
    nonce = secrets.token_bytes(8)
    mend_before_start(config.paths.database, clock, nonce, Notifier(os.environ))


def _run(config: Config, clock: Clock) -> None:
    try:
        trio.run(Daemon(config, clock, Notifier(os.environ)).run)
    except BaseExceptionGroup as group:
        said = said_on_purpose(group)
        if said is None:
            raise
        raise said from group


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
        self._port = config.listen_port
        self._presence = Presence(partial(wall_ms, clock))
        self._lives = trio.Event()
        self._on_doubt: Callable[[bytes | None], None] = lambda _: None
        self._pulse = Pulse()

    async def run(self) -> None:
        """Open every room and stay until a signal comes."""
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            await nursery.start(self._stop_on_signal, nursery.cancel_scope)
            try:
                ready = trio.Event()
                nursery.start_soon(ask_for_time, self._pulse, self._notifier, ready)
                await self._open(stack)
                ready.set()
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

    async def _open(self, stack: AsyncExitStack) -> None:
        config, paths = self._config, self._config.paths
        for said in advice(config):
            self._log.warning("config_advice", text=said.text, hint=said.hint)
        identity = await trio.to_thread.run_sync(load_or_create, paths.keys)
        brought = await trio.to_thread.run_sync(load_models, MODELS, TABLES)
        registry, ids = Registry(brought.models), RecordIds(self._clock)
        store = await stack.enter_async_context(
            open_store(paths.database, registry, self._clock, ids, identity.sign, self._pulse)
        )
        await stack.enter_async_context(open_snapshots(store, self._clock, self._tell))
        await stack.enter_async_context(open_presence(self._presence, store))
        # Tasks that use the store have ended before it is closed.
        nursery = await stack.enter_async_context(trio.open_nursery())
        left_out = brought.without(store.failed)
        for item in left_out:
            self._tell("package_left_out", item._asdict())
        members = await store.membership(certificate_key)
        sync = open_sync(store, members, __version__, self._tell)
        driver = await stack.enter_async_context(sync)
        store.listen(self._bump)

        trust = Trust(identity, lambda: certificates(driver.applier.members))
        self._port = await self._listen(stack, trust, driver)
        whereabouts = Whereabouts(
            config, self._clock, store, self._port, lambda: self._changed, self._tell
        )
        await whereabouts.describe()
        dialer = Dialer(
            partial(_dial, trust),
            partial(self._use_answered, driver),
            driver.connected,
            device_id,
            Backoff(config.reconnect_min_s, config.reconnect_max_s),
            random.SystemRandom().random,
            self._tell,
            driver.may_call,
            lambda device: any(device_id(key) == device for key in driver.applier.members.former),
        )
        for address in config.peers:
            dialer.suggest(*parse_address(address), keep=True)
        for device, address in self._presence.addresses():
            for host, port in parsed_addresses([address]):
                dialer.suggest(host, port, of=device)
        settings = Settings(
            config.ignore,
            config.watch,
            config.full_scan_interval_s,
            config.mass_delete_count,
            config.mass_delete_ratio,
        )
        indexer = await stack.enter_async_context(open_indexer(store, settings, self._tell))

        def suggest(host: str, port: int) -> None:
            dialer.suggest(host, port, now=True, keep=True)

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

        def others() -> set[bytes]:
            return {device_id(key) for key in driver.applier.members.members} - {store.own_device}

        terms = terms_of(config)
        overview = Overview(
            store,
            driver,
            indexer,
            lambda: driver.applier.members,
            self._presence,
            left_out,
            findable=is_findable(config),
            lease_ms=terms.lease_ms,
        )
        proofs = ProofDesk(store, driver, overview, partial(secrets.token_bytes, 8), self._tell)
        self._on_doubt = proofs.doubt

        forgetting = Forgetting(store, terms, others, driver.connected, self._tell)
        desks = (
            CatalogueDesk(
                store, driver, indexer, self._presence, others, terms.lease_ms, overview.waits
            ),
            HistoryDesk(store),
            TaggingDesk(store),
            AlbumDesk(store, driver),
            MetadataDesk(store, driver),
            RecordDesk(store, brought.packages),
            MemberDesk(store, identity, driver, self._tell),
            proofs,
        )
        api = Desk(config, desks, overview, desk, self._events, lambda: self._changed)
        await stack.enter_async_context(serve_status(paths.socket, api.routes()))

        async def disk_recovered() -> None:
            await whereabouts.describe()
            driver.reconnect()

        chance = random.SystemRandom().random
        nursery.start_soon(watch_disk, store, chance, self._tell, disk_recovered)
        nursery.start_soon(proofs.keep)
        nursery.start_soon(forgetting.keep)
        nursery.start_soon(self._live_on, whereabouts, indexer)
        nursery.start_soon(dialer.run)
        nursery.start_soon(whereabouts.call_named, dialer)
        nursery.start_soon(whereabouts.discover, dialer, desk, driver)
        nursery.start_soon(keep_alive, store, self._notifier)

    async def _listen(self, stack: AsyncExitStack, trust: Trust, driver: Driver) -> int:
        """Take calls; return the port."""
        host, port = self._config.listen_host, self._config.listen_port
        opened = open_listener(trust, host, port, driver.run_link)
        try:
            return (await stack.enter_async_context(opened)).port
        except (OSError, UnicodeError) as error:
            where = f"{host} port {port}" if host else f"port {port}"
            options = "listen_port or listen_host" if host else "listen_port"
            raise ListenError(
                f"no calls can be taken at {where}: {getattr(error, 'strerror', error)}",
                hint=f"set another {options} in {self._config.paths.config_file}",
            ) from error

    async def _use_answered(self, driver: Driver, connection: Connection) -> bool:
        """Use a connection that we dialled, and remember where it was answered."""
        self._presence.reached(device_id(connection.peer_key), connection.address)
        return await driver.run_link(connection)

    # --- what happens -----------------------------------------------------------------------------

    def _tell(self, kind: str, data: Mapping[str, object]) -> None:
        """Hear of an event from any room: to the log, the stream, and whoever waits."""
        now_ms = wall_ms(self._clock)
        device = data.get("device")
        if isinstance(device, bytes):
            self._presence.heard(kind, device)
        if kind in ("differs", "state_differs"):
            peer = data.get("from", device)
            self._on_doubt(peer if isinstance(peer, bytes) else None)
        if kind == "restored":
            self._lives.set()
        if kind not in _QUIET:
            self._events.add(kind, now_ms, data)
        log = self._log.debug if kind in _QUIET else self._log.info
        log(kind, **data)
        self._bump()

    def _bump(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _live_on(self, whereabouts: Whereabouts, indexer: Indexer) -> None:
        """Whenever this device has got its rows back: say who it is, and look what has changed."""
        while True:
            await self._lives.wait()
            self._lives = trio.Event()
            await whereabouts.describe()
            await indexer.request_all()
