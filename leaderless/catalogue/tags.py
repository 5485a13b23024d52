"""Tags: naming and editing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entities.tag import FIELDS
from leaderless.catalogue import references
from leaderless.catalogue.hierarchy import read_hierarchy
from leaderless.catalogue.tag_listing import about_tag, deleted_json, deleted_together, tag_json
from leaderless.catalogue.values import check_name, parse_value
from leaderless.errors import UsageError
from registry.changes import Create, Delete, Restore, Update

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.catalogue.values import Writes
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Value


def find_tag(connection: Connection, reference: str) -> bytes:
    """Return the id of a tag by its name, an alias, NAMESPACE:NAME, or either end of its id.

    What was merged is found as the one that it is shown as. Raises NotFoundError, or UsageError
    that tells apart those that fit.
    """
    found = references.read_as(reference, lambda name: _called(connection, name))
    ids = connection.exec_driver_sql("SELECT uuid FROM tag").scalars().all()

    def about(uuid: bytes) -> str:
        row = connection.exec_driver_sql("SELECT * FROM tag WHERE uuid = ?", (uuid,)).mappings()
        return about_tag(tag_json(dict(row.one())))

    shown = {_canonical(connection, uuid) for uuid in found or references.fitting(reference, ids)}
    hint = "leaderless tag list"
    if not shown:
        gone = references.deleted(connection, "tag").values()
        hint = references.where_gone("tag", reference, gone, hint)
    return references.the_one("tag", reference, list(shown), ids, about, hint)


def _called(connection: Connection, reference: str) -> Sequence[bytes]:
    namespace, _, name = reference.rpartition(":")
    found = connection.exec_driver_sql(
        "SELECT uuid FROM tag WHERE canonical_name = ? OR display_name = ?"
        " OR (canonical_name = ? AND namespace = ?)"
        " OR EXISTS (SELECT 1 FROM json_each(aliases) WHERE value = ?)",
        (reference, reference, name, namespace, reference),
    )
    return found.scalars().all()


def _canonical(connection: Connection, tag: bytes) -> bytes:
    found = connection.exec_driver_sql(
        "SELECT coalesce(canonical, uuid) FROM tag WHERE uuid = ?", (tag,)
    ).scalar_one()
    return bytes(found)


def find_deleted_tag(connection: Connection, reference: str) -> list[bytes]:
    """Return a deleted tag by the name it had or either end of its id.

    With it come those that it was merged with, as they were deleted with it. Raises NotFoundError,
    or UsageError that tells apart those that fit.
    """
    deleted = references.deleted(connection, "tag")

    def called(name: str) -> list[bytes]:
        names = ("canonical_name", "display_name")
        return [uuid for uuid, held in deleted.items() if name in map(held.get, names)]

    found = references.read_as(reference, called)
    together = deleted_together(deleted)
    fit = {together[uuid][0] for uuid in found or references.fitting(reference, deleted)}
    one = references.the_one(
        "deleted tag",
        reference,
        list(fit),
        deleted,
        lambda uuid: about_tag(deleted_json(uuid, deleted[uuid])),
        "leaderless tag list --deleted",
    )
    return together[one]


def _parse(name: str, value: object) -> Writes:
    """Return the register writes that set a field of a tag to what a person gave."""
    if name == "merged_into":
        raise UsageError(f"{name}: tags are merged by name", hint="leaderless tag merge A B")
    if name == "created_by_device":
        raise UsageError(f"{name} is set by the device that makes a tag")
    if name == "canonical_name":
        return {name: check_name("a tag", value)}
    return parse_value("a tag", FIELDS, name, value)


async def create_tag(
    store: Store, name: str, given: Mapping[str, object], *, another: bool = False
) -> bytes:
    """Make a tag; returns its id.

    Raises NameTakenError where that namespace has one of that name, unless `another` is meant.
    """
    fields: Writes = {
        "canonical_name": check_name("a tag", name),
        "created_by_device": store.own_device,
    }
    for key, value in given.items():
        fields.update(_parse(key, value))
    uuid = store.ids.new()

    def write(transaction: Transaction) -> bytes:
        if not another:
            taken = _namesake(transaction.conn, name, fields.get("namespace"))
            references.refuse_namesake("tag", name, taken)
        transaction.commit("tag.create", [Create("tag", uuid, fields)], {"tag": name})
        return uuid

    return await store.write(write)


def _namesake(
    connection: Connection, name: str, namespace: Value, besides: bytes = b""
) -> bytes | None:
    """Return the tag that a name stands for already, as it is shown; the oldest of several.

    `besides` is one that may have it.
    """
    found: bytes | None = connection.exec_driver_sql(
        "SELECT coalesce(canonical, uuid) FROM tag WHERE canonical_name = ? AND namespace IS ?"
        " AND coalesce(canonical, uuid) <> ? ORDER BY uuid LIMIT 1",
        (name, namespace, besides),
    ).scalar()
    return found


async def set_tag(store: Store, reference: str, given: Mapping[str, object]) -> references.Edited:
    """Change fields of a tag; returns its id and the action's."""
    fields: Writes = {}
    for key, value in given.items():
        fields.update(_parse(key, value))
    if not fields:
        raise UsageError("nothing to set", hint="leaderless tag set TAG FIELD=VALUE")

    def write(transaction: Transaction) -> references.Edited:
        uuid = find_tag(transaction.conn, reference)
        data = {"tag": _name(transaction.conn, uuid), "fields": ", ".join(given)}
        action = transaction.commit("tag.set", [Update("tag", uuid, fields)], data)
        return references.Edited(uuid, action)

    return await store.write(write)


