"""One connection in use: what is done on it, without a decision what that is.

What runs beside its reading ends with it; an error there ends this link alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from leaderless.protocol import codec
from leaderless.protocol.commands import (
    Close,
    Introduce,
    Load,
    Reconcile,
    Send,
    SendFrame,
    SendStatements,
)
from leaderless.protocol.greeting import CROSSED
from leaderless.protocol.membership import readable
from leaderless.protocol.messages import Bye, Compare, Statements
from leaderless.store import state_source
from leaderless.store.statements import statements
from leaderless.sync.farewell import say_bye
from leaderless.transport.base import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from leaderless.protocol.commands import Command, Key, Read
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
    tell: Callable[[str, Mapping[str, object]], None]
    failed: Callable[[Link, Exception], Awaitable[str]]
    """Names an error that ends the link, to us and to the peer."""
    refused: bool = False
    """Whether one side ends it because of what the other is, or does."""
    why: str | None = "the connection was lost"
    """Why it ends, for people; None if that is told otherwise, or nothing is lost by it."""

    def heard_bye(self, bye: Bye) -> None:
        """The other side has said why it ends the link."""
        self.end_for(bye.code, f"it has ended the connection: {bye.text}")

    def end_for(self, code: str, why: str) -> None:
        """Note why one side ends the link: nobody is gone where two had called each other at once."""
        self.refused = code != CROSSED
        self.why = None if code == CROSSED else why

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
        """Send who is a member, as far as a peer of this version of the protocol can read it.

        Ahead of what it asks for: who was admitted anew and put back to before that is to hear of it
        before it hears of the life that it does not remember.
        """
        with self.source.behind():
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

    # --- what is asked of it ----------------------------------------------------------------------

    def do(self, command: Command, version: tuple[int, int]) -> None:
        """Do what is asked of a link whose peer speaks this version; never waits."""
        match command:
            case Send(_, message):
                self.outbox.put(codec.encode(message))
            case SendFrame(_, frame):
                self.outbox.put(frame)
            case Load():
                self.source.ask(command)
            case SendStatements():
                self.start(partial(self.tell_statements, version))
            case Introduce():
                self.start(self.introduce)
            case Reconcile():
                self.start(partial(self.reconcile, command))
            case Close():
                self.start(partial(self._close, command))

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something beside the reading."""
        self.nursery.start_soon(self._beside, work)

    async def _beside(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - what one peer sends must not end the daemon
            await self.failed(self, error)
            self.nursery.cancel_scope.cancel()

    async def serve(self, loaded: Callable[[Link, Key, Read | None], None]) -> None:
        """Read what the peer has asked for, until the link ends; `loaded` gets it."""
        await self.source.run(partial(loaded, self))

    async def _close(self, command: Close) -> None:
        self.end_for(command.code, f"this device has ended the connection: {command.text}")
        self.tell("link_closed", {"device": self.device, "code": command.code})
        await say_bye(self.connection, command.code, command.text)
        self.nursery.cancel_scope.cancel()
