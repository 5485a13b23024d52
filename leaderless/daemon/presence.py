"""Who was seen and when: this replica's own observation, which never travels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from leaderless.store import Store, Transaction

WRITE_S: Final = 5.0
"""Sightings are gathered for so long before they are written: no write per message."""
_SEEN_BY = frozenset(["peer_connected", "peer_disconnected", "proved"])


class Presence:
    """Sightings of devices on their way to the database."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._any = trio.Event()

    def heard(self, kind: str, device: bytes) -> None:
        """Take in an event about a device; some of them mean that it is there."""
        if kind in _SEEN_BY:
            self._seen.add(device)
            self._any.set()

    async def keep(self, store: Store) -> None:
        """Write down who was seen, a few seconds late, for ever."""
        while True:
            await self._any.wait()
            await trio.sleep(WRITE_S)
            self._any = trio.Event()
            seen, self._seen = self._seen, set()
            await store.write(partial(_note_seen, devices=tuple(seen)))


def _note_seen(transaction: Transaction, devices: tuple[bytes, ...]) -> None:
    transaction.conn.exec_driver_sql(
        "INSERT INTO presence (device, last_seen_at) VALUES (?, ?) ON CONFLICT (device)"
        " DO UPDATE SET last_seen_at = excluded.last_seen_at",
        [(device, transaction.now_ms) for device in devices],
    )
