"""Tags as they are shown: in a list, and one with all that it stands to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from entities.tag import FIELDS
from entities.tag_relation import PARENT_CHILD
from leaderless.catalogue import references
from leaderless.catalogue.hierarchy import read_hierarchy, skipped_json
from leaderless.catalogue.locks import lock_json
from leaderless.catalogue.names import device_name
from leaderless.catalogue.text import plain_json
from registry.models import FieldKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from leaderless.catalogue.hierarchy import Hierarchy, Relation

_FILES = (
    "WITH link (tag, item) AS (SELECT coalesce(t.canonical, t.uuid), m.item FROM user_metadata_tag m"
    " JOIN tag t ON t.uuid = m.tag WHERE {}) SELECT tag, count(DISTINCT entry) FROM ("
    " SELECT tag, e.id AS entry FROM link JOIN entry e ON e.uuid = link.item WHERE e.dead = 0"
    " UNION ALL SELECT tag, e.id FROM link JOIN content c ON c.uuid = link.item"
    " JOIN entry e ON e.content = c.hash WHERE e.dead = 0) GROUP BY tag"
)


def tag_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tag's fields for JSON."""
    shown: dict[str, Any] = {"id": row["uuid"].hex()}
    for field in FIELDS:
        value = row[field.name]
        if field.kind is not FieldKind.PLAIN:
            value = json.loads(value) if value else None
        elif isinstance(value, bytes):
            value = value.hex()
        elif bool in field.types and value is not None:
            value = bool(value)
        shown[field.name] = value
    return shown


def list_tags(connection: Connection) -> list[dict[str, Any]]:
    """Return every tag by name, what is merged as one, with the number of files that carry it."""
    return _listed(connection, _FILES.format("1"), "canonical IS NULL", ())


def _listed(
    connection: Connection, counting: str, condition: str, values: tuple[bytes, ...]
) -> list[dict[str, Any]]:
    hierarchy = read_hierarchy(connection)
    files = {tag: count for tag, count in connection.exec_driver_sql(counting, values)}
    found = connection.exec_driver_sql(
        f"SELECT * FROM tag WHERE {condition} ORDER BY namespace, canonical_name, uuid", values
    ).mappings()
    return [
        {
            **tag_json(dict(row)),
            "created_by": _maker(connection, row["created_by_device"]),
            "files": str(files.get(row["uuid"], 0)),
            **relations_json(hierarchy, row["uuid"]),
            **lock_json(connection, "tag", hierarchy.members(row["uuid"])),
        }
        for row in found
    ]


def list_deleted(connection: Connection) -> list[dict[str, Any]]:
    """Return the deleted tags with the values they had, by name; what was merged as one."""
    fields = references.deleted(connection, "tag")
    listed = []
    for members in {
        min(together): together for together in deleted_together(fields).values()
    }.values():
        first, *others = (deleted_json(uuid, fields[uuid]) for uuid in members)
        first["created_by"] = _maker(connection, fields[members[0]].get("created_by_device"))
        merged = [{"id": tag["id"], "name": tag["canonical_name"] or tag["id"]} for tag in others]
        listed.append({**first, "merged": merged})
    return sorted(listed, key=lambda tag: (str(tag["canonical_name"] or ""), tag["id"]))


def _maker(connection: Connection, device: object) -> str | None:
    """Return what the device is called that made a tag."""
    return device_name(connection, device) if isinstance(device, bytes) else None


def deleted_json(uuid: bytes, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deleted tag's fields for JSON, as they were."""
    shown: dict[str, Any] = {"id": uuid.hex()}
    for field in FIELDS:
        value = fields.get(field.name)
        if field.kind is FieldKind.SET and value is not None:
            value = sorted(key for key, there in value.items() if there)
        shown[field.name] = plain_json(value)
    return shown


def deleted_together(fields: Mapping[bytes, Mapping[str, Any]]) -> dict[bytes, list[bytes]]:
    """Return for each deleted tag all those that were deleted with it, as they were merged."""
    together: dict[bytes, set[bytes]] = {uuid: {uuid} for uuid in fields}
    for uuid, held in fields.items():
        into = held.get("merged_into")
        if isinstance(into, bytes) and into in together:
            joined = together[uuid] | together[into]
            together.update(dict.fromkeys(joined, joined))
    return {uuid: sorted(members) for uuid, members in together.items()}


def about_tag(tag: Mapping[str, Any]) -> str:
    """Return what tells a tag from another of its name."""
    said = [f"{name} {tag[name]}" for name in ("namespace", "color") if tag[name]]
    if tag["aliases"]:
        said.append(f"aliases {', '.join(tag['aliases'])}")
    return ", ".join(said)


def show_tag(connection: Connection, uuid: bytes) -> dict[str, Any]:
    """Return a tag as `list_tags` does, by the id that it is shown as."""
    counting = _FILES.format("t.uuid = ?1 OR t.canonical = ?1")
    condition = "canonical IS NULL AND uuid = ?1"
    return next(iter(_listed(connection, counting, condition, (uuid,))), {})


def relations_json(hierarchy: Hierarchy, tag: bytes) -> dict[str, Any]:
    """Return what a tag stands to; `skipped` are edges that would close a circle."""
    edges = hierarchy.relations(tag)
    family = [edge for edge in edges if edge.kind == PARENT_CHILD]
    taken = [edge for edge in family if not edge.skipped]
    return {
        "merged": _named(hierarchy, (member for member in hierarchy.members(tag) if member != tag)),
        "parents": _named(hierarchy, (edge.parent for edge in taken if edge.child == tag)),
        "children": _named(hierarchy, (edge.child for edge in taken if edge.parent == tag)),
        "relations": [_relation(hierarchy, tag, edge) for edge in edges if edge not in family],
        "skipped": [skipped_json(hierarchy, edge) for edge in family if edge.skipped],
    }


def _named(hierarchy: Hierarchy, tags: Iterable[bytes]) -> list[dict[str, str]]:
    listed = [{"id": tag.hex(), "name": hierarchy.name(tag)} for tag in dict.fromkeys(tags)]
    return sorted(listed, key=lambda tag: (tag["name"], tag["id"]))


def _relation(hierarchy: Hierarchy, tag: bytes, edge: Relation) -> dict[str, Any]:
    other = edge.parent if edge.child == tag else edge.child
    return {
        "kind": edge.kind,
        "id": other.hex(),
        "name": hierarchy.name(other),
        "strength": edge.strength,
    }
