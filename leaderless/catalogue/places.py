"""Where entries are: on which device and drive, at which path, and whether they can be reached now.

A copy's drive is the file system it is on. One that can move (removable, or of a network) is the
same drive on whatever device it was indexed; internal ones are told apart by their device, as
cloned disks carry one fingerprint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from leaderless.catalogue.find import entry_path, why_away
from leaderless.catalogue.text import name_json
from leaderless.store.revocations import WITHOUT_MEMBERSHIP, without_membership

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import Connection

PLACE: Final = (
    "at (location, owner, drive, is_gone) AS ("
    " SELECT l.id, (SELECT min(o.id) FROM incarnation o WHERE o.device = i.device),"
    " coalesce((SELECT min(w.id) FROM volume w WHERE w.fingerprint = v.fingerprint"
    " AND (v.is_removable = 1 OR v.is_network = 1)), v.id),"
    f" i.device IN ({WITHOUT_MEMBERSHIP})"
    " FROM location l JOIN volume v ON v.id = l.volume JOIN incarnation i ON i.id = l.epoch"
    " WHERE l.dead = 0),"
    " place (location, owner, device, drive) AS MATERIALIZED ("
    " SELECT location, owner, iif(is_gone, NULL, owner), iif(is_gone, NULL, drive) FROM at)"
)
"""A common table expression: the owner, device and drive (small numbers) of each location. Device and
drive are null where the owner was revoked: nobody can rely on what is there. Join it to an entry with
CROSS JOIN, so that entries stay the outer loop."""

FULL, QUICK, NONE = "full", "quick", "none"
"""How the contents of a file are known: by the hash of the whole, by one of a sample, not at all."""

_SOME = 500


def entries_json(
    connection: Connection, keys: Sequence[int], own: bytes, online: Collection[bytes]
) -> list[dict[str, Any]]:
    """Return the entries with these local keys, in this order; `online` are connected devices."""
    rows: dict[int, Sequence[Any]] = {}
    for some in chunks(keys):
        found = connection.exec_driver_sql(
            "SELECT e.id, e.uuid, i.device, d.name, v.display_name, v.fingerprint, l.name, l.path,"
            " l.is_offline, v.mount_point, e.kind, e.size_bytes, e.mtime_ns, e.content, e.quick_hash"
            " FROM entry e JOIN location l ON l.id = e.location JOIN volume v ON v.id = l.volume"
            " JOIN incarnation i ON i.id = e.epoch LEFT JOIN device d ON d.uuid = i.device"
            f" AND d.dead = 0 WHERE e.id IN ({', '.join('?' * len(some))})",
            tuple(some),
        )
        rows.update((row[0], row) for row in found)
    gone = without_membership(connection)
    return [_entry(connection, rows[key], own, online, gone) for key in keys if key in rows]


def _entry(
    connection: Connection,
    row: Sequence[Any],
    own: bytes,
    online: Collection[bytes],
    gone: Collection[bytes],
) -> dict[str, Any]:
    key, uuid, device, name, drive, fingerprint, location, root, offline, mount, *about = row
    kind, size, mtime_ns, content, quick_hash = about
    why = why_away(device, own, online, gone, mount, offline)
    return {
        "id": uuid.hex(),
        "device": name or device.hex()[:8],
        "device_id": device.hex(),
        "drive": drive,
        "fingerprint": fingerprint,
        "location": location,
        "path": name_json(entry_path(connection, key, root)),
        "kind": kind,
        "size_bytes": None if size is None else str(size),
        "mtime_ns": None if mtime_ns is None else str(mtime_ns),
        "hash": None if content is None else content.hex(),
        "hashed": FULL if content is not None else QUICK if quick_hash is not None else NONE,
        "reachable": why is None,
        "why": why,
    }


def chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield `items` in parts that fit into one query."""
    for at in range(0, len(items), _SOME):
        yield items[at : at + _SOME]
