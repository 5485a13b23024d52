"""Tags: listing, naming and editing them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from entities.tag import FIELDS
from leaderless.catalogue import references
from leaderless.errors import UsageError
from leaderless.protocol.packing import unpack
from leaderless.protocol.records import decode_ref
from registry.changes import Create, Delete, Restore, Update
from registry.models import FieldKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.store.store import Store
    from registry.changes import Edit, Value
    from registry.models import Field

MAX_NAME: Final = 256
"""Characters of a tag's name."""
_BY_NAME = {field.name: field for field in FIELDS}


def tag_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tag for JSON."""
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
    """Return every tag, by name."""
    found = connection.exec_driver_sql(
        "SELECT * FROM tag ORDER BY namespace, canonical_name, uuid"
    ).mappings()
    return [tag_json(dict(row)) for row in found]


def list_deleted(connection: Connection) -> list[dict[str, Any]]:
    """Return the deleted tags with the values they had, by name."""
    shown = [_deleted_json(uuid, fields) for uuid, fields in _deleted(connection).items()]
    return sorted(shown, key=lambda tag: (str(tag["canonical_name"] or ""), tag["id"]))


def _deleted(connection: Connection) -> dict[bytes, dict[str, Any]]:
    found = connection.exec_driver_sql(
        "SELECT uuid, kept FROM record WHERE model = 'tag' AND state IS NULL"
    )
    return {
        uuid: {} if kept is None else unpack(kept, len(kept)) for uuid, kept in found.fetchall()
    }


def _deleted_json(uuid: bytes, fields: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": uuid.hex()}
    for field in FIELDS:
        value = fields.get(field.name)
        if field.kind is FieldKind.SET and value is not None:
            value = sorted(key for key, there in value.items() if there)
        shown[field.name] = _plain(value)
    return shown


def find_tag(connection: Connection, reference: str) -> bytes:
    """Return the id of a tag by its name, an alias, NAMESPACE:NAME, or either end of its id.

    Raises NotFoundError, or UsageError that tells apart those that fit.
    """
    namespace, _, name = reference.rpartition(":")
    found = (
        connection.exec_driver_sql(
            "SELECT uuid FROM tag WHERE canonical_name = ? OR display_name = ?"
            " OR (canonical_name = ? AND namespace = ?)"
            " OR EXISTS (SELECT 1 FROM json_each(aliases) WHERE value = ?)",
            (reference, reference, name, namespace, reference),
        )
        .scalars()
        .all()
    )
    if len(found) == 1:
        return bytes(found[0])
    ids = connection.exec_driver_sql("SELECT uuid FROM tag").scalars().all()

    def about(uuid: bytes) -> str:
        row = connection.exec_driver_sql("SELECT * FROM tag WHERE uuid = ?", (uuid,)).mappings()
        return _about(tag_json(dict(row.one())))

    some = found or references.fitting(reference, ids)
    return references.the_one("tag", reference, some, ids, about, "leaderless tag list")


def find_deleted_tag(connection: Connection, reference: str) -> bytes:
    """Return the id of a deleted tag by the name it had or either end of its id."""
    deleted = _deleted(connection)
    found = [
        uuid
        for uuid, fields in deleted.items()
        if reference in (fields.get("canonical_name"), fields.get("display_name"))
    ]
    return references.the_one(
        "deleted tag",
        reference,
        found or references.fitting(reference, deleted),
        deleted,
        lambda uuid: _about(_deleted_json(uuid, deleted[uuid])),
        "leaderless tag list --deleted",
    )


def _about(tag: Mapping[str, Any]) -> str:
    """Return what tells a tag from another of its name."""
    said = [f"{name} {tag[name]}" for name in ("namespace", "color") if tag[name]]
    if tag["aliases"]:
        said.append(f"aliases {', '.join(tag['aliases'])}")
    return ", ".join(said)


def parse_value(name: str, value: object) -> dict[str | tuple[str, str], Value]:
    """Return the register writes that set a field of a tag to what a person gave.

    A set takes "+element" or "-element" (commas between), a map "key=value" ("key=" removes it), and
    both take a list of these. Any other field takes text, or None: unset, which is not empty.
    """
    field = _BY_NAME.get(name)
    if field is None:
        known = ", ".join(sorted(_BY_NAME))
        raise UsageError(f"a tag has no field “{name}”", hint=f"fields: {known}")
    if bytes in field.types:
        raise UsageError(f"{name} is set by the device that makes a tag")
    if field.kind is not FieldKind.PLAIN:
        return _parse_parts(field, value)
    if name == "canonical_name":
        return {name: _checked_name(value)}
    if value is None or (not isinstance(value, str) and field.accepts(value)):
        return {name: value}
    if not isinstance(value, str):
        raise UsageError(f"{name} is given as text, once")
    if bool in field.types:
        if value.lower() not in ("true", "false"):
            raise UsageError(f"{name} is true or false")
        return {name: value.lower() == "true"}
    if int in field.types:
        try:
            number = int(value)
        except ValueError as error:
            raise UsageError(f"{name} is a number") from error
        if not field.accepts(number):
            raise UsageError(f"{name} is a number of 64 bits")
        return {name: number}
    return {name: _checked_text(name, value)}


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > MAX_NAME:
        raise UsageError(f"a tag's name has 1 to {MAX_NAME} characters")
    return _checked_text("a tag's name", name)


def _checked_text(what: str, text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"{what} is no text: it holds bytes that are not UTF-8") from None
    return text


def _parse_parts(field: Field, value: object) -> dict[str | tuple[str, str], Value]:
    """Return the writes to the elements of a set or the keys of a map."""
    form = "+ELEMENT or -ELEMENT" if field.kind is FieldKind.SET else "KEY=VALUE"
    writes: dict[str | tuple[str, str], Value] = {}
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str):
            raise UsageError(f"{field.name} takes {form}")
        _checked_text(field.name, item)
        if field.kind is FieldKind.SET:
            writes.update(_parse_set(field.name, item))
            continue
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise UsageError(f"{field.name} takes {form}")
        writes[field.name, key] = text or None
    return writes


def _parse_set(name: str, value: str) -> dict[str | tuple[str, str], Value]:
    writes: dict[str | tuple[str, str], Value] = {}
    for part in value.split(","):
        sign, element = (part[0], part[1:]) if part[:1] in ("+", "-") else ("+", part)
        if not element:
            raise UsageError(f"{name} takes +ELEMENT or -ELEMENT")
        writes[name, element] = True if sign == "+" else None
    return writes


async def create_tag(store: Store, name: str, given: Mapping[str, object]) -> bytes:
    """Make a tag; two of one name are two tags. Returns its id."""
    fields: dict[str | tuple[str, str], Value] = {
        "canonical_name": _checked_name(name),
        "created_by_device": store.own_device,
    }
    for key, value in given.items():
        fields.update(parse_value(key, value))
    uuid = store.ids.new()
    await _commit(store, "tag.create", Create("tag", uuid, fields))
    return uuid


async def set_tag(store: Store, reference: str, given: Mapping[str, object]) -> bytes:
    """Change fields of a tag; returns its id."""
    uuid = await store.read(lambda connection: find_tag(connection, reference))
    fields: dict[str | tuple[str, str], Value] = {}
    for key, value in given.items():
        fields.update(parse_value(key, value))
    if not fields:
        raise UsageError("nothing to set", hint="leaderless tag set TAG FIELD=VALUE")
    await _commit(store, "tag.set", Update("tag", uuid, fields))
    return uuid


async def rename_tag(store: Store, reference: str, name: str) -> bytes:
    """Give a tag another name; returns its id."""
    uuid = await store.read(lambda connection: find_tag(connection, reference))
    await _commit(store, "tag.rename", Update("tag", uuid, {"canonical_name": _checked_name(name)}))
    return uuid


async def delete_tag(store: Store, reference: str) -> bytes:
    """Delete a tag; returns its id, by which it can be restored."""
    uuid = await store.read(lambda connection: find_tag(connection, reference))
    await _commit(store, "tag.delete", Delete("tag", uuid))
    return uuid


async def restore_tag(store: Store, reference: str) -> bytes:
    """Bring a deleted tag back with the values it had; returns its id."""
    uuid = await store.read(lambda connection: find_deleted_tag(connection, reference))
    await _commit(store, "tag.restore", Restore("tag", uuid))
    return uuid


async def _commit(store: Store, command: str, edit: Edit) -> None:
    await store.write(lambda tx: tx.commit(command, [edit]))


def conflicts(connection: Connection) -> list[dict[str, Any]]:
    """Return the journal: values that lost against one their author had not seen."""
    found = connection.exec_driver_sql(
        "SELECT id, model, record, field, subkey, value, loser, winner, cause, noted_at"
        " FROM journal ORDER BY id"
    )
    listed = []
    for number, model, record, field, subkey, value, loser, winner, cause, noted in found:
        lost, won = decode_ref(loser), decode_ref(winner)
        listed.append(
            {
                "number": number,
                "model": model,
                "record": record.hex(),
                "field": field,
                "subkey": subkey,
                "value": _plain(unpack(value, len(value))),
                "author": lost.feed[:16].hex(),
                "at_ms": str(lost.stamp.ms),
                "winner": won.feed[:16].hex(),
                "winner_at_ms": str(won.stamp.ms),
                "cause": cause,
                "noted_at_ms": str(noted),
            }
        )
    return listed


def _plain(value: Value) -> Any:  # noqa: ANN401 - JSON
    return value.hex() if isinstance(value, bytes) else value
