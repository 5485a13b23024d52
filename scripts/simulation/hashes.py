"""Set hashes once more, by the text of PROTOCOL.md: every row counted from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
from blake3 import blake3

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from registry.models import Model


def element(packed: bytes) -> int:
    """Return what one element adds to a set hash."""
    return int.from_bytes(blake3(packed).digest(length=256), "big")


def _row_element(model: str, uuid: bytes, rev: int, fields: dict[str, Any]) -> int:
    shown = [
        part for name in sorted(fields) for part in (name, fields[name]) if fields[name] is not None
    ]
    return element(msgpack.packb([model, uuid, rev, *shown]))


def sum_of(connection: Connection, model: Model, epoch: int) -> int:
    """Return the sum over the live rows of a model of one owner."""
    ids: dict[str, dict[int, bytes]] = {
        item.reference: dict(
            connection.exec_driver_sql(f"SELECT id, uuid FROM {item.reference}").all()  # noqa: S608
        )
        for item in model.fields
        if item.reference is not None
    }
    found = connection.exec_driver_sql(
        f"SELECT * FROM {model.sync_name} WHERE epoch = ? AND dead = 0",  # noqa: S608 - of a model
        (epoch,),
    )
    names = list(found.keys())
    total = 0
    for values in found:
        row = dict(zip(names, values, strict=True))
        fields = {
            item.name: ids[item.reference][row[item.name]]
            if item.reference is not None and row[item.name] is not None
            else row[item.name]
            for item in model.fields
        }
        extra = {} if row["extra"] is None else msgpack.unpackb(row["extra"])
        kept = {name: value for name, value in {**fields, **extra}.items() if value is not None}
        total += _row_element(model.sync_name, row["uuid"], row["rev"], kept)
    return total


def opaque_sum(connection: Connection, epoch: int) -> int:
    """Return the sum over the rows of one owner whose models are not known here."""
    rows = connection.exec_driver_sql(
        "SELECT model, uuid, rev, fields FROM opaque_row WHERE epoch = ?", (epoch,)
    )
    return sum(
        _row_element(model, uuid, rev, msgpack.unpackb(fields)) for model, uuid, rev, fields in rows
    )
