"""The last words on a connection: why it ends, and what was said of the device at its other end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from leaderless.protocol import codec
from leaderless.protocol.messages import Bye, Statements
from leaderless.store.statements import statements
from leaderless.transport.base import ConnectionLostError

if TYPE_CHECKING:
    from leaderless.protocol.messages import Message
    from leaderless.store.store import Store
    from leaderless.transport.base import Connection

_BYE_S: Final = 1.0


async def say_bye(connection: Connection, code: str, text: str) -> None:
    """Tell the other side why its connection ends, if it takes that at once."""
    await _say(connection, Bye(code, text))


async def see_off(connection: Connection, store: Store) -> None:
    """Tell the other side by which statements it is no member, or we are none, and why we end."""
    await _say(connection, Statements(await store.read(statements)))
    await say_bye(connection, "revoked", "one of these two devices is no member any more")


async def _say(connection: Connection, message: Message) -> None:
    with trio.move_on_after(_BYE_S) as scope, suppress(ConnectionLostError):
        scope.shield = True
        await connection.send(codec.encode(message))
