"""What people call records and devices: a name, or for what has none the things it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.store.called import file_name, own_name
from leaderless.store.registers import read_state
from registry.state import last_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from registry.changes import Value

_EDGES: Final = {"parent_child": "under", "synonym": "the same as", "related": "related to"}

_FILE_ENDS: Final = {
    "user_metadata": "target",
    "user_metadata_tag": "item",
    "album_entry": "item",
}
"""Which field of a record names the file that it says something of."""


def device_name(connection: Connection, device: bytes) -> str:
    """Return what a device is called, the beginning of its id if it is not known."""
    name = connection.exec_driver_sql(
        "SELECT name FROM device WHERE uuid = ? AND dead = 0", (device,)
    ).scalar()
    return str(name) if name is not None else device.hex()[:8]


def device_names(connection: Connection) -> dict[bytes, str]:
    """Return what every device is called that has said so."""
    found = connection.exec_driver_sql("SELECT uuid, name FROM device WHERE dead = 0")
    return {uuid: str(name) for uuid, name in found}


def record_name(connection: Connection, model: str, record: bytes) -> str:
    """Return what a person calls a record, or had called it; its id where it has no name."""
    fields = last_fields(read_state(connection, model, record))
    _, name = own_name(fields)
    return name or _by_its_ends(connection, model, fields) or record.hex()


def _by_its_ends(connection: Connection, model: str, fields: Mapping[str, Value]) -> str | None:
    """Return what a link, or what is said of a file, is about; None for any other record."""

    def file(field: str) -> str:
        item = fields.get(field)
        if not isinstance(item, bytes):
            return "nothing"
        return _known_file(connection, item) or item.hex()

    def named(of: str, field: str) -> str:
        end = fields.get(field)
        return record_name(connection, of, end) if isinstance(end, bytes) else "nothing"

    match model:
        case "user_metadata":
            return f"of {file('target')}"
        case "user_metadata_tag":
            return f"{named('tag', 'tag')} on {file('item')}"
        case "album_entry":
            return f"{file('item')} in {named('album', 'album')}"
        case "tag_relation":
            edge = _EDGES.get(str(fields.get("relation")), "beside")
            return f"{named('tag', 'child')} {edge} {named('tag', 'parent')}"
    return None


def file_of(connection: Connection, model: str, record: bytes) -> str | None:
    """Return the name of the file that a record says something of; None where there is none."""
    end = _FILE_ENDS.get(model)
    if end is None:
        return None
    fields = last_fields(read_state(connection, model, record))
    item = fields.get(end)
    return _known_file(connection, item) if isinstance(item, bytes) else None


def _known_file(connection: Connection, item: bytes) -> str | None:
    name = file_name(connection, item)
    return None if name is None else name.decode("utf-8", "backslashreplace")
