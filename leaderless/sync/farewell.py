"""The last words on a connection: why it ends, and what was said of the device at its other end.

Who proves to be a former member is told the statements that made it one, and nothing else; so is a
member by a device that is none any more, which may know of it first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from leaderless.protocol import codec
from leaderless.protocol.messages import PROTOCOL_VERSION, Bye, Hello, Statements
from leaderless.store.statements import statements
from leaderless.transport.base import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.protocol.messages import Message
    from leaderless.store.store import Store
    from leaderless.sync.apply import Applier
    from leaderless.sync.link import Link
    from leaderless.sync.outcome import Outcome
    from leaderless.transport.base import Connection

AGAIN_S: Final = 5.0
"""A device is told so often at most: all statements are read for it."""
_NO_MEMBER: Final = "one of these two devices is no member any more"
_BYE_S: Final = 1.0
_FIRST_S: Final = 1.0
"""For the first word of the other side, which says what it can read."""
_HEAR_S: Final = 2.0
_HEARD: Final = 4
"""Messages that are read in wait for statements."""


async def say_bye(connection: Connection, code: str, text: str) -> None:
    """Tell the other side why its connection ends, if it takes that at once."""
    await _say(connection, Bye(code, text))


class Doorkeeper:
    """Turns away whoever is no member, and all if this device is none itself."""

    def __init__(
        self, store: Store, applier: Applier, tell: Callable[[str, Mapping[str, object]], None]
    ) -> None:
        self._store = store
        self._applier = applier
        self._tell = tell
        self._told: dict[bytes, float] = {}

    def is_welcome(self, device: bytes) -> bool:
        """Return whether a device and this one are both members."""
        return self._applier.is_member(device) and self._is_member()

    def _is_member(self) -> bool:
        return self._applier.is_member(self._store.own_device)

    async def see_off(self, link: Link, version: tuple[int, int] = PROTOCOL_VERSION) -> None:
        """End a link whose other side is told by which statements, if it can read these."""
        if not link.refused:
            link.why = _NO_MEMBER
            await self._tell_why(link, version)
        link.nursery.cancel_scope.cancel()

    async def _tell_why(self, link: Link, version: tuple[int, int]) -> None:
        link.refused = True
        if version >= (1, 1):
            await _say(link.connection, Statements(await self._store.read(statements)))
        await say_bye(link.connection, "revoked", _NO_MEMBER)

    async def turn_away(self, link: Link) -> Outcome | None:
        """See off who has not said hello, and hear whether it knows more; return what came of that.

        Raises ConnectionLostError, and what follows from a message that breaks a rule.
        """
        link.refused = True
        now = trio.current_time()
        if now < self._told.get(link.device, now - AGAIN_S) + AGAIN_S:
            return None
        self._told[link.device] = now
        if not link.connection.dialed and self._is_member():
            about = {"device": link.device, "address": link.connection.address}
            self._tell("refused", {**about, "why": "its membership was revoked"})
        first: Message | None = None
        with trio.move_on_after(_FIRST_S):
            first = codec.decode(await link.connection.receive())
        version = first.version if isinstance(first, Hello) else PROTOCOL_VERSION
        await self._tell_why(link, version)
        said = first if isinstance(first, Statements) else await _heard(link.connection)
        return None if said is None else await self._applier.hear(said, link.device)


async def _heard(connection: Connection) -> Statements | None:
    """Return the statements that the other side tells, if it does before it goes."""
    with trio.move_on_after(_HEAR_S), suppress(ConnectionLostError):
        for _ in range(_HEARD):
            message = codec.decode(await connection.receive())
            if isinstance(message, Statements):
                return message
    return None


async def _say(connection: Connection, message: Message) -> None:
    with trio.move_on_after(_BYE_S) as scope, suppress(ConnectionLostError):
        scope.shield = True
        await connection.send(codec.encode(message))
