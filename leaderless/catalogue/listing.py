"""Devices, volumes and locations, as lists; and finding one by what a person calls it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from entities.device import DEVICE
from leaderless.catalogue.text import name_json
from leaderless.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from leaderless.store.store import Store

_DEVICE_FIELDS = tuple(
    column.name
    for column in DEVICE.columns
    if column.name not in ("id", "uuid", "epoch", "rev", "dead", "extra")
)


def list_devices(
    connection: Connection, own: bytes, online: Collection[bytes]
) -> list[dict[str, Any]]:
    """Return every device that is known here."""
    found = connection.exec_driver_sql(
        "SELECT d.*, i.row_count AS rows, i.watermark, i.as_of, i.verified, p.last_seen_at"
        " FROM device d JOIN incarnation i ON i.id = d.epoch"
        " LEFT JOIN presence p ON p.device = d.uuid WHERE d.dead = 0 ORDER BY d.name, d.uuid"
    ).mappings()
    listed = []
    for row in found:
        shown: dict[str, Any] = {name: row[name] for name in _DEVICE_FIELDS}
        shown["addresses"] = json.loads(row["addresses"] or "[]")
        shown.update(
            id=row["uuid"].hex(),
            this_device=row["uuid"] == own,
            online=row["uuid"] == own or row["uuid"] in online,
            rows=str(row["rows"]),
            verified=row["verified"] == row["watermark"] == row["as_of"],
            last_seen_ms=None if row["last_seen_at"] is None else str(row["last_seen_at"]),
            memory_total_bytes=_text(row["memory_total_bytes"]),
        )
        listed.append(shown)
    return listed


def list_volumes(
    connection: Connection, own: bytes, online: Collection[bytes]
) -> list[dict[str, Any]]:
    """Return every drive, joined by fingerprint: one that moved between devices is one drive."""
    found = connection.exec_driver_sql(
        "SELECT v.*, i.device, d.name AS device_name FROM volume v"
        " JOIN incarnation i ON i.id = v.epoch LEFT JOIN device d ON d.uuid = i.device"
        " WHERE v.dead = 0 ORDER BY v.fingerprint, d.name"
    ).mappings()
    drives: dict[str, dict[str, Any]] = {}
    for row in found:
        drive = drives.setdefault(
            row["fingerprint"],
            {
                "fingerprint": row["fingerprint"],
                "display_name": row["display_name"],
                "file_system": row["file_system"],
                "volume_type": row["volume_type"],
                "total_bytes": _text(row["total_bytes"]),
                "seen_on": [],
            },
        )
        drive["seen_on"].append(
            {
                "device": row["device_name"],
                "device_id": row["device"].hex(),
                "id": row["uuid"].hex(),
                "mount_point": None
                if row["mount_point"] is None
                else name_json(row["mount_point"]),
                "available_bytes": _text(row["available_bytes"]),
                "online": row["device"] == own or row["device"] in online,
            }
        )
    return list(drives.values())


def list_locations(connection: Connection, own: bytes) -> list[dict[str, Any]]:
    """Return the locations of all devices, this device's with the state of their scans."""
    found = connection.exec_driver_sql(
        "SELECT l.*, i.device, d.name AS device_name, v.display_name AS drive FROM location l"
        " JOIN incarnation i ON i.id = l.epoch JOIN volume v ON v.id = l.volume"
        " LEFT JOIN device d ON d.uuid = i.device WHERE l.dead = 0 ORDER BY d.name, l.name"
    ).mappings()
    return [
        {
            "id": row["uuid"].hex(),
            "name": row["name"],
            "device": row["device_name"],
            "device_id": row["device"].hex(),
            "this_device": row["device"] == own,
            "drive": row["drive"],
            "path": name_json(row["path"]),
            "index_mode": row["index_mode"],
            "total_file_count": _text(row["total_file_count"]),
            "total_byte_size": _text(row["total_byte_size"]),
            "scan_state": row["scan_state"] if row["device"] == own else None,
            "last_scan_at_ms": _text(row["last_scan_at"]) if row["device"] == own else None,
            "error_message": row["error_message"] if row["device"] == own else None,
        }
        for row in found
    ]


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def find_device(connection: Connection, reference: str) -> bytes:
    """Return the id of a device by its name or the beginning of its id."""
    return _find(connection, "device", reference, "SELECT uuid, name FROM device WHERE dead = 0")


def find_own_location(connection: Connection, reference: str, epoch: int) -> bytes:
    """Return the uuid of a location of this device by its name, path or the beginning of its id."""
    by_path = connection.exec_driver_sql(
        "SELECT uuid FROM location WHERE epoch = ? AND dead = 0 AND path = ?",
        (epoch, reference.encode("utf-8", "surrogateescape").rstrip(b"/") or b"/"),
    ).scalar()
    if by_path is not None:
        return bytes(by_path)
    query = f"SELECT uuid, name FROM location WHERE dead = 0 AND epoch = {epoch:d}"
    return _find(connection, "location", reference, query)


def _find(connection: Connection, what: str, reference: str, query: str) -> bytes:
    rows = connection.exec_driver_sql(query).all()
    found = [uuid for uuid, name in rows if name == reference]
    if not found and len(reference) >= 4:
        found = [uuid for uuid, _ in rows if uuid.hex().startswith(reference.lower())]
    if not found:
        raise NotFoundError(f"there is no {what} “{reference}”", hint=f"leaderless {what} list")
    if len(found) > 1:
        ids = ", ".join(sorted(uuid.hex() for uuid in found))
        raise UsageError(
            f"“{reference}” is the name of several: {ids}", hint="use one of these ids"
        )
    return bytes(found[0])


async def rename_device(store: Store, name: str) -> None:
    """Give this device another name."""
    if not name or len(name) > 64:
        raise UsageError("a device's name has 1 to 64 characters")
    columns = ("uuid", *_DEVICE_FIELDS)

    def own_row(connection: Connection) -> tuple[Any, ...]:
        listed = ", ".join(columns)
        row = connection.exec_driver_sql(
            f"SELECT {listed} FROM device WHERE uuid = ?", (store.own_device,)
        ).one()
        return (row[0], name, *row[2:])

    row = await store.read(own_row)
    await store.write(lambda tx: tx.put("device", columns, [row]))


def names_for_completion(connection: Connection, kind: str, prefix: str) -> list[str]:
    """Return the names of tags, devices or locations that begin with `prefix`."""
    queries = {
        "tag": "SELECT canonical_name FROM tag",
        "device": "SELECT name FROM device WHERE dead = 0",
        "location": "SELECT name FROM location WHERE dead = 0",
    }
    if kind not in queries:
        raise UsageError(f"there is nothing to complete for {kind}")
    found = connection.exec_driver_sql(queries[kind]).scalars()
    return sorted({name for name in found if name and name.startswith(prefix)})[:100]
