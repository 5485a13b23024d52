"""What waits to be sent on one link: in order, and no more of it than a link may hold.

A peer can ask and never read: each of its pings, pulls and batches makes an answer that stays here.
So nothing more is read from a link that holds `MOST_BYTES`, and one that stays so for
`NOT_READING_S` ends. Two devices that wait for each other would wait for ever: data is therefore
put in only while there is room for it (`ROOM_BYTES`), which leaves what is above that, all but one
frame of it, to the small messages.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from leaderless.errors import TimedOutError
from leaderless.protocol.limits import MAX_FRAME_BYTES, WINDOW_BYTES

ROOM_BYTES: Final = WINDOW_BYTES
MOST_BYTES: Final = 4 * WINDOW_BYTES + MAX_FRAME_BYTES
NOT_READING_S: Final = 30.0
"""Less than the silence that ends a session: it is named for what it is."""
_FRAME_COST_BYTES: Final = 128
"""Of an empty frame: its object and its place; a million of pongs is not for free."""


class NotReadingError(TimedOutError):
    """A peer asks for more and does not take what it was sent."""

    code = "not_reading"


class Outbox:
    """Frames on their way to one peer. `put` never waits, so what decides can call it."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._changed = trio.Event()
        self.held_bytes = 0

    def put(self, frame: bytes) -> None:
        """Add a frame behind the others."""
        self._frames.append(frame)
        self.held_bytes += len(frame) + _FRAME_COST_BYTES
        self._change()

    async def first(self) -> bytes:
        """Return the frame that is to be sent next, once there is one; `drop_first` takes it out."""
        while not self._frames:
            await self._changed.wait()
        return self._frames[0]

    def drop_first(self) -> None:
        """Forget the first frame: it was sent."""
        self.held_bytes -= len(self._frames.popleft()) + _FRAME_COST_BYTES
        self._change()

    async def below(self, held_bytes: int) -> None:
        """Wait until less than that is held."""
        while self.held_bytes >= held_bytes:
            await self._changed.wait()

    async def may_ask_more(self) -> None:
        """Wait until the peer has taken enough to ask for more; raises NotReadingError."""
        with trio.move_on_after(NOT_READING_S) as scope:
            await self.below(MOST_BYTES)
        if scope.cancelled_caught:
            raise NotReadingError("the other side asks and does not read what it is sent")

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
