"""Who has what of the log: what peers say of their positions, written down a little later.

It is read as history ("confirmed by"), never to decide anything: a lost line costs nothing, so many
of them make one write.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from leaderless.store.engine import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.messages import FeedPosition
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction

DELAY_S: Final = 2.0


class Confirmations:
    """Remembers peers' positions in the log."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[tuple[bytes, bytes], FeedPosition] = {}
        self._waiting: dict[tuple[bytes, bytes], FeedPosition] = {}
        self._wake = trio.Event()

    def heard(self, device: bytes, feeds: Mapping[bytes, FeedPosition]) -> None:
        """A device said how far it holds each feed."""
        for feed, position in feeds.items():
            if self._written.get((device, feed)) != position:
                self._waiting[device, feed] = position
                self._wake.set()

    async def keep(self) -> None:
        """Write down what was heard, for ever."""
        while True:
            await self._wake.wait()
            await trio.sleep(DELAY_S)
            self._wake = trio.Event()
            waiting, self._waiting = self._waiting, {}
            try:
                await self._store.write(partial(_write, positions=waiting))
            except StoreError:
                # A full disk: what is lost here costs nothing, so they are tried again with the next.
                self._waiting = {**waiting, **self._waiting}
                continue
            self._written.update(waiting)


def _write(transaction: Transaction, positions: Mapping[tuple[bytes, bytes], FeedPosition]) -> None:
    transaction.conn.exec_driver_sql(
        "INSERT INTO confirmation (device, feed, received, applied) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (device, feed) DO UPDATE SET received = excluded.received,"
        " applied = excluded.applied",
        [(*key, position.received, position.applied) for key, position in positions.items()],
    )
