"""Frames from one peer: the next message is read and decoded while the one before takes effect.

What many rows add to a set hash is reckoned then, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from leaderless.protocol import codec
from leaderless.protocol.hashing import reckon
from leaderless.protocol.messages import StateBatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from leaderless.protocol.messages import Message
    from leaderless.transport.base import Connection

_LARGE_BYTES: Final = 16 << 10
"""Takes a millisecond or more to decode."""

_LONG_S: Final = 0.25
"""A write that works for longer is one of many thousand rows: whoever has something to say is heard."""


class Inbox:
    """What a peer sends, one message ahead of its use and no further: a fast peer has to wait."""

    def __init__(
        self,
        connection: Connection,
        may_read: Callable[[], Awaitable[None]],
        may_decode: Callable[[], Awaitable[None]],
    ) -> None:
        """Read each time once `may_read` returns, and decode what is large once `may_decode` does."""
        self._connection = connection
        self._may_read = may_read
        self._may_decode = may_decode
        self._put: trio.MemorySendChannel[tuple[Message, int] | Exception]
        self._taken: trio.MemoryReceiveChannel[tuple[Message, int] | Exception]
        self._put, self._taken = trio.open_memory_channel(0)

    async def run(self) -> None:
        """Read until something ends it, which `take` raises in its turn."""
        while True:
            try:
                await self._may_read()
                frame = await self._connection.receive()
                if len(frame) >= _LARGE_BYTES:
                    with trio.move_on_after(_LONG_S):
                        await self._may_decode()
                read = codec.decode_sized(frame)
                if len(frame) >= _LARGE_BYTES and isinstance(read[0], StateBatch):
                    for change in read[0].changes:
                        reckon(change)
                del frame  # what is decoded is enough to hold while the message before takes effect
            except Exception as error:  # noqa: BLE001 - it is told behind what came before
                await self._put.send(error)
                return
            await self._put.send(read)

    async def take(self) -> tuple[Message, int]:
        """Return the next message and the bytes of its payload; raises what ended the reading."""
        found = await self._taken.receive()
        try:
            if isinstance(found, Exception):
                raise found
            return found
        finally:
            del found  # else an error keeps the frame that it is about until garbage is looked for
