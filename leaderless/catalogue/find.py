"""`find`: which device and drive has a file, and whether it can be reached now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaderless.catalogue.text import name_json

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Query:
    """What to look for; None leaves a filter out."""

    text: str | None = None
    device: bytes | None = None
    extension: str | None = None
    kind: str | None = None
    larger_bytes: int | None = None
    newer_ms: int | None = None
    limit: int = 50


def find_entries(
    connection: Connection, query: Query, own: bytes, online: Collection[bytes]
) -> list[dict[str, Any]]:
    """Return entries that fit, newest first among equal names; at most `query.limit`."""
    conditions = ["e.dead = 0", "l.dead = 0"]
    values: list[object] = []
    if query.text:
        conditions.append("instr(lower(CAST(e.name AS TEXT)), lower(?)) > 0")
        values.append(query.text)
    for column, value in (
        ("i.device = ?", query.device),
        ("e.extension = ?", query.extension and query.extension.lower().lstrip(".")),
        ("e.kind = ?", query.kind),
        ("e.size_bytes > ?", query.larger_bytes),
        ("e.mtime_ns > ?", None if query.newer_ms is None else query.newer_ms * 1_000_000),
    ):
        if value is not None:
            conditions.append(column)
            values.append(value)
    rows = connection.exec_driver_sql(
        "SELECT e.id, e.uuid, i.device, d.name, v.display_name, l.path, e.kind, e.size_bytes,"
        " e.mtime_ns, l.scan_state, l.name FROM entry e JOIN location l ON l.id = e.location"
        " JOIN volume v ON v.id = l.volume JOIN incarnation i ON i.id = e.epoch"
        " LEFT JOIN device d ON d.uuid = i.device"
        f" WHERE {' AND '.join(conditions)} ORDER BY e.id DESC LIMIT ?",
        (*values, query.limit),
    ).all()
    return [_found(connection, row, own, online) for row in rows]


def _found(
    connection: Connection,
    row: Sequence[Any],
    own: bytes,
    online: Collection[bytes],
) -> dict[str, Any]:
    key, uuid, device, device_name, drive, root, kind, size, mtime_ns, state, location = row
    path = entry_path(connection, key, root)
    if device == own:
        why = "its drive is not here" if state == "offline" else None
    else:
        why = None if device in online else "its device is not connected"
    return {
        "id": uuid.hex(),
        "device": device_name or device.hex()[:8],
        "device_id": device.hex(),
        "drive": drive,
        "location": location,
        "path": name_json(path),
        "kind": kind,
        "size_bytes": None if size is None else str(size),
        "mtime_ns": None if mtime_ns is None else str(mtime_ns),
        "reachable": why is None,
        "why": why,
    }


def entry_path(connection: Connection, key: int, root: bytes) -> bytes:
    """Return the whole path of an entry on its device."""
    names = connection.exec_driver_sql(
        "WITH RECURSIVE up (name, parent, depth) AS ("
        " SELECT name, parent, 0 FROM entry WHERE id = ?"
        " UNION ALL SELECT e.name, e.parent, up.depth + 1 FROM entry e JOIN up ON e.id = up.parent)"
        " SELECT name FROM up WHERE parent IS NOT NULL ORDER BY depth DESC",
        (key,),
    ).scalars()
    return b"/".join([root.rstrip(b"/"), *names]) or b"/"
