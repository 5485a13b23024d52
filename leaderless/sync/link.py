"""One connection in use: what goes out on it, without a decision what that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from leaderless.protocol import codec
from leaderless.protocol.membership import readable
from leaderless.protocol.messages import Compare, Statements
from leaderless.store import state_source
from leaderless.store.statements import statements
from leaderless.transport.base import ConnectionLostError

if TYPE_CHECKING:
    from leaderless.protocol.commands import Reconcile
    from leaderless.store.store import Store
    from leaderless.sync.comparing import Comparer
    from leaderless.sync.outbox import Outbox
    from leaderless.sync.source import Source
    from leaderless.transport.base import Connection

_LAST_S: Final = 1.0


@dataclass
class Link:
    """A connection and what belongs to it as long as it lives."""

    number: int
    connection: Connection
    device: bytes
    nursery: trio.Nursery
    store: Store
    outbox: Outbox
    source: Source
    comparer: Comparer
    refused: bool = False
    """Whether one side ends it because of what the other is, or does."""

    async def send(self) -> None:
        """Send what is put into the outbox, until the connection is lost.

        What came before its end is read for a moment more: it may say why it ends.
        """
        try:
            while True:
                await self.connection.send(await self.outbox.first())
                self.outbox.drop_first()
        except ConnectionLostError:
            with trio.move_on_after(_LAST_S):
                while True:
                    self.outbox.drop_first()
                    await self.outbox.first()
            self.nursery.cancel_scope.cancel()

    async def tell_statements(self, version: tuple[int, int]) -> None:
        """Send who is a member, as far as a peer of this version of the protocol can read it."""
        kept = readable(await self.store.read(statements), version)
        self.outbox.put(codec.encode(Statements(kept)))

    async def introduce(self) -> None:
        """Send the row of this device."""
        own, registry = self.store.own_device, self.store.registry
        batch = await self.store.read(
            lambda database: state_source.introduction(database, registry, own)
        )
        if batch is not None:
            self.outbox.put(codec.encode(batch))

    async def reconcile(self, command: Reconcile) -> None:
        """Answer a question of a comparison, or take in an answer."""
        if isinstance(command.message, Compare):
            await self.comparer.answer(command.message)
        else:
            self.comparer.heard(command.message, command.size)
