"""`export`: every synced record as canonical NDJSON, so that devices in sync print the same bytes.

Lines are sorted by (model, id), keys by name; local-only columns, dead rows and tombstones stay out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack

from leaderless.catalogue.text import value_json
from leaderless.protocol.records import decode_state
from registry.state import visible_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from registry.models import Model, Registry

_CHUNK = 2_000


def export_lines(connection: Connection, registry: Registry) -> Iterator[bytes]:
    """Yield chunks of lines; the caller holds one snapshot around the whole."""
    owned = {model.sync_name: model for model in registry.owned()}
    others = connection.exec_driver_sql(
        "SELECT model FROM record UNION SELECT model FROM opaque_row"
    ).scalars()
    for name in sorted({*owned, *others}):
        lines = _owned(connection, owned[name]) if name in owned else _others(connection, name)
        chunk: list[str] = []
        for line in lines:
            chunk.append(line)
            if len(chunk) >= _CHUNK:
                yield "".join(chunk).encode("utf-8")
                chunk.clear()
        if chunk:
            yield "".join(chunk).encode("utf-8")


def _line(model: str, record: bytes, fields: Iterable[tuple[str, Any]], **about: object) -> str:
    shown = {name: value_json(model, name, value) for name, value in fields if value is not None}
    line = {"schema": 1, "model": model, "id": record.hex(), "fields": shown, **about}
    return json.dumps(line, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


def _owned(connection: Connection, model: Model) -> Iterator[str]:
    name = model.sync_name
    values, joins = [], []
    for at, field in enumerate(model.fields):
        if field.reference is None:
            values.append(f"e.{field.name}")
        else:
            values.append(f"r{at}.uuid")
            joins.append(f" LEFT JOIN {field.reference} r{at} ON r{at}.id = e.{field.name}")
    query = (
        f"SELECT e.uuid, i.device, e.rev, e.extra, {', '.join(values)} FROM {name} e"
        f" JOIN incarnation i ON i.id = e.epoch{''.join(joins)} WHERE e.dead = 0 ORDER BY e.uuid"
    )
    names = [field.name for field in model.fields]
    for row in connection.exec_driver_sql(query):
        fields = list(zip(names, row[4:], strict=True))
        if row[3] is not None:
            fields += sorted(msgpack.unpackb(row[3]).items())
        yield _line(name, row[0], fields, owner=row[1].hex(), rev=str(row[2]))


def _others(connection: Connection, name: str) -> Iterator[str]:
    """Yield shared records, and rows of models that nobody here knows."""
    records = connection.exec_driver_sql(
        "SELECT uuid, state FROM record WHERE model = ? AND state IS NOT NULL ORDER BY uuid",
        (name,),
    )
    for uuid, packed in records:
        yield _line(name, uuid, visible_fields(decode_state(packed)).items())
    opaque = connection.exec_driver_sql(
        "SELECT o.uuid, i.device, o.rev, o.fields FROM opaque_row o"
        " JOIN incarnation i ON i.id = o.epoch WHERE o.model = ? ORDER BY o.uuid",
        (name,),
    )
    for uuid, owner, rev, fields in opaque:
        yield _line(name, uuid, msgpack.unpackb(fields).items(), owner=owner.hex(), rev=str(rev))
