"""Records of any shared model, built in or of a package: listing, making and editing them.

What is shown comes from the registers by the rules of visibility, so it is right for every model,
whatever its table looks like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entities.content import content_id
from entities.user_metadata import metadata_id
from leaderless.catalogue import references
from leaderless.catalogue.locks import lock_json
from leaderless.catalogue.modelrules import MADE_BY, check_changed, check_created
from leaderless.catalogue.names import record_name
from leaderless.catalogue.text import value_json
from leaderless.catalogue.values import parse_value
from leaderless.errors import NotFoundError, UsageError
from leaderless.store.registers import Records
from leaderless.store.visibility import Visibility
from registry.changes import Create, Delete, Restore, Update
from registry.derived import link_id
from registry.models import FieldKind, Ownership

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.catalogue.values import Writes
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Value
    from registry.models import Model, Registry


def list_models(
    connection: Connection, registry: Registry, packages: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return every shared model with its number of records; also what is only kept for others.

    `packages` says which package a model is from.
    """
    held: dict[str, int] = {
        name: count
        for name, count in connection.exec_driver_sql(
            "SELECT model, count(*) FROM record WHERE state IS NOT NULL GROUP BY model"
        )
    }
    known = {model.sync_name: model for model in registry.shared()}
    return [
        {
            "model": name,
            "version": known[name].version if name in known else None,
            "package": packages.get(name),
            "fields": [item.name for item in known[name].fields] if name in known else None,
            "records": str(held.get(name, 0)),
        }
        for name in [*known, *sorted(held.keys() - known.keys())]
    ]


def find_model(registry: Registry, name: str) -> Model:
    """Return a shared model by its name; raises NotFoundError."""
    model = registry.get(name)
    if model is None or model.ownership is not Ownership.SHARED:
        raise NotFoundError(f"there is no shared model “{name}”", hint="leaderless record models")
    return model


def find_record(connection: Connection, model: Model, reference: str, *, alive: bool) -> bytes:
    """Return a record by either end of its id; a deleted one if not `alive`.

    Raises NotFoundError, or UsageError that tells apart those that fit.
    """
    name = model.sync_name
    state = "IS NOT NULL" if alive else "IS NULL"
    found = connection.exec_driver_sql(
        f"SELECT uuid FROM record WHERE model = ? AND state {state}", (name,)
    ).scalars()
    ids = found.all()

    def about(uuid: bytes) -> str:
        called = record_name(connection, name, uuid)
        return "" if called == uuid.hex() else called

    hint = f"leaderless record list {name}"
    what = name if alive else f"deleted {name}"
    if not alive:
        hint = "leaderless history shows what was deleted"
    return references.the_one(what, reference, references.fitting(reference, ids), ids, about, hint)


def list_records(
    connection: Connection, registry: Registry, model: Model, limit: int
) -> list[dict[str, Any]]:
    """Return the first records of a model that are to be seen, in the order of their ids."""
    found = connection.exec_driver_sql(
        "SELECT uuid FROM record WHERE model = ? AND state IS NOT NULL ORDER BY uuid",
        (model.sync_name,),
    ).scalars()
    records = Records(connection, registry, 0)
    visibility = Visibility(connection, registry, records.state)
    shown: list[dict[str, Any]] = []
    for uuid in found.all():
        fields = visibility.fields(model.sync_name, uuid)
        if fields is not None:
            shown.append(_json(model, uuid, fields))
        if len(shown) == limit:
            break
    return shown


def show_record(
    connection: Connection, registry: Registry, model: Model, record: bytes
) -> dict[str, Any]:
    """Return a living record; `hidden` if what it refers to is not there."""
    records = Records(connection, registry, 0)
    fields = Visibility(connection, registry, records.state).fields(model.sync_name, record)
    return {
        **_json(model, record, fields or {}),
        "hidden": fields is None,
        **lock_json(connection, model.sync_name, [record]),
    }


