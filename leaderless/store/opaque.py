"""Owned rows of models that this device does not know: kept and handed on as they came.

They count in their owner's set hash like any other row, so a device that knows their model and one
that does not are equal. Once the model is known, rows leave for its table (store/adoption.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from leaderless.protocol import hashing
from registry.errors import NotOwnerError
from registry.rows import StateRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from registry.changes import StateChange
    from registry.rows import Epochs


class Held(NamedTuple):
    """An opaque row, and whether it is of its owner's current incarnation."""

    row: StateRow
    is_current: bool


def keep(connection: Connection, epochs: Epochs, change: StateChange) -> tuple[int, int]:
    """Keep rows as they are; returns the change of (row count, set hash sum).

    A tombstone wins over any row of its own incarnation and of earlier ones.
    """
    count = total = 0
    for row in change.rows:
        fields = {
            name: value
            for name, value in zip(change.columns, row[2:], strict=True)
            if value is not None
        }
        state = StateRow(bytes(row[0]), int(str(row[1])), fields)  # type: ignore[call-overload]
        held = _held(connection, epochs, change.model, state.uuid)
        buried = connection.exec_driver_sql(
            "SELECT epoch FROM tombstone WHERE uuid = ?", (state.uuid,)
        ).scalar()
        if buried == epochs.current or (held and held.is_current and held.row.rev >= state.rev):
            continue
        if buried in epochs.known:
            connection.exec_driver_sql("DELETE FROM tombstone WHERE uuid = ?", (state.uuid,))
        put(connection, change.model, epochs.current, [state])
        count += 1 if held is None else 0
        total += element(change.model, state) - element(change.model, held and held.row)
    for uuid, rev in change.removed:
        held = _held(connection, epochs, change.model, uuid)
        connection.exec_driver_sql("DELETE FROM opaque_row WHERE uuid = ?", (uuid,))
        connection.exec_driver_sql(
            "INSERT INTO tombstone (uuid, model, epoch, rev) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (uuid) DO UPDATE SET epoch = excluded.epoch, rev = excluded.rev"
            " WHERE excluded.epoch <> tombstone.epoch OR excluded.rev > tombstone.rev",
            (uuid, change.model, epochs.current, rev),
        )
        count -= 0 if held is None else 1
        total -= element(change.model, held and held.row)
    return count, total


def _held(connection: Connection, epochs: Epochs, model: str, uuid: bytes) -> Held | None:
    found = connection.exec_driver_sql(
        "SELECT epoch, rev, fields FROM opaque_row WHERE uuid = ?", (uuid,)
    ).first()
    if found is None:
        return None
    if found[0] not in epochs.known:
        raise NotOwnerError(f"{model} {uuid.hex()} belongs to another device")
    row = StateRow(uuid, found[1], msgpack.unpackb(found[2]))
    return Held(row, found[0] == epochs.current)


def put(connection: Connection, model: str, epoch: int, rows: Iterable[StateRow]) -> None:
    """Write rows, whatever stood there."""
    values = [(row.uuid, model, epoch, row.rev, msgpack.packb(dict(row.fields))) for row in rows]
    if values:
        connection.exec_driver_sql(
            "INSERT INTO opaque_row (uuid, model, epoch, rev, fields) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (uuid) DO UPDATE SET epoch = excluded.epoch, rev = excluded.rev,"
            " fields = excluded.fields",
            values,
        )


def take(connection: Connection, model: str, epoch: int) -> list[StateRow]:
    """Return all rows of a model in one incarnation, in rev order; they are here no more."""
    found = connection.exec_driver_sql(
        "DELETE FROM opaque_row WHERE epoch = ? AND model = ? RETURNING uuid, rev, fields",
        (epoch, model),
    ).all()
    rows = [StateRow(uuid, rev, msgpack.unpackb(fields)) for uuid, rev, fields in found]
    return sorted(rows, key=lambda row: row.rev)


def make_way(
    connection: Connection, epochs: Epochs, change: StateChange
) -> tuple[int, int, StateChange]:
    """Drop rows that a change of a known model replaces: rows that waited here for what they name.

    Returns what that takes off (row count, set hash sum), and the change without rows that are
    older than those that wait.
    """
    if connection.exec_driver_sql("SELECT 1 FROM opaque_row LIMIT 1").first() is None:
        return 0, 0, change
    count = total = 0
    older: set[bytes] = set()
    revs = {bytes(row[0]): int(str(row[1])) for row in change.rows}  # type: ignore[call-overload]
    revs |= {uuid: 1 << 62 for uuid, _ in change.removed}
    for uuid, rev in revs.items():
        held = _held(connection, epochs, change.model, uuid)
        if held is None:
            continue
        if held.is_current and held.row.rev > rev:
            older.add(uuid)
            continue
        connection.exec_driver_sql("DELETE FROM opaque_row WHERE uuid = ?", (uuid,))
        count -= 1
        total -= element(change.model, held.row)
    if older:
        change = replace(change, rows=[row for row in change.rows if row[0] not in older])
    return count, total, change


def element(model: str, row: StateRow | None) -> int:
    """Return what a row adds to its owner's set hash; 0 for none."""
    return 0 if row is None else hashing.element(hashing.row_bytes(model, row))
