"""When the interpreter is free for others: nobody writes, or who writes waits for the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable


class Calm:
    """Tells when no write keeps the interpreter busy.

    A statement of a write gives the interpreter away for microseconds, and gets it back after
    milliseconds if somebody has work for as long; a commit takes milliseconds and does not need it.
    So work that can wait for a moment is done in the time of a commit.
    """

    def __init__(self) -> None:
        self._is_busy = False
        self._changed = trio.Event()
        self._waiting = 0

    def end(self) -> None:
        """A write begins to do its work."""
        self._is_busy = True

    def begin(self) -> None:
        """It waits for the disk, or is over."""
        self._is_busy = False
        self._changed.set()
        self._changed = trio.Event()

    def begin_from(self, soon: Callable[[Callable[[], None]], None]) -> None:
        """It waits for the disk, as its thread says; `soon` has something done in the event loop."""
        self._is_busy = False  # for who looks from now on
        if self._waiting:
            soon(self.begin)

    async def wait(self) -> None:
        """Return once no write is at its work."""
        self._waiting += 1
        try:
            while self._is_busy:
                await self._changed.wait()
        finally:
            self._waiting -= 1