def _json(model: Model, record: bytes, fields: Mapping[str, Value]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for item in model.fields:
        value = fields.get(item.name)
        if item.kind is FieldKind.PLAIN:
            value = value if item.accepts(value) else None
        else:
            entries = value if isinstance(value, dict) else {}
            value = {key: entry for key, entry in sorted(entries.items()) if item.accepts(entry)}
            if item.kind is FieldKind.SET:
                value = [key for key, there in value.items() if there]
        shown[item.name] = value_json(model.sync_name, item.name, value)
    return {"id": record.hex(), "fields": shown}


# --- editing --------------------------------------------------------------------------------------


async def create_record(store: Store, name: str, given: Mapping[str, object]) -> bytes:
    """Make a record; returns its id. Links, and what exists once, get the id that all derive."""
    model = find_model(store.registry, name)
    fields = _writes(model, given)
    missing = [item.name for item in model.fields if not item.nullable and item.name not in fields]
    if missing:
        raise UsageError(
            f"a {name} needs {', '.join(missing)}",
            hint=f"leaderless record create {name} {missing[0]}=VALUE",
        )

    check_created(model, fields)
    fields.update(dict.fromkeys(MADE_BY.get(name, ()), store.own_device))

    def write(transaction: Transaction) -> bytes:
        uuid = _derived(model, fields)
        taken = uuid is None or (
            model.link is not None
            and model.link.repeatable
            and _is_alive(transaction.conn, name, uuid)
        )
        chosen = store.ids.new() if uuid is None or taken else uuid
        transaction.commit(f"{name}.create", [Create(name, chosen, fields)])
        return chosen

    return await store.write(write)


def _derived(model: Model, fields: Writes) -> bytes | None:
    """Return the id that every device derives for such a record, None where each has its own."""
    match model.sync_name, fields:
        case "content", {"hash": bytes(full_hash)}:
            return content_id(full_hash)
        case "user_metadata", {"scope": str(scope), "target": bytes(target)}:
            return metadata_id(scope, target)
    if model.link is None:
        return None
    item, group = fields.get(model.link.item), fields.get(model.link.group)
    if not isinstance(item, bytes) or not isinstance(group, bytes):
        raise UsageError(f"a {model.sync_name} needs {model.link.item} and {model.link.group}")
    return link_id(model.sync_name, item, group)


def _is_alive(connection: Connection, name: str, uuid: bytes) -> bool:
    query = "SELECT 1 FROM record WHERE model = ? AND uuid = ? AND state IS NOT NULL"
    return connection.exec_driver_sql(query, (name, uuid)).first() is not None


async def set_record(store: Store, name: str, reference: str, given: Mapping[str, object]) -> bytes:
    """Change fields of a record; returns its id."""
    model = find_model(store.registry, name)
    fields = _writes(model, given)
    if not fields:
        hint = f"leaderless record set {name} ID FIELD=VALUE"
        raise UsageError("nothing to set", hint=hint)
    check_changed(model, fields)

    def write(transaction: Transaction) -> bytes:
        uuid = find_record(transaction.conn, model, reference, alive=True)
        transaction.commit(f"{name}.set", [Update(name, uuid, fields)])
        return uuid

    return await store.write(write)


def _writes(model: Model, given: Mapping[str, object]) -> Writes:
    """Return what was given as writes; a list gives a map or set more than one value."""
    fields: Writes = {}
    for key, value in given.items():
        fields.update(parse_value(f"a {model.sync_name}", model.fields, key, value))
    return fields


async def delete_record(store: Store, name: str, reference: str) -> bytes:
    """Delete a record; returns the id to restore it by."""
    model = find_model(store.registry, name)

    def write(transaction: Transaction) -> bytes:
        uuid = find_record(transaction.conn, model, reference, alive=True)
        transaction.commit(f"{name}.delete", [Delete(name, uuid)])
        return uuid

    return await store.write(write)


async def restore_record(store: Store, name: str, reference: str) -> bytes:
    """Bring a deleted record back with the values it had; returns its id."""
    model = find_model(store.registry, name)

    def write(transaction: Transaction) -> bytes:
        uuid = find_record(transaction.conn, model, reference, alive=False)
        transaction.commit(f"{name}.restore", [Restore(name, uuid)])
        return uuid

    return await store.write(write)
