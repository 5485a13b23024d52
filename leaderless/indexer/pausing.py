"""Locations whose contents are not read for now, because a person wants it so.

Names, sizes, times, moves and deletes go on being noticed; a file that changes has no content, like any
that was not read yet. This is a fact of this device alone: it is kept beside its rows and lasts until
somebody has it go on, the location is removed, or its contents are not wanted any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.indexer import rows
from leaderless.store import meta

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from leaderless.indexer.rows import Location
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction


class Left(NamedTuple):
    """Files whose content is still to be read."""

    files: int
    size_bytes: int


def wants_contents(location: Location) -> bool:
    """Return whether the files of a location are to be read at all."""
    return location.index_mode != "shallow"


def to_change(
    meant: Iterable[Location], held: Collection[bytes], *, paused: bool
) -> list[Location]:
    """Return those of some locations that are to be paused, or to go on, and are not so yet.

    `held` are the paused ones. Where no contents are wanted there is nothing to pause.
    """
    if paused:
        return [item for item in meant if item.uuid not in held and wants_contents(item)]
    return [item for item in meant if item.uuid in held]


class Pauses:
    """The paused locations of this device, and what is left to be read in them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: frozenset[bytes] = frozenset()
        self._left: dict[bytes, Left] = {}

    async def load(self) -> None:
        """Take in what was paused when the daemon ended last."""
        self._held = await self._store.read(meta.paused_locations)

    def has(self, uuid: bytes) -> bool:
        """Return whether a location is paused; any thread may ask."""
        return uuid in self._held

    def left(self, uuid: bytes) -> Left | None:
        """Return what was left to be read in a paused location at the last look, None before one."""
        return self._left.get(uuid)

    async def change(self, meant: Iterable[Location], *, paused: bool) -> list[Location]:
        """Pause locations, or have them go on; return those of which that is news."""

        def write(transaction: Transaction) -> tuple[list[Location], frozenset[bytes]]:
            connection = transaction.conn
            news = to_change(meant, meta.paused_locations(connection), paused=paused)
            for location in news:
                if paused:
                    meta.put(connection, meta.paused(location.uuid), transaction.now_ms)
                else:
                    meta.drop(connection, meta.paused(location.uuid))
            return news, meta.paused_locations(connection)

        # Nothing waits between the end of a write and this: what is held is what was written last.
        news, self._held = await self._store.write(write)
        for location in news:
            self._left.pop(location.uuid, None)
        return news

    async def count(self, location: Location) -> None:
        """Look what is left to be read in a paused location."""
        left = await self._store.read(lambda connection: rows.unread(connection, location.key))
        if self.has(location.uuid):
            self._left[location.uuid] = Left(*left)

    def forget(self, uuid: bytes) -> None:
        """Take in that a location is none any more, or wants no contents: it is not written here."""
        self._held -= {uuid}
        self._left.pop(uuid, None)
