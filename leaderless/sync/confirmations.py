"""Who has what: what peers say of their positions, written down a little later.

It is read as history ("confirmed by"), and to decide what may be forgotten: a body goes, and so does
a tombstone of ours, once everybody has said that it has it. A line that is lost, or older than the
truth, only keeps something for longer. One that says too much, as its peer was restored since, costs
nothing but time: whoever lacks what is forgotten here is given the state of all records (or our rows
whole). So many of them make one write.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from leaderless.store.engine import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.messages import FeedPosition, OwnedPosition
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction

DELAY_S: Final = 2.0


class Confirmations:
    """Remembers peers' positions in the log."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[tuple[bytes, bytes], FeedPosition] = {}
        self._waiting: dict[tuple[bytes, bytes], FeedPosition] = {}
        self._written_owned: dict[bytes, OwnedPosition] = {}
        self._waiting_owned: dict[bytes, OwnedPosition] = {}
        self._wake = trio.Event()

    def heard(
        self,
        device: bytes,
        feeds: Mapping[bytes, FeedPosition],
        ours: OwnedPosition | None = None,
    ) -> None:
        """A device said how far it holds each feed, and how far our own rows."""
        if ours is not None and self._written_owned.get(device) != ours:
            self._waiting_owned[device] = ours
            self._wake.set()
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
            owned, self._waiting_owned = self._waiting_owned, {}
            try:
                await self._store.write(partial(write_down, positions=waiting, owned=owned))
            except StoreError:
                # A full disk: what is lost here costs nothing, so they are tried again with the next.
                self._waiting = {**waiting, **self._waiting}
                self._waiting_owned = {**owned, **self._waiting_owned}
                continue
            self._written.update(waiting)
            self._written_owned.update(owned)


def write_down(
    transaction: Transaction,
    positions: Mapping[tuple[bytes, bytes], FeedPosition],
    owned: Mapping[bytes, OwnedPosition],
) -> None:
    """Put what members have told where it is read from: of feeds, and of our own rows."""
    if owned:
        transaction.conn.exec_driver_sql(
            "INSERT INTO owned_confirmation (device, generation, nonce, watermark)"
            " VALUES (?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET"
            " generation = excluded.generation, nonce = excluded.nonce,"
            " watermark = excluded.watermark",
            [(device, *held.incarnation, held.watermark) for device, held in owned.items()],
        )
    if not positions:
        return
    transaction.conn.exec_driver_sql(
        "INSERT INTO confirmation (device, feed, received, applied) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (device, feed) DO UPDATE SET received = excluded.received,"
        " applied = excluded.applied",
        [(*key, position.received, position.applied) for key, position in positions.items()],
    )
