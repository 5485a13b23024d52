"""A device that lives on, is put back to a backup, and takes its rows back from a peer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from leaderless.protocol import floor
from leaderless.store import given_back, restoring, state
from leaderless.store.restoring import GoneOn
from tests.replicas import ENTRY_COLUMNS, LOCATION_COLUMNS, Replica, open_replica
from tests.store.passing import batches, said, within

NONCE = b"nonce--8"


class Lives:
    """The first of some replicas, with a backup of itself; the second is the peer that knows it."""

    def __init__(self, folder: Path, replicas: list[Replica]) -> None:
        self.folder = folder
        self.device, self.peer = replicas[:2]

    def back_up(self) -> None:
        """Copy the device's file as it is now."""
        with (
            closing(sqlite3.connect(self.device.store.path)) as source,
            closing(sqlite3.connect(self.folder / "backup.db")) as copy,
        ):
            source.backup(copy)

    def tell(self) -> None:
        """Let the peer hear all that there is of the device."""
        registry = self.peer.store.registry
        for batch in batches(self.device, self.device):
            upto = floor.decode(batch.floor).rev if batch.floor else 0
            about = (registry, batch, said(batch), upto)
            within(self.peer, lambda c, about=about: state.apply_batch(c, *about))

    def put_back(self) -> None:
        """Start the device from its backup; what it did since is known to the peer alone."""
        self.device.store.close()
        self.device = open_replica(self.folder, 0, self.device.clock.ms, "backup.db")

    def start_anew(self) -> None:
        """Start the device as it is."""
        name = self.device.store.path.name
        self.device.store.close()
        self.device = open_replica(self.folder, 0, self.device.clock.ms, name)

    def take_back(self) -> None:
        """Let the device take back what the peer holds of it."""
        device, source = self.device, self.peer.identity.device
        device.store.write_here(restoring.begin)
        for batch in list(batches(self.peer, device, limit=3)):
            within(device, lambda c, batch=batch: given_back.keep(c, batch, source))
        device.store.write_here(given_back.take)

    def go_on(self) -> GoneOn:
        """Let the device go on."""
        begun = self.device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
        assert begun is not None
        return begun

    def returned(self) -> GoneOn:
        """Let the device take its rows back, and go on."""
        self.take_back()
        return self.go_on()

    # --- rows -------------------------------------------------------------------------------------

    def add(
        self, name: str, parent: bytes, kind: str = "file", inode: int | None = None, at: int = 7
    ) -> bytes:
        """Write a new entry below another one, changed `at` nanoseconds; return its id."""
        uuid = self.device.store.ids.new()
        self._put(uuid, name.encode(), parent, kind, (at, at, inode) if inode else (None,) * 3)
        return uuid

    def move(self, uuid: bytes, parent: bytes) -> None:
        """Put an entry below another one, of whatever location."""
        ((name, kind),) = self.ask("SELECT name, kind FROM entry WHERE uuid = ?", uuid)
        self._put(uuid, name, parent, kind)

    def _put(
        self,
        uuid: bytes,
        name: bytes,
        parent: bytes,
        kind: str,
        stat: tuple[int | None, ...] = (None,) * 3,
    ) -> None:
        ((location,),) = self.ask(
            "SELECT l.uuid FROM entry e JOIN location l ON l.id = e.location WHERE e.uuid = ?",
            parent,
        )
        row = (uuid, location, parent, name, None, kind, 1, *stat, *[None] * 4)
        self.device.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))

    def drop(self, model: str, *uuids: bytes) -> None:
        """Delete rows."""
        self.device.store.write_here(lambda tx: tx.drop(model, uuids))

    def set_mode(self, location: bytes, index_mode: str) -> None:
        """Index a location in another way."""
        ((volume, name, path, *counts),) = self.ask(
            "SELECT v.uuid, l.name, l.path, l.total_file_count, l.total_byte_size, l.is_offline"
            " FROM location l JOIN volume v ON v.id = l.volume WHERE l.uuid = ?",
            location,
        )
        new = (location, volume, name, path, index_mode, *counts)
        self.device.store.write_here(lambda tx: tx.put("location", LOCATION_COLUMNS, [new]))

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds at the device."""
        return within(self.device, lambda c: [tuple(r) for r in c.exec_driver_sql(query, values)])

    def names(self) -> dict[bytes, str]:
        """Return what the entries that are there are called, by id."""
        found = self.ask("SELECT uuid, name FROM entry WHERE dead = 0")
        return {uuid: name.decode() for uuid, name in found}
