"""Models of one's own: a whole `Model` from a name and its fields.

For packages that bring a model (docs/models.md). The table, the statements that make it and the
functions that fill it follow from the fields, as they do for the built-in models; what a field
holds says what its column is: text, a number, bytes, or JSON for maps and sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import MetaData, Table

from entities import _upsert
from entities._shared import SharedRows
from registry.errors import ModelError
from registry.models import FieldKind, Model, Ownership

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.models import Field, Link

_COLUMN_TYPES = {str: "TEXT", bytes: "BLOB", int: "INTEGER", bool: "INTEGER", float: "REAL"}


def shared_model(
    sync_name: str, version: int, fields: Iterable[Field], link: Link | None = None
) -> Model:
    """Return a shared model, which anybody edits and whose fields merge one by one.

    Fields may refer to shared models, built-in ones too. Raises ModelError where it cannot work.
    """
    fields = tuple(fields)
    for item in fields:
        _check_types(sync_name, item)
        if item.kind is not FieldKind.PLAIN and bytes in item.types:
            raise ModelError(f"{sync_name}.{item.name}: maps and sets hold no bytes")
    columns = [f"{item.name} {_column_type(item)}" for item in fields]
    table = (
        f"CREATE TABLE IF NOT EXISTS {sync_name} (uuid BLOB NOT NULL PRIMARY KEY CHECK"
        f" (length(uuid) = 16), {''.join(f'{column}, ' for column in columns)}extra BLOB)"
        " STRICT, WITHOUT ROWID"
    )
    return Model(
        sync_name,
        version,
        Ownership.SHARED,
        fields,
        depends_on=_referred(sync_name, fields),
        link=link,
        schema=(table,),
        apply_shared_change=SharedRows(sync_name, fields).apply_shared_change,
    )


def owned_model(sync_name: str, version: int, fields: Iterable[Field]) -> Model:
    """Return a device-owned model, of whose rows their device alone is right.

    Fields are plain, never bool (0 and 1 travel), and refer to no model but this one. Raises
    ModelError where it cannot work.
    """
    fields = tuple(fields)
    for item in fields:
        _check_types(sync_name, item)
        if item.kind is not FieldKind.PLAIN or bool in item.types:
            raise ModelError(f"{sync_name}.{item.name}: an owned field is plain, and never bool")
        if item.reference not in (None, sync_name):
            raise ModelError(f"{sync_name}.{item.name} refers to another model")
    referring = [item.name for item in fields if item.reference]
    rows = _upsert.OwnedRows(
        Table(sync_name, MetaData()), fields, [(sync_name, name) for name in referring]
    )
    return Model(
        sync_name,
        version,
        Ownership.DEVICE,
        fields,
        schema=_owned_schema(sync_name, fields, referring),
        apply_state_change=rows.apply_state_change,
        query_state=rows.query_state,
        query_rows=rows.query_rows,
        sweep_state=rows.sweep_state,
    )


def _owned_schema(name: str, fields: Iterable[Field], referring: Iterable[str]) -> tuple[str, ...]:
    columns = [
        f", {item.name} INTEGER REFERENCES {name} (id) DEFERRABLE INITIALLY DEFERRED"
        if item.reference
        else f", {item.name} {_column_type(item)}"
        for item in fields
    ]
    table = (
        f"CREATE TABLE IF NOT EXISTS {name} (id INTEGER PRIMARY KEY, uuid BLOB NOT NULL UNIQUE"
        " CHECK (length(uuid) = 16), epoch INTEGER NOT NULL REFERENCES incarnation (id),"
        " rev INTEGER NOT NULL, dead INTEGER NOT NULL DEFAULT 0 CHECK (dead IN (0, 1)),"
        f" extra BLOB{''.join(columns)}) STRICT"
    )
    indexes = [f"CREATE INDEX IF NOT EXISTS {name}_by_rev ON {name} (epoch, rev)"]
    indexes += [
        f"CREATE INDEX IF NOT EXISTS {name}_by_{column} ON {name} ({column})"
        for column in referring
    ]
    return (table, *indexes)


def _check_types(sync_name: str, item: Field) -> None:
    """Raise ModelError unless a register can hold each of a field's types: one value, no more."""
    wrong = [kind.__name__ for kind in item.types if kind not in _COLUMN_TYPES]
    if wrong or not item.types:
        held = ", ".join(kind.__name__ for kind in _COLUMN_TYPES)
        raise ModelError(
            f"{sync_name}.{item.name} cannot hold {', '.join(wrong) or 'nothing'}: a register has one"
            f" value, of {held}; for several take FieldKind.SET or FieldKind.MAP"
        )


def _column_type(item: Field) -> str:
    if item.kind is not FieldKind.PLAIN:
        return "TEXT"
    types = {_COLUMN_TYPES[kind] for kind in item.types}
    return types.pop() if len(types) == 1 else "ANY"


def _referred(sync_name: str, fields: Iterable[Field]) -> tuple[str, ...]:
    named = (item.reference for item in fields)
    return tuple(dict.fromkeys(name for name in named if name not in (None, sync_name)))
