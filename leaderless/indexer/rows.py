"""Entries of own locations as rows: read from the database, and made from what a directory shows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.indexer.differ import Known, keeps_content

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from leaderless.indexer.scanner import Observed

ENTRY_COLUMNS = (
    "uuid",
    "location",
    "parent",
    "name",
    "extension",
    "kind",
    "size_bytes",
    "mtime_ns",
    "ctime_ns",
    "inode",
    "mode",
    "is_hidden",
    "content",
    "quick_hash",
)
LOCATION_COLUMNS = (
    "uuid",
    "volume",
    "name",
    "path",
    "index_mode",
    "total_file_count",
    "total_byte_size",
    "is_offline",
)
_KNOWN = (
    "SELECT id, uuid, parent, name, kind, size_bytes, mtime_ns, ctime_ns, inode, mode, content,"
    " quick_hash FROM entry"
)
_LOOKUP = 400


class Location(NamedTuple):
    """An own location as the indexer needs it."""

    key: int
    uuid: bytes
    volume: bytes
    fingerprint: str
    file_system: str | None
    name: str
    path: bytes
    index_mode: str
    total_file_count: int | None
    total_byte_size: int | None
    is_offline: int | None
    scan_state: str
    error_message: str | None


def location_row(location: Location) -> tuple[Any, ...]:
    """Return the row of a location, in the order of LOCATION_COLUMNS."""
    return tuple(getattr(location, column) for column in LOCATION_COLUMNS)


def locations(connection: Connection, epoch: int) -> list[Location]:
    """Return this device's locations."""
    found = connection.exec_driver_sql(
        "SELECT l.id, l.uuid, v.uuid, v.fingerprint, v.file_system, l.name, l.path, l.index_mode,"
        " l.total_file_count, l.total_byte_size, l.is_offline, l.scan_state, l.error_message"
        " FROM location l JOIN volume v ON v.id = l.volume"
        " WHERE l.epoch = ? AND l.dead = 0 ORDER BY l.name, l.uuid",
        (epoch,),
    )
    return [Location(*row) for row in found]


def volumes(connection: Connection, epoch: int) -> list[dict[str, Any]]:
    """Return this device's volumes, by column."""
    found = connection.exec_driver_sql(
        "SELECT uuid, fingerprint, display_name, file_system, mount_point, volume_type,"
        " device_model, total_bytes, available_bytes, is_removable, is_network"
        " FROM volume WHERE epoch = ? AND dead = 0 ORDER BY id",
        (epoch,),
    )
    return [dict(row) for row in found.mappings()]


def root_of(connection: Connection, location: int) -> Known | None:
    """Return the root entry of a location."""
    # The plus keeps SQLite from going through all entries of the location: roots are few.
    row = connection.exec_driver_sql(
        f"{_KNOWN} WHERE +location = ? AND parent IS NULL AND dead = 0", (location,)
    ).first()
    return None if row is None else Known(*row)


def children_of(connection: Connection, parent: int) -> list[Known]:
    """Return what is known in a directory."""
    found = connection.exec_driver_sql(f"{_KNOWN} WHERE parent = ? AND dead = 0", (parent,))
    return list(map(Known._make, found.all()))


def looks_of(connection: Connection, parent: int) -> Sequence[tuple[Any, ...]]:
    """Return how everything that is known in a directory looked, with its key and uuid behind.

    The name and what else an observation says, in that order.
    """
    query = (
        "SELECT name, kind, size_bytes, mtime_ns, ctime_ns, inode, mode, id, uuid FROM entry"
        " WHERE parent = ? AND dead = 0"
    )
    found: Sequence[tuple[Any, ...]] = connection.exec_driver_sql(query, (parent,)).all()
    return found


