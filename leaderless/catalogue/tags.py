"""Tags: listing, naming and editing them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from entities.tag import FIELDS
from leaderless.errors import NotFoundError, UsageError
from leaderless.protocol.packing import unpack
from leaderless.protocol.records import decode_ref
from registry.changes import Create, Delete, Restore, Update
from registry.models import FieldKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.store.store import Store
    from registry.changes import Edit, Value

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
        shown[field.name] = value
    return shown


def list_tags(connection: Connection) -> list[dict[str, Any]]:
    """Return every tag, by name."""
    found = connection.exec_driver_sql(
        "SELECT * FROM tag ORDER BY namespace, canonical_name, uuid"
    ).mappings()
    return [tag_json(dict(row)) for row in found]


def find_tag(connection: Connection, reference: str) -> bytes:
    """Return the id of a tag by its name, an alias, NAMESPACE:NAME, or the beginning of its id.

    Raises NotFoundError, or UsageError that lists the ids where several fit.
    """
    namespace, _, name = reference.rpartition(":")
    found = connection.exec_driver_sql(
        "SELECT uuid FROM tag WHERE canonical_name = ? OR display_name = ?"
        " OR (canonical_name = ? AND namespace = ?)"
        " OR EXISTS (SELECT 1 FROM json_each(aliases) WHERE value = ?)",
        (reference, reference, name, namespace, reference),
    ).scalars()
    return _one("tag", reference, list(found.all()) or _by_id(connection, "tag", reference))


def find_deleted_tag(connection: Connection, reference: str) -> bytes:
    """Return the id of a deleted tag by the name it had or the beginning of its id."""
    rows = connection.exec_driver_sql(
        "SELECT uuid, kept FROM record WHERE model = 'tag' AND state IS NULL"
    ).all()
    named = []
    for uuid, kept in rows:
        fields = {} if kept is None else unpack(kept, len(kept))
        by_name = reference in (fields.get("canonical_name"), fields.get("display_name"))
        by_id = len(reference) >= 4 and uuid.hex().startswith(reference.lower())
        if by_name or by_id:
            named.append(uuid)
    return _one("deleted tag", reference, named)


def _by_id(connection: Connection, table: str, reference: str) -> list[bytes]:
    prefix = reference.lower().replace("-", "")
    if len(prefix) < 4 or any(digit not in "0123456789abcdef" for digit in prefix):
        return []
    found = connection.exec_driver_sql(
        f"SELECT uuid FROM {table} WHERE lower(hex(uuid)) LIKE ?", (prefix + "%",)
    )
    return list(found.scalars())


def _one(what: str, reference: str, found: list[bytes]) -> bytes:
    if not found:
        raise NotFoundError(f"there is no {what} “{reference}”", hint=f"leaderless {what} list")
    if len(found) > 1:
        ids = ", ".join(sorted(uuid.hex() for uuid in found))
        raise UsageError(
            f"“{reference}” is the name of several: {ids}", hint="use one of these ids"
        )
    return bytes(found[0])


def parse_value(name: str, value: object) -> dict[str | tuple[str, str], Value]:
    """Return the register writes that set a field of a tag to what a person gave.

    A set takes "+element" or "-element" (commas between), a map "key=value" ("key=" removes it).
    """
    field = _BY_NAME.get(name)
    if field is None:
        known = ", ".join(sorted(_BY_NAME))
        raise UsageError(f"a tag has no field “{name}”", hint=f"fields: {known}")
    if value is None and field.kind is FieldKind.PLAIN:
        return {name: None}
    if not isinstance(value, str):
        raise UsageError(f"{name} is given as text")
    if field.kind is FieldKind.SET:
        return _parse_set(name, value)
    if field.kind is FieldKind.MAP:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise UsageError(f"{name} takes KEY=VALUE")
        return {(name, key): text or None}
    if bool in field.types:
        if value.lower() not in ("true", "false"):
            raise UsageError(f"{name} is true or false")
        return {name: value.lower() == "true"}
    if int in field.types:
        try:
            return {name: int(value)}
        except ValueError as error:
            raise UsageError(f"{name} is a number") from error
    if bytes in field.types:
        raise UsageError(f"{name} is set by the device that makes a tag")
    return {name: value}


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
    if not name or len(name) > 256:
        raise UsageError("a tag's name has 1 to 256 characters")
    fields: dict[str | tuple[str, str], Value] = {
        "canonical_name": name,
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
    if not name or len(name) > 256:
        raise UsageError("a tag's name has 1 to 256 characters")
    await _commit(store, "tag.rename", Update("tag", uuid, {"canonical_name": name}))
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
