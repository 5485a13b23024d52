"""Files of devices as a test names them: locations on drives, entries with contents."""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from tests.replicas import ENTRY_COLUMNS, LOCATION_COLUMNS, VOLUME_COLUMNS, Replica
from tests.store.passing import log_of, own_feed, pull, store_commits

SIZE = 100


def hash_of(text: str) -> bytes:
    """Return the full hash of a content."""
    return blake3(text.encode()).digest()


class Drive:
    """A location at the root of a drive of a replica; `movable` ones are plugged in anywhere."""

    def __init__(
        self, replica: Replica, name: str, *, fingerprint: str | None = None, movable: bool = False
    ) -> None:
        self.replica = replica
        self._inode = 10
        new = replica.store.ids.new
        self.volume, self.location, self.root = new(), new(), new()
        mark = fingerprint or f"uuid:{self.volume.hex()}"
        volume = (self.volume, mark, name, None, b"/", *[None] * 4, int(movable), 0)
        location = (self.location, self.volume, name, b"/" + name.encode(), "content", *[None] * 3)
        root = (self.root, self.location, None, name.encode(), None, "directory", *[None] * 8)

        def write(tx: Any) -> None:
            tx.put("volume", VOLUME_COLUMNS, [volume])
            tx.put("location", LOCATION_COLUMNS, [location])
            tx.put("entry", ENTRY_COLUMNS, [root])

        replica.store.write_here(write)

    def put(
        self,
        name: str,
        text: str | None = None,
        *,
        size: int = SIZE,
        quick: bytes | None = None,
        kind: str = "file",
        inode: int | None = None,
        uuid: bytes | None = None,
    ) -> bytes:
        """Write a file that holds `text` (None: it was not hashed); return its entry's id."""
        uuid = uuid or self.replica.store.ids.new()
        self._inode += 1
        content = None if text is None else hash_of(text)
        about = (None, kind, size, 1, 1, inode or self._inode, 0o644, 0, content, quick)
        row = (uuid, self.location, self.root, name.encode(), *about)
        self.replica.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))
        return uuid

    def drop(self, *uuids: bytes) -> None:
        """Delete files."""
        self.replica.store.write_here(lambda tx: tx.drop("entry", list(uuids)))


def meet(*replicas: Replica) -> None:
    """Bring every replica's rows and commits to all others."""
    for target in replicas:
        for owner in replicas:
            if owner is not target:
                pull(owner, target, owner)
    for target in replicas:
        for source in replicas:
            if source is not target and _has_written(source):
                store_commits(target, *log_of(source, own_feed(source)))


def _has_written(replica: Replica) -> bool:
    device = replica.identity.device
    query = "SELECT count(*) FROM feed WHERE substr(feed, 1, 16) = ?"
    return bool(
        replica.store.write_here(lambda tx: tx.conn.exec_driver_sql(query, (device,)).scalar())
    )
