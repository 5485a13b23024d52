"""A connection within one process: for tests and for the simulator, where time and faults are ours.

Keeps the same promises as the real road: messages whole and in order, a bounded queue, an end that
both sides notice.
"""

from __future__ import annotations

import trio

from leaderless.transport.base import ConnectionLostError

_QUEUE = 16


class MemoryLink:
    """One end of a pair made by `memory_pair`."""

    def __init__(
        self,
        peer_key: bytes,
        address: str,
        channels: tuple[trio.MemorySendChannel[bytes], trio.MemoryReceiveChannel[bytes]],
        *,
        dialed: bool,
    ) -> None:
        self.peer_key = peer_key
        self.address = address
        self.dialed = dialed
        self._out, self._in = channels

    async def send(self, data: bytes) -> None:
        """Send one message."""
        try:
            await self._out.send(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLostError(f"{self.address} is gone") from error

    async def receive(self) -> bytes:
        """Return the next message."""
        try:
            return await self._in.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError) as error:
            raise ConnectionLostError(f"{self.address} is gone") from error

    async def aclose(self) -> None:
        """End the connection."""
        self._out.close()
        self._in.close()
        await trio.lowlevel.checkpoint()


def memory_pair(dialer_key: bytes, listener_key: bytes) -> tuple[MemoryLink, MemoryLink]:
    """Return (the dialer's end, the listener's end) of a new connection."""
    to_listener, from_dialer = trio.open_memory_channel[bytes](_QUEUE)
    to_dialer, from_listener = trio.open_memory_channel[bytes](_QUEUE)
    return (
        MemoryLink(listener_key, "memory:0", (to_listener, from_listener), dialed=True),
        MemoryLink(dialer_key, "memory:0", (to_dialer, from_dialer), dialed=False),
    )