def by_inode(connection: Connection, location: int, inodes: Sequence[int]) -> list[Known]:
    """Return the entries of a location that have one of these inodes."""
    rows: list[Known] = []
    for at in range(0, len(inodes), _LOOKUP):
        some = inodes[at : at + _LOOKUP]
        found = connection.exec_driver_sql(
            f"{_KNOWN} WHERE location = {location:d} AND dead = 0"
            f" AND inode IN ({', '.join('?' * len(some))})",
            tuple(some),
        )
        rows += [Known(*row) for row in found]
    return rows


def path_of(connection: Connection, key: int, root: bytes) -> bytes:
    """Return the path of an entry below its location's root path."""
    found = connection.exec_driver_sql(
        "WITH RECURSIVE up (name, parent, depth) AS ("
        " SELECT name, parent, 0 FROM entry WHERE id = ?"
        " UNION ALL SELECT e.name, e.parent, up.depth + 1 FROM entry e JOIN up ON e.id = up.parent)"
        " SELECT name FROM up WHERE parent IS NOT NULL ORDER BY depth DESC",
        (key,),
    )
    return b"/".join([root.rstrip(b"/"), *(name for (name,) in found)]) or b"/"


def below(connection: Connection, keys: Iterable[int]) -> list[bytes]:
    """Return the uuids of entries and of all that is below them, children first."""
    depth_of: dict[bytes, int] = {}
    for key in keys:
        found = connection.exec_driver_sql(
            "WITH RECURSIVE down (id, uuid, depth) AS ("
            " SELECT id, uuid, 0 FROM entry WHERE id = ? AND dead = 0"
            " UNION ALL SELECT e.id, e.uuid, down.depth + 1 FROM entry e"
            " JOIN down ON e.parent = down.id WHERE e.dead = 0)"
            " SELECT uuid, depth FROM down",
            (key,),
        )
        for uuid, depth in found:
            depth_of[uuid] = max(depth_of.get(uuid, 0), depth)
    return sorted(depth_of, key=lambda uuid: -depth_of[uuid])


def count_of(connection: Connection, location: int) -> int:
    """Return how many entries of a location are known."""
    # Whether a row is dead stands in the table; the index of locations tells how many there are
    # without going through it, and dead ones are few.
    query = (
        "SELECT (SELECT count(*) FROM entry WHERE location = ?1)"
        " - (SELECT count(*) FROM entry WHERE +location = ?1 AND dead = 1)"
    )
    return int(connection.exec_driver_sql(query, (location,)).scalar_one())


def totals(connection: Connection, location: int) -> tuple[int, int]:
    """Return (files, bytes) of a location."""
    return _files(connection, location, "")


def unread(connection: Connection, location: int) -> tuple[int, int]:
    """Return (files, bytes) of a location whose content is not known."""
    return _files(connection, location, " AND content IS NULL")


def _files(connection: Connection, location: int, condition: str) -> tuple[int, int]:
    row = connection.exec_driver_sql(
        "SELECT count(*), coalesce(sum(size_bytes), 0) FROM entry"
        f" WHERE location = ? AND dead = 0 AND kind = 'file'{condition}",
        (location,),
    ).one()
    return int(row[0]), int(row[1])


def entry_row(
    uuid: bytes, location: bytes, parent: bytes | None, item: Observed, held: Known | None
) -> tuple[Any, ...]:
    """Return the row of an entry as it is now; hashes stay if the file is the same."""
    is_kept = held is not None and keeps_content(held, item)
    name, kind = item.name, item.kind
    return (
        uuid,
        location,
        parent,
        name,
        extension_of(name) if kind == "file" else None,
        *item[1:7],
        int(name.startswith(b".")),
        *(held[10:12] if held is not None and is_kept else (None, None)),
    )


def extension_of(name: bytes) -> str | None:
    """Return the lower-case extension of a file name, None if it has none that is short text."""
    stem, dot, extension = name.rpartition(b".")
    if not dot or not stem or not 1 <= len(extension) <= 16:
        return None
    return _lowered(extension)


@lru_cache(maxsize=1_024)
def _lowered(extension: bytes) -> str | None:
    try:
        text = extension.decode("utf-8").lower()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and " " not in text else None
