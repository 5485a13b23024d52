"""A tag: a name to organise by.

Shared: anybody edits, fields merge one by one, two tags of one name stay two (union by uuid; the
namespace tells them apart). Aliases are a set with a register per element, attributes and
composition_rules maps with a register per key. Local-only columns: none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgpack
from sqlalchemy import BLOB, Column, Table

from entities._schema import METADATA, number, raw, text
from registry.models import Field, FieldKind, Model, Ownership

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from registry.changes import SharedRow, Value

TAG = Table(
    "tag",
    METADATA,
    Column("uuid", BLOB, primary_key=True),
    text("canonical_name"),
    text("display_name"),
    text("formal_name"),
    text("abbreviation"),
    text("aliases"),  # JSON list, sorted
    text("namespace"),
    text("tag_type"),
    text("color"),
    text("icon"),
    text("description"),
    number("is_organizational_anchor"),
    text("privacy_level"),
    number("search_weight"),
    text("attributes"),  # JSON map
    text("composition_rules"),  # JSON map
    raw("created_by_device"),
    raw("extra"),  # fields that only newer versions know (MessagePack)
)

FIELDS = (
    Field("canonical_name"),
    Field("display_name"),
    Field("formal_name"),
    Field("abbreviation"),
    Field("aliases", (bool,), FieldKind.SET),
    Field("namespace"),
    Field("tag_type"),
    Field("color"),
    Field("icon"),
    Field("description"),
    Field("is_organizational_anchor", (bool,)),
    Field("privacy_level"),
    Field("search_weight", (int,)),
    Field("attributes", (str, int, float, bool), FieldKind.MAP),
    Field("composition_rules", (str, int, float, bool), FieldKind.MAP),
    Field("created_by_device", (bytes,)),
)

_NAMES = tuple(item.name for item in FIELDS)
_UPSERT = (
    f"INSERT INTO tag (uuid, {', '.join(_NAMES)}, extra) "  # noqa: S608 - names from this file
    f"VALUES (?{', ?' * (len(_NAMES) + 1)}) ON CONFLICT (uuid) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_NAMES, "extra"))
)
_DELETE = "DELETE FROM tag WHERE uuid = ?"


def apply_shared_change(connection: Connection, rows: Sequence[SharedRow]) -> None:
    """Make the visible tags agree with merged records: there with these fields, or not there."""
    shown = [_values(row) for row in rows if row.fields is not None]
    gone = [(bytes(row.record),) for row in rows if row.fields is None]
    if shown:
        connection.exec_driver_sql(_UPSERT, shown)
    if gone:
        connection.exec_driver_sql(_DELETE, gone)


def _values(row: SharedRow) -> tuple[object, ...]:
    fields = dict(row.fields or {})
    values = [_shown(item, fields.pop(item.name, None)) for item in FIELDS]
    extra = msgpack.packb(fields) if fields else None
    return (bytes(row.record), *values, extra)


def _shown(item: Field, value: Value) -> object:
    if item.kind is FieldKind.PLAIN:
        return value
    entries = value if isinstance(value, dict) else {}
    if item.kind is FieldKind.SET:
        return json.dumps(sorted(key for key, there in entries.items() if there))
    return json.dumps(entries, sort_keys=True)


MODEL = Model(
    sync_name="tag",
    version=1,
    ownership=Ownership.SHARED,
    fields=FIELDS,
    apply_shared_change=apply_shared_change,
)
