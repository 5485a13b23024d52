"""Shared records that most others hold otherwise are fetched anew, once the exchange says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from leaderless.store import givers
from leaderless.store.disk import DiskError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.store.store import Store


class Doubting:
    """Waits to be asked, and notes then that the records here are to be replaced."""

    def __init__(self, store: Store, tell: Callable[[str, Mapping[str, object]], None]) -> None:
        """Note it in `store`, and tell of it."""
        self._store = store
        self._tell = tell
        self._asked = trio.Event()

    def ask(self) -> None:
        """Have it noted; asked twice is asked once."""
        self._asked.set()

    async def keep(self) -> None:
        """Note it whenever it is asked; a disk that takes nothing is told of, and asked for again."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            own = self._store.own_device
            try:
                is_new = await self._store.write(lambda tx: givers.doubt(tx.conn))
            except DiskError as error:
                self._tell("not_kept", {"device": own, "code": error.code})
                continue
            if is_new:
                self._tell("records_doubted", {"device": own})
