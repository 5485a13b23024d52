"""The state of the shared records takes effect once all of it is here, by whatever came last.

Apart from every link: the one that brought the last of it may end before this is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from leaderless.store.engine import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.sync.apply import Applier
    from leaderless.sync.outcome import Outcome


class Taking:
    """Waits to be asked, and takes it then."""

    def __init__(
        self,
        applier: Applier,
        own_device: bytes,
        took: Callable[[Outcome], None],
        tell: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        """Take with `applier`; `took` is called with what came of it."""
        self._applier = applier
        self._own_device = own_device
        self._took = took
        self._tell = tell
        self._asked = trio.Event()

    def ask(self) -> None:
        """Have what is staged taken, if it is whole; asked twice is asked once."""
        self._asked.set()

    async def keep(self) -> None:
        """Take whenever it is asked; a database that takes nothing is told of, and asked for again."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            try:
                outcome = await self._applier.take_staged()
            except StoreError as error:
                self._tell("not_kept", {"device": self._own_device, "code": error.code})
                continue
            self._took(outcome)
