"""Work of this device that is done when it is asked for, apart from every link.

The link on which the reason for it came may end before it is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from leaderless.store.engine import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_T = TypeVar("_T")


class Errand(Generic[_T]):
    """Waits to be asked, and does its work then."""

    def __init__(
        self,
        work: Callable[[], Awaitable[_T]],
        done: Callable[[_T], None],
        own_device: bytes,
        tell: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        """Do `work`, and call `done` with what came of it."""
        self._work = work
        self._done = done
        self._own_device = own_device
        self._tell = tell
        self._asked = trio.Event()

    def ask(self) -> None:
        """Have the work done; asked twice before it begins is asked once."""
        self._asked.set()

    async def keep(self) -> None:
        """Do the work whenever it is asked for; where the database takes nothing, that is told."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            try:
                came = await self._work()
            except StoreError as error:
                self._tell("not_kept", {"device": self._own_device, "code": error.code})
                continue
            self._done(came)