async def rename_tag(
    store: Store, reference: str, name: str, *, another: bool = False
) -> references.Edited:
    """Give a tag another name; returns its id and the action's.

    Raises NameTakenError where its namespace has one of that name, unless `another` is meant.
    """
    fields: Writes = {"canonical_name": check_name("a tag", name)}

    def write(transaction: Transaction) -> references.Edited:
        uuid = find_tag(transaction.conn, reference)
        if not another:
            namespace = transaction.conn.exec_driver_sql(
                "SELECT namespace FROM tag WHERE uuid = ?", (uuid,)
            ).scalar()
            taken = _namesake(transaction.conn, name, namespace, besides=uuid)
            references.refuse_namesake("tag", name, taken, references.RENAMING)
        data = {"tag": _name(transaction.conn, uuid), "to": name}
        action = transaction.commit("tag.rename", [Update("tag", uuid, fields)], data)
        return references.Edited(uuid, action)

    return await store.write(write)


async def delete_tag(store: Store, reference: str) -> bytes:
    """Delete a tag with all that was merged into it; returns the id to restore it by."""

    def write(transaction: Transaction) -> bytes:
        uuid = find_tag(transaction.conn, reference)
        members = read_hierarchy(transaction.conn).members(uuid)
        data = {"tag": _name(transaction.conn, uuid)}
        transaction.commit("tag.delete", [Delete("tag", member) for member in members], data)
        return uuid

    return await store.write(write)


async def restore_tag(store: Store, reference: str) -> bytes:
    """Bring a deleted tag back with the values it had; returns its id."""

    def write(transaction: Transaction) -> bytes:
        members = find_deleted_tag(transaction.conn, reference)
        deleted = references.deleted(transaction.conn, "tag")[members[0]]
        data = {"tag": deleted.get("canonical_name") or members[0].hex()}
        edits = [Restore("tag", member) for member in members]
        transaction.commit("tag.restore", edits, data)
        return _canonical(transaction.conn, members[0])

    return await store.write(write)


def _name(connection: Connection, tag: bytes) -> str:
    """Return what a tag is called now, its id where it has no name."""
    query = "SELECT coalesce(canonical_name, display_name) FROM tag WHERE uuid = ?"
    name = connection.exec_driver_sql(query, (tag,)).scalar()
    return str(name) if name else tag.hex()
