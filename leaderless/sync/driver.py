"""Runs the exchange: feeds it what happens, does what it asks, decides nothing.

One task per link applies what was read, one reads a message ahead of it and no further, so a fast peer
is slowed by its own connection; one sends; reads from the database run beside them.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import structlog
import trio

from leaderless.errors import LeaderlessError, UnreachableError
from leaderless.identity import device_id
from leaderless.protocol.commands import (
    Apply,
    Doubt,
    GoOn,
    Key,
    Note,
    TakeRecords,
    key_of,
)
from leaderless.protocol.errors import ProtocolError
from leaderless.protocol.exchange import Exchange
from leaderless.protocol.limits import BATCH_ROWS
from leaderless.protocol.messages import (
    PROTOCOL_VERSION,
    Bye,
    Hello,
    LogBatch,
    Positions,
    PullState,
    StateBatch,
    Statements,
)
from leaderless.protocol.returning import CLONED
from leaderless.store.disk import DiskError
from leaderless.store.holdings import read_holdings
from leaderless.sync.apply import Applier
from leaderless.sync.blame import Blame
from leaderless.sync.comparing import Comparer
from leaderless.sync.confirmations import Confirmations
from leaderless.sync.doubting import doubt
from leaderless.sync.farewell import Doorkeeper, say_bye
from leaderless.sync.inbox import Inbox
from leaderless.sync.link import Link
from leaderless.sync.outbox import Outbox
from leaderless.sync.returning import GoingOn
from leaderless.sync.source import Source
from leaderless.sync.taking import Taking
from leaderless.sync.wrote import Wrote, look
from leaderless.transport.base import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from sqlalchemy import Connection as Database

    from leaderless.protocol.commands import Command, Read
    from leaderless.protocol.membership import Membership
    from leaderless.store.store import Store
    from leaderless.sync.comparing import Comparison
    from leaderless.sync.outcome import Notes, Outcome
    from leaderless.transport.base import Connection

_new_nonce = partial(secrets.token_bytes, 8)


class Driver:
    """The exchange with its links; made by `open_sync`."""

    def __init__(
        self,
        store: Store,
        applier: Applier,
        software: str,
        tell: Callable[[str, Mapping[str, object]], None],
        batch_rows: int = BATCH_ROWS,
        nonce: Callable[[], bytes] = _new_nonce,
    ) -> None:
        self.store = store
        self.applier = applier
        self._software = software
        self._tell = tell
        self._batch_rows = batch_rows
        self.confirmations = Confirmations(store)
        self._door = Doorkeeper(store, applier, tell)
        self._seeing_off = trio.Lock()
        self._numbers = count(1)
        self._links: dict[int, Link] = {}
        self._fresh: Mapping[tuple[Key, int], Read] = {}
        self._told = 0
        self._rearm = trio.Event()
        self.going_on = GoingOn(store, tell, nonce)
        self.nursery: trio.Nursery | None = None
        """Where it runs, as long as it does."""
        self._blame = Blame(lambda: self.exchange, tell)
        self.taking = Taking(applier, store.own_device, self._took, tell)
        self.exchange = self._new_exchange()

    def _new_exchange(self) -> Exchange:
        versions = self.store.registry.versions()
        own, library = self.store.own_device, self.store.library
        return Exchange(own, library, versions, self._software, self.applier.others)

    def connected(self) -> dict[bytes, str]:
        """Return the devices that are connected and the address of each."""
        return {peer.device: peer.address for peer in self.exchange.peers.values() if peer.hello}

    def look(self, database: Database) -> Wrote:
        """Read what a write has led to."""
        return look(self.store, database, self.exchange.ours if self._links else None)

    def wrote(self, wrote: Wrote) -> None:
        """A write is durable: tell the exchange what is held now."""
        self._told += 1
        self._fresh = wrote.fresh
        lives_on = self.exchange.lives_on(wrote.holdings)
        if self.store.library != self.exchange.library:
            self._change_library()
        elif not lives_on:
            # Peers are told, and asked, from the beginning of a session on.
            self.reconnect()
        self._do(self.exchange.ours_changed(wrote.holdings, trio.current_time()))

    async def look_again(self) -> None:
        """Tell the exchange what is held, of which it heard no write."""
        told = self._told
        holdings = await self.store.read(read_holdings)
        if told == self._told:  # else that is newer
            self.wrote(Wrote(holdings, {}))

    def _change_library(self) -> None:
        """Start over in another library: nothing of the old sessions holds any more."""
        for link in list(self._links.values()):
            link.nursery.cancel_scope.cancel()
        self._links.clear()
        self.exchange = self._new_exchange()

    async def keep_time(self) -> None:
        """Tell the exchange when something waited for its time."""
        while True:
            now = trio.current_time()
            with trio.move_on_at(max(self.exchange.next_tick(now), now)):
                await self._rearm.wait()
                self._rearm = trio.Event()
                continue
            self._do(self.exchange.tick(trio.current_time()))

    async def introduce(self) -> None:
        """Send the own device row to everyone."""
        self._do(self.exchange.own_device_changed())
        await trio.lowlevel.checkpoint()

    async def run_link(self, connection: Connection) -> bool:
        """Use a connection until it ends; never raises for what the peer does.

        Return False if one of the two refused the other: it is not to be called again at once.
        """
        number = next(self._numbers)
        device = device_id(connection.peer_key)
        async with trio.open_nursery() as nursery:
            outbox = Outbox()
            source = Source(self.store, outbox, self._fresh_one, self._batch_rows)
            comparer = Comparer(self.store, outbox.put)
            link = Link(
                *(number, connection, device, nursery, self.store),
                *(outbox, source, comparer, self._tell, self._failed),
            )
            self._links[number] = link
            try:
                if not self._door.is_welcome(device):
                    link.why = None
                    await self._turn_away(link)
                    return False
                nursery.start_soon(link.send)
                link.start(partial(link.serve, self._loaded))
                self._do(
                    self.exchange.link_up(
                        number,
                        device,
                        connection.address,
                        trio.current_time(),
                        self.store.now_ms(),
                        dialed=connection.dialed,
                    )
                )
                await self._receive(link)
            except ConnectionLostError:
                pass
            except Exception as error:  # noqa: BLE001 - what one peer sends must not end the daemon
                link.why = await self._failed(link, error)
            finally:
                comparer.close()
                self._links.pop(number, None)
                if link.why is not None:
                    self._tell("peer_disconnected", {"device": device, "why": link.why})
                self._do(self.exchange.link_down(number, trio.current_time()))
                nursery.cancel_scope.cancel()
        return not link.refused

    async def members_changed(self) -> None:
        """End the links of those that are no members any more."""
        async with self._seeing_off:
            for link in list(self._links.values()):
                if not self._door.is_welcome(link.device):
                    await self._door.see_off(link, self._version_of(link))

    def _heard_of_members(self) -> None:
        """End links beside all of them: the one that told who is no member may be among them."""
        if self.nursery is not None:
            self.nursery.start_soon(self.members_changed)

    async def _turn_away(self, link: Link) -> None:
        """Tell a device that calls, or was called, why it is not talked with."""
        outcome = await self._door.turn_away(link)
        if outcome is not None:
            self._tell_all(outcome.notes)
            self._heard_of_members()

    def _tell_all(self, notes: Notes) -> None:
        for kind, data in notes:
            self._tell(kind, data)

    async def _receive(self, link: Link) -> None:
        inbox = Inbox(link.connection, link.outbox.may_ask_more, self.store.calm.wait)
        link.nursery.start_soon(inbox.run)
        while True:
            message, size = await inbox.take()
            if isinstance(message, Bye):
                link.heard_bye(message)
            if isinstance(message, PullState):
                link.source.start_over(message.owner)
            now, wall_ms = trio.current_time(), self.store.now_ms()
            commands = self.exchange.received(link.number, message, size, now, wall_ms)
            self._do([command for command in commands if not isinstance(command, Apply)])
            peer = self.exchange.peers.get(link.number)
            if peer is not None and peer.known and isinstance(message, Hello | Positions):
                ours = peer.owned.get(self.store.own_device)
                self.confirmations.heard(link.device, peer.feeds, ours)
            for command in commands:
                if isinstance(command, Apply):
                    await self._apply(link, command)

    async def _apply(self, link: Link, command: Apply) -> None:
        try:
            outcome = await self.applier.apply(command.message, link.device)
        except DiskError as error:
            # Not acknowledged, so no more is sent than fits on the way; what is asked of us goes on
            # being answered. It is asked for anew by `reconnect`, once the disk is well.
            self.exchange.fetching.promises.excuse(link.number)
            self._tell("not_kept", {"device": link.device, "code": error.code})
            return
        except ProtocolError as error:
            if isinstance(command.message, StateBatch | LogBatch):
                key, now = key_of(command.message), trio.current_time()
                self._blame.distrust(link.device, key, str(error), now)
            raise
        self._took(outcome)
        self._do(self.exchange.applied(command, trio.current_time(), used=outcome.used))
        if isinstance(command.message, Statements):
            self._heard_of_members()

    def _took(self, outcome: Outcome) -> None:
        """Tell what came of something, and whose fault it is if it was wrong."""
        self._tell_all(outcome.notes)
        self._blame.by(outcome, trio.current_time())

    async def _failed(self, link: Link, error: Exception) -> str:
        """Name an error that ends a link, to us and to the peer; return it in words."""
        link.refused = True
        if isinstance(error, LeaderlessError):
            code, why = error.code, error.message
            self.exchange.broke_a_rule(link.device, trio.current_time())
        else:
            code, why = "bug", f"{type(error).__name__}: {error}"
            structlog.get_logger().error("link_failed", exc_info=error)
        self._tell("peer_error", {"device": link.device, "code": code, "why": why})
        await say_bye(link.connection, code, why)
        return why

    # --- commands ---------------------------------------------------------------------------------

    def _do(self, commands: Sequence[Command]) -> None:
        self._rearm.set()
        for command in commands:
            if isinstance(command, GoOn):
                self.going_on.ask()
                continue
            if isinstance(command, TakeRecords):
                self.taking.ask()
                continue
            if isinstance(command, Doubt):
                if self.nursery is not None:
                    self.nursery.start_soon(doubt, self.store, self._tell)
                continue
            if isinstance(command, Note):
                self._tell(command.kind, command.data)
                continue
            link = self._links.get(command.link)
            if link is not None:
                link.do(command, self._version_of(link))

    def _fresh_one(self, key: Key, after: int) -> Read | None:
        return self._fresh.get((key, after))

    def _loaded(self, link: Link, key: Key, read: Read | None) -> None:
        self._do(self.exchange.loaded(link.number, key, read))

    def _version_of(self, link: Link) -> tuple[int, int]:
        peer = self.exchange.peers.get(link.number)
        return PROTOCOL_VERSION if peer is None or peer.hello is None else peer.hello.version

    async def compare(self, device: bytes) -> Comparison:
        """Find what a connected device holds otherwise than this one.

        Raises UnreachableError if it is not connected, and what `Comparer.compare` does.
        """
        for link in self._links.values():
            peer = self.exchange.peers.get(link.number)
            if link.device == device and peer is not None and peer.hello is not None:
                return await link.comparer.compare()
        raise UnreachableError(
            "that device is not connected", hint="leaderless status says which are"
        )

    def may_call(self) -> bool:
        """Return whether this device is to call others: it is a member, and no clone of one."""
        is_member = self.applier.is_member(self.store.own_device)
        return is_member and self.exchange.ours.life != CLONED

    def reconnect(self) -> None:
        """End every link: what is held here changed other than by what peers sent."""
        for link in self._links.values():
            link.why = "it begins anew: what is held here has changed"
            link.nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_sync(
    store: Store,
    members: Membership,
    software: str,
    tell: Callable[[str, Mapping[str, object]], None],
    nonce: Callable[[], bytes] = _new_nonce,
    batch_rows: int = BATCH_ROWS,
) -> AsyncIterator[Driver]:
    """Run the exchange of this device; links are handed to `run_link`.

    `nonce` names an incarnation that this device begins when it was restored. A batch of state that
    is sent has at most `batch_rows` rows, and what these need ahead of them.
    """
    driver = Driver(store, Applier(store, members), software, tell, batch_rows, nonce)
    store.follow(driver.look, driver.wrote)
    await driver.look_again()
    async with trio.open_nursery() as nursery:
        driver.nursery = nursery
        nursery.start_soon(driver.keep_time)
        nursery.start_soon(driver.going_on.keep)
        nursery.start_soon(driver.taking.keep)
        nursery.start_soon(driver.confirmations.keep)
        try:
            yield driver
        finally:
            nursery.cancel_scope.cancel()
