"""Everything that is known of one file: its copies, what was said of it, by whom, and when last.

Read in one snapshot from rows and registers, so it holds for files of devices that are off, too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from entities.content import content_id
from leaderless.catalogue import metadata
from leaderless.catalogue.conflicts import conflict_json, conflicts, shown_ids
from leaderless.catalogue.copies import copies
from leaderless.catalogue.hierarchy import read_hierarchy
from leaderless.catalogue.locks import lock_json
from leaderless.catalogue.names import device_name, record_name
from leaderless.catalogue.origins import Origins
from leaderless.catalogue.places import entries_json
from leaderless.catalogue.targets import CONTENT, ENTRY
from leaderless.catalogue.text import plain_json
from leaderless.errors import NotFoundError
from leaderless.store.registers import read_state
from registry.changes import LOCK_FIELD
from registry.state import last_fields

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sqlalchemy import Connection

    from leaderless.catalogue.conflicts import Conflict
    from registry.models import Registry
    from registry.state import Write

MAX_COPIES: Final = 100
"""Copies that are listed; an empty file has one on every device, many times."""


class _File(NamedTuple):
    """A file, the items that can be said of it, and the records that say something."""

    entry: bytes
    content_hash: bytes | None
    items: dict[bytes, str]
    records: dict[tuple[str, bytes], str]


def show(
    connection: Connection,
    registry: Registry,
    entry: bytes,
    own: bytes,
    online: Collection[bytes],
) -> dict[str, Any]:
    """Return everything known of the file with that entry id; raises NotFoundError."""
    row = connection.exec_driver_sql(
        "SELECT id, kind, content FROM entry WHERE uuid = ? AND dead = 0", (entry,)
    ).first()
    if row is None:
        raise NotFoundError("this file is not in the catalogue", hint="leaderless find")
    key, kind, content_hash = row
    (about,) = entries_json(connection, [key], own, online)
    file = _file(connection, entry, content_hash)
    shown: dict[str, Any] = {"file": about}
    if kind == "file":
        shown["copies"] = copies(connection, entry, own, online, MAX_COPIES)
    of_content, of_entry = _said(connection, file)
    fields = metadata.overlay(
        {key: write.value for key, write in of_content.items()},
        {key: write.value for key, write in of_entry.items()},
    )
    origins, lost = Origins(connection), conflicts(connection, registry)
    shorts = shown_ids(lost)
    return {
        **shown,
        "metadata": metadata.metadata_json(fields),
        "tags": _tags(connection, file, origins),
        "albums": _albums(connection, file, origins),
        "changes": _changes(connection, file, origins, hidden=of_entry.keys()),
        "locks": list(_locks(connection, file)),
        "conflicts": [
            conflict_json(connection, conflict, shorts)
            for conflict in lost
            if _concerns(connection, file, conflict)
        ],
    }


def _file(connection: Connection, entry: bytes, content_hash: bytes | None) -> _File:
    """Return a file with everything that says something of it or of its content."""
    items = {entry: ENTRY}
    records: dict[tuple[str, bytes], str] = {}
    if content_hash is not None:
        content = content_id(content_hash)
        items[content] = CONTENT
        records["content", content] = CONTENT
    for item, scope in items.items():
        for model, column in (
            (metadata.MODEL, "target"),
            ("user_metadata_tag", "item"),
            ("album_entry", "item"),
        ):
            found = connection.exec_driver_sql(
                f"SELECT uuid FROM {model} WHERE {column} = ? AND scope = ?", (item, scope)
            )
            records.update(((model, uuid), scope) for uuid in found.scalars())
    return _File(entry, content_hash, items, records)


def _said(connection: Connection, file: _File) -> list[Mapping[Any, Write]]:
    """Return what is said of the content, and of the entry, by register."""
    ids = metadata.records_of(file.entry, file.content_hash)
    states = metadata.metadata_states(connection, [uuid for uuid in ids if uuid is not None])
    return [metadata.said(states.get(uuid or b"")) for uuid in ids]


def _tags(connection: Connection, file: _File, origins: Origins) -> list[dict[str, Any]]:
    """Return the tags of a file by context and name: merged ones resolved, with all above them."""
    hierarchy = read_hierarchy(connection)
    found = []
    for item, scope in file.items.items():
        rows = connection.exec_driver_sql(
            "SELECT m.uuid, m.tag, m.context, m.variant, m.confidence, m.source, m.attributes,"
            " c.namespace, c.color FROM user_metadata_tag m JOIN tag t ON t.uuid = m.tag"
            " JOIN tag c ON c.uuid = coalesce(t.canonical, t.uuid)"
            " WHERE m.item = ? AND m.scope = ?",
            (item, scope),
        )
        for link, tag, context, variant, confidence, source, attributes, *about in rows.all():
            canonical = hierarchy.canonical(tag)
            found.append(
                {
                    "id": canonical.hex(),
                    "name": hierarchy.name(canonical),
                    "namespace": about[0],
                    "color": about[1],
                    "merged_from": None if tag == canonical else hierarchy.name(tag),
                    "above": sorted(hierarchy.name(above) for above in hierarchy.above(canonical)),
                    "scope": scope,
                    "context": context,
                    "variant": variant,
                    "confidence": confidence,
                    "source": source,
                    "attributes": json.loads(attributes) if attributes else {},
                    "link": link.hex(),
                    **lock_json(connection, "tag", hierarchy.members(canonical)),
                    **_last(connection, origins, "user_metadata_tag", link),
                }
            )
    return sorted(found, key=lambda tag: (tag["context"] or "", tag["name"], tag["link"]))


def _albums(connection: Connection, file: _File, origins: Origins) -> list[dict[str, Any]]:
    """Return the albums that a file is in, by name; one that holds it twice comes twice."""
    found = []
    for item, scope in file.items.items():
        rows = connection.exec_driver_sql(
            "SELECT a.uuid, a.name, l.caption, l.added_by, l.uuid FROM album_entry l"
            " JOIN album a ON a.uuid = l.album WHERE l.item = ? AND l.scope = ?",
            (item, scope),
        )
        for album, name, caption, added_by, link in rows.all():
            found.append(
                {
                    "id": album.hex(),
                    "name": name,
                    "scope": scope,
                    "caption": caption,
                    "added_by": None if added_by is None else device_name(connection, added_by),
                    "link": link.hex(),
                    **lock_json(connection, "album", [album]),
                    **_last(connection, origins, "album_entry", link),
                }
            )
    return sorted(found, key=lambda album: (album["name"] or "", album["id"], album["link"]))


def _changes(
    connection: Connection,
    file: _File,
    origins: Origins,
    hidden: Collection[tuple[str, str | None]],
) -> list[dict[str, Any]]:
    """Return who gave each field its value, and when: the newest first.

    A lock or an undo that has written a value anew was not who said it. `hidden` are the fields of
    the content's metadata that the entry's lie over.
    """
    found = []
    for (model, uuid), scope in file.records.items():
        state = read_state(connection, model, uuid)
        for (field, subkey), write in state.shown().items():
            if field == LOCK_FIELD:
                continue
            over = model == metadata.MODEL and scope == CONTENT and (field, subkey) in hidden
            ref = origins.of(write) or write.ref
            found.append((ref, model, uuid, scope, field, subkey, write.value, not over))
    found.sort(key=lambda change: (change[0], change[1:3]), reverse=True)
    names: dict[bytes, str] = {}
    linked = _linked(connection, file)
    return [
        {
            "model": model,
            "record": uuid.hex(),
            "name": linked.get(uuid),
            "scope": scope,
            "field": field,
            "subkey": subkey,
            "value": plain_json(value),
            "in_effect": in_effect,
            "by": names.setdefault(ref.feed[:16], device_name(connection, ref.feed[:16])),
            "by_id": ref.feed[:16].hex(),
            "at_ms": str(ref.stamp.ms),
        }
        for ref, model, uuid, scope, field, subkey, value, in_effect in found
    ]


def _linked(connection: Connection, file: _File) -> dict[bytes, str | None]:
    """Return of the links of a file the name of the tag or album at their other end."""
    found: dict[bytes, str | None] = {}
    hierarchy = None
    for model, uuid in file.records:
        if model == "album_entry":
            found[uuid] = connection.exec_driver_sql(
                "SELECT a.name FROM album_entry l JOIN album a ON a.uuid = l.album WHERE l.uuid = ?",
                (uuid,),
            ).scalar()
        elif model == "user_metadata_tag":
            hierarchy = hierarchy or read_hierarchy(connection)
            tag = connection.exec_driver_sql(
                "SELECT tag FROM user_metadata_tag WHERE uuid = ?", (uuid,)
            ).scalar_one()
            found[uuid] = hierarchy.name(tag)
    return found


def _last(connection: Connection, origins: Origins, model: str, uuid: bytes) -> dict[str, str]:
    """Return who gave a link its newest value, and when."""
    shown = read_state(connection, model, uuid).shown()
    writes = [write for write in shown.values() if write.field != LOCK_FIELD]
    ref = max(origins.of(write) or write.ref for write in writes)
    by = ref.feed[:16]
    return {"by": device_name(connection, by), "by_id": by.hex(), "at_ms": str(ref.stamp.ms)}


def _locks(connection: Connection, file: _File) -> Iterator[dict[str, Any]]:
    """Yield which records of a file are locked, and by which device."""
    for (model, uuid), scope in file.records.items():
        by = connection.exec_driver_sql(
            "SELECT locked_by FROM record WHERE model = ? AND uuid = ?", (model, uuid)
        ).scalar()
        if by is not None:
            yield {
                "model": model,
                "record": uuid.hex(),
                "name": record_name(connection, model, uuid),
                "scope": scope,
                "by": device_name(connection, by),
                "by_id": by.hex(),
            }


def _concerns(connection: Connection, file: _File, conflict: Conflict) -> bool:
    """Return whether a conflict is about a record of the file, even one that is deleted."""
    if (conflict.model, conflict.record) in file.records:
        return True
    if conflict.model not in (metadata.MODEL, "user_metadata_tag", "album_entry"):
        return False
    fields = last_fields(read_state(connection, conflict.model, conflict.record))
    named = fields.get("target" if conflict.model == metadata.MODEL else "item")
    return isinstance(named, bytes) and file.items.get(named) == fields.get("scope")
