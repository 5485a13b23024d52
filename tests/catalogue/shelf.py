"""Catalogues with the files that a test names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaderless.catalogue.find import Query, find_entries
from tests.replicas import ENTRY_COLUMNS, LOCATION_COLUMNS, VOLUME_COLUMNS, Replica

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from sqlalchemy import Connection

    from leaderless.store.transaction import Transaction

MS = 1_000_000


@dataclass(frozen=True)
class File:
    """A file as a test wants it."""

    name: bytes
    kind: str = "file"
    extension: str | None = None
    size_bytes: int | None = 1
    mtime_ms: int = 0


@dataclass(frozen=True)
class Shelf:
    """A location that was made: its id, its root's and its drive's."""

    location: bytes
    root: bytes
    volume: bytes


def ask(replica: Replica, question: Callable[[Connection], Any]) -> Any:
    """Return what a question finds in a replica's database."""
    return replica.store.write_here(lambda tx: question(tx.conn))


def put_files(
    replica: Replica,
    files: Iterable[File],
    path: bytes = b"/docs",
    mount: bytes | None = b"/",
    drive: str | None = "disk",
    fingerprint: str = "uuid:1",
) -> Shelf:
    """Give a replica a location at `path` whose root holds `files`; `mount` None: unplugged."""
    new = replica.store.ids.new
    volume, location, root = new(), new(), new()
    name = path.rpartition(b"/")[2].decode("utf-8", "backslashreplace")

    def row(uuid: bytes, parent: bytes | None, file: File) -> tuple[object, ...]:
        times = (file.mtime_ms * MS, 3, 4, 5)
        about = (file.extension, file.kind, file.size_bytes)
        return (uuid, location, parent, file.name, *about, *times, 0, None, None)

    def write(tx: Transaction) -> None:
        place = (volume, fingerprint, drive, None, mount, *[None] * 6)
        tx.put("volume", VOLUME_COLUMNS, [place])
        there = (location, volume, name or "root", path, "shallow", *[None] * 3)
        tx.put("location", LOCATION_COLUMNS, [there])
        tx.put("entry", ENTRY_COLUMNS, [row(root, None, File(name.encode(), "directory"))])
        tx.put("entry", ENTRY_COLUMNS, [row(new(), root, file) for file in files])

    replica.store.write_here(write)
    return Shelf(location, root, volume)


def found(replica: Replica, query: Query, online: Collection[bytes] = ()) -> list[dict[str, Any]]:
    """Return what a query finds at a replica."""
    own = replica.identity.device
    entries: list[dict[str, Any]] = ask(
        replica, lambda conn: find_entries(conn, query, own, online)
    )
    return entries


def paths(replica: Replica, **filters: Any) -> set[str]:
    """Return the paths that filters of a query leave, as text."""
    return {str(entry["path"]) for entry in found(replica, Query(**filters))}
