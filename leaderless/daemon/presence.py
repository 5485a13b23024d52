"""Who was seen, where, and when it was last proved to hold the same: what this replica saw itself.

It never travels. It is in memory as it is, and in the database a few seconds later: a restart
forgets nothing.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from leaderless.store.engine import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from sqlalchemy import Connection as Database

    from leaderless.store import Store, Transaction

WRITE_S: Final = 5.0
"""Sightings are gathered for so long before they are written: no write per message."""
_CLOSE_S: Final = 5.0
_SEEN_BY = frozenset(["peer_connected", "peer_disconnected", "proved"])


@dataclass(frozen=True)
class Sighting:
    """What is known of a device's last presence; `address` is where our call was answered."""

    seen_ms: int | None = None
    address: str | None = None
    proved_ms: int | None = None


class Presence:
    """Sightings of devices; made by the daemon, kept in a store by `open_presence`."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._sightings: dict[bytes, Sighting] = {}
        self.refused: dict[bytes, int] = {}
        """When (ms) devices called last that are no members any more; forgotten at the end."""
        self._unwritten: set[bytes] = set()
        self._any = trio.Event()

    def of(self, device: bytes) -> Sighting:
        """Return what is known of a device."""
        return self._sightings.get(device, Sighting())

    def addresses(self) -> list[tuple[bytes, str]]:
        """Return where each device answered our calls last."""
        found = ((device, seen.address) for device, seen in self._sightings.items())
        return [(device, address) for device, address in found if address is not None]

    def heard(self, kind: str, device: bytes) -> None:
        """Take in an event about a device; some of them mean that it is there."""
        if kind == "refused":
            self.refused[device] = self._now_ms()
        if kind in _SEEN_BY:
            now_ms = self._now_ms()
            seen = replace(self.of(device), seen_ms=now_ms)
            self._note(device, replace(seen, proved_ms=now_ms) if kind == "proved" else seen)

    def reached(self, device: bytes, address: str) -> None:
        """A device has answered our call at an address."""
        self._note(device, replace(self.of(device), address=address))

    def _note(self, device: bytes, sighting: Sighting) -> None:
        self._sightings[device] = sighting
        self._unwritten.add(device)
        self._any.set()

    async def load(self, store: Store) -> None:
        """Take in what was seen before the last start."""

        def read(connection: Database) -> dict[bytes, Sighting]:
            found = connection.exec_driver_sql(
                "SELECT device, last_seen_at, last_address, proved_at FROM presence"
            )
            return {device: Sighting(*seen) for device, *seen in found}

        self._sightings = await store.read(read) | self._sightings

    async def keep(self, store: Store) -> None:
        """Write down who was seen, a few seconds late, for ever."""
        while True:
            await self._any.wait()
            await trio.sleep(WRITE_S)
            # While the disk is full nothing ends for it: it is tried again at the next sighting.
            with suppress(StoreError):
                await self.write(store)

    async def write(self, store: Store) -> None:
        """Write down who was seen since this was done last."""
        self._any = trio.Event()
        unwritten, self._unwritten = self._unwritten, set()
        if unwritten:
            sightings = [(device, self.of(device)) for device in unwritten]
            try:
                await store.write(partial(_put, sightings=sightings))
            except BaseException:
                self._unwritten |= unwritten
                raise


def _put(transaction: Transaction, sightings: Iterable[tuple[bytes, Sighting]]) -> None:
    transaction.conn.exec_driver_sql(
        "INSERT INTO presence (device, last_seen_at, last_address, proved_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (device) DO UPDATE SET last_seen_at = excluded.last_seen_at,"
        " last_address = excluded.last_address, proved_at = excluded.proved_at",
        [(device, seen.seen_ms, seen.address, seen.proved_ms) for device, seen in sightings],
    )


@asynccontextmanager
async def open_presence(presence: Presence, store: Store) -> AsyncIterator[None]:
    """Keep sightings in a store; what was seen until the end is written too."""
    await presence.load(store)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(presence.keep, store)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()
    finally:
        with (
            trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S),
            suppress(StoreError),
        ):
            await presence.write(store)
