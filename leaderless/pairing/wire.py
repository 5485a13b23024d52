"""Messages of the exchange on a TLS stream: four bytes of length, then as many bytes."""

from __future__ import annotations

import ssl
from typing import Final

import trio

from leaderless.errors import TimedOutError
from leaderless.pairing.exchange import PairingBrokenError

MAX_MESSAGE_BYTES: Final = 256 << 10
"""Of one message; a welcome carries the statements of all members, some 700 bytes each."""
STEP_S: Final = 10.0
"""A silent other side blocks the one place for a pairing no longer than this."""


class Wire:
    """Whole messages over a stream, each within `STEP_S`."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream

    async def send(self, message: bytes) -> None:
        """Send one message."""
        try:
            with trio.fail_after(STEP_S):
                await self._stream.send_all(len(message).to_bytes(4, "big") + message)
        except trio.TooSlowError as error:
            raise TimedOutError("the other side does not read") from error
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
            raise PairingBrokenError("the other side ended the exchange") from error

    async def receive(self) -> bytes:
        """Return the next message; its length is checked before a byte of it is read."""
        try:
            with trio.fail_after(STEP_S):
                size = int.from_bytes(await self._exactly(4), "big")
                if size > MAX_MESSAGE_BYTES:
                    raise PairingBrokenError("a message of the exchange is too large")
                return await self._exactly(size)
        except trio.TooSlowError as error:
            raise TimedOutError("the other side says nothing") from error
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
            raise PairingBrokenError("the other side ended the exchange") from error

    async def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = await self._stream.receive_some(size - len(data))
            if not more:
                raise PairingBrokenError("the other side ended the exchange")
            data += more
        return bytes(data)
