"""Devices, volumes and locations, as lists; and finding one by what a person calls it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from entities.device import DEVICE
from leaderless.catalogue import references
from leaderless.catalogue.matching import readings
from leaderless.catalogue.text import name_json
from leaderless.errors import NotPermittedError, UsageError
from leaderless.escape import printable
from leaderless.words import checked_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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
        shown["addresses"] = _addresses(row["addresses"])
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


def _addresses(text: str | None) -> list[str]:
    """Return the addresses in a device's row; others write theirs, and may write no list at all."""
    try:
        named = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return [item for item in named if isinstance(item, str)] if isinstance(named, list) else []


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def find_device(connection: Connection, reference: str) -> bytes:
    """Return the id of a device by its name or either end of its id."""
    names = _names(connection, "SELECT uuid, name FROM device WHERE dead = 0")
    found = references.read_as(reference, lambda said: _of_name(names, said))
    found = found or references.fitting(reference, names)
    hint = "leaderless device list"
    return references.the_one("device", reference, found, names, names.__getitem__, hint)


def find_own_location(connection: Connection, reference: str, epoch: int) -> bytes:
    """Return the uuid of a location of this device by its name, path or either end of its id.

    Raises NotPermittedError, with the device to ask, for one of another device.
    """
    names = _names(
        connection, "SELECT uuid, name FROM location WHERE dead = 0 AND epoch = ?", epoch
    )
    query = "SELECT uuid, name FROM location WHERE dead = 0 AND epoch = ? AND path = ?"
    paths = (_names(connection, query, epoch, path) for path in _paths(reference))
    some = list(next(filter(None, paths), ()))
    some = some or references.read_as(reference, lambda said: _of_name(names, said))
    some = some or references.fitting(reference, names)
    if not some:
        _refuse_elsewhere(connection, reference, epoch)
    hint = "leaderless location list"
    return references.the_one("location", reference, some, names, names.__getitem__, hint)


def find_locations(connection: Connection, reference: str) -> list[int]:
    """Return the local keys of the locations of that name or path, or the one of that id.

    On any device: folders of one name on two devices are both meant. Raises NotFoundError, or
    UsageError where an end of an id fits several.
    """
    rows = connection.exec_driver_sql(
        "SELECT id, uuid, name, path FROM location WHERE dead = 0 ORDER BY id"
    ).all()
    paths = _paths(reference)
    found = [key for key, _, name, at in rows if reference == name or paths[0] == at]
    found = found or references.read_as(
        reference, lambda said: [key for key, _, name, _ in rows if name == said]
    )
    found = found or [key for key, _, _, at in rows if at in paths]
    if found:
        return found
    names = {uuid: name for _, uuid, name, _ in rows}
    fit, hint = references.fitting(reference, names), "leaderless location list"
    one = references.the_one("location", reference, fit, names, names.__getitem__, hint)
    return [key for key, uuid, _, _ in rows if uuid == one]


def _of_name(names: Mapping[bytes, str], said: str) -> list[bytes]:
    return [uuid for uuid, name in names.items() if name == said]


def _paths(reference: str) -> list[bytes]:
    """Return the paths that a reference may mean: as it is, then with its escapes read."""
    found = []
    for reading in readings(reference) or [reference]:
        try:
            found.append(reading.encode("utf-8", "surrogateescape").rstrip(b"/") or b"/")
        except UnicodeEncodeError:
            continue  # half a character of another encoding
    return found or [b""]


def _refuse_elsewhere(connection: Connection, reference: str, epoch: int) -> None:
    rows = connection.exec_driver_sql(
        "SELECT l.uuid, l.name, i.device, d.name FROM location l"
        " JOIN incarnation i ON i.id = l.epoch"
        " LEFT JOIN device d ON d.uuid = i.device AND d.dead = 0"
        " WHERE l.dead = 0 AND l.epoch <> ?",
        (epoch,),
    ).all()
    fit = references.fitting(reference, [uuid for uuid, *_ in rows])
    devices = {
        device: known or device.hex()[:8]
        for uuid, name, device, known in rows
        if name == reference or uuid in fit
    }
    if devices:
        where = ", ".join(sorted(devices.values()))
        raise NotPermittedError(f"“{reference}” is on {where}", hint=f"run this on {where}")


def _names(connection: Connection, query: str, *values: object) -> dict[bytes, str]:
    return {uuid: name for uuid, name in connection.exec_driver_sql(query, values)}


def namesakes(connection: Connection, own: bytes) -> list[bytes]:
    """Return the ids of other devices that are called as this one is."""
    found = connection.exec_driver_sql(
        "SELECT uuid FROM device WHERE dead = 0 AND uuid <> ? AND name ="
        " (SELECT name FROM device WHERE uuid = ?) ORDER BY uuid",
        (own, own),
    )
    return list(found.scalars())


async def rename_device(store: Store, name: str) -> None:
    """Give this device another name."""
    checked_text("a device's name", name, 64)
    columns = ("uuid", *_DEVICE_FIELDS)

    def own_row(connection: Connection) -> tuple[Any, ...]:
        listed = ", ".join(columns)
        row = connection.exec_driver_sql(
            f"SELECT {listed} FROM device WHERE uuid = ?", (store.own_device,)
        ).one()
        return (row[0], name, *row[2:])

    row = await store.read(own_row)
    await store.write(lambda tx: tx.put("device", columns, [row]))


def names_for_completion(connection: Connection, kind: str, prefix: str, epoch: int) -> list[str]:
    """Return the names of tags, albums, devices or own locations that begin with `prefix`.

    Shells print them as they are, one a line: a name that would steer a terminal is left out.
    """
    queries = {
        "tag": "SELECT canonical_name FROM tag",
        "album": "SELECT name FROM album",
        "device": "SELECT name FROM device WHERE dead = 0",
        "location": f"SELECT name FROM location WHERE dead = 0 AND epoch = {epoch:d}",
    }
    if kind not in queries:
        raise UsageError(f"there is nothing to complete for {kind}")
    found = connection.exec_driver_sql(queries[kind]).scalars()
    fit = {name for name in found if name and name.startswith(prefix)}
    return sorted(name for name in fit if printable(name) == name)[:100]
