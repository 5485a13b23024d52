"""What others knew before this version did: shown once it knows it, too.

Fields of owned rows that a version does not know are kept in `extra`, rows of models that it does not
know are opaque. When a later version has the column or the table, they move there; revs, counts and
set hashes stay as they are, and nothing is sent again. What does not fit where it belongs stays where
it is, counts and is handed on: one row of one device never keeps a library from being opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack
from sqlalchemy.exc import IntegrityError, OperationalError

from leaderless.protocol import hashing
from leaderless.store import opaque
from leaderless.store.state import copies, epochs_of
from registry.changes import DeviceId, StateChange
from registry.dispatch import dispatch_state
from registry.errors import ModelError, RegistryError
from registry.rows import Epochs, StateRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from registry.models import Model, Registry

_AT_ONCE: Final = 2_000
"""Rows that are looked at together."""


def hoist(connection: Connection, registry: Registry, model: Model) -> bool:
    """Move what is kept of a built-in owned model to where this version has it.

    Returns whether nothing waits for what is not here. The caller holds one transaction around it.
    """
    filled = _fill(connection, model)
    return _out_of_opaque(connection, registry, model, lenient=True) and filled


def out_of_opaque(connection: Connection, registry: Registry, model: Model) -> None:
    """Apply the opaque rows of a model that is known now; count and set hash stay as they are.

    A row that refers to what is not here stays opaque until its owner's word on it comes again.
    Raises RegistryError where rows do not fit.
    """
    _out_of_opaque(connection, registry, model, lenient=False)


# --- fields ---------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """A row with fields in `extra`: those that have a column, as they are stored, and the rest."""

    key: int
    columns: dict[str, Any]
    rest: dict[str, Any]


def _fill(connection: Connection, model: Model) -> bool:
    """Move fields from `extra` to columns; return whether all that have one are there."""
    after, whole = 0, True
    query = (
        f"SELECT id, epoch, extra FROM {model.sync_name} WHERE extra IS NOT NULL AND id > ?"
        " ORDER BY id LIMIT ?"
    )
    while found := connection.exec_driver_sql(query, (after, _AT_ONCE)).all():
        after = found[-1][0]
        groups: dict[tuple[str, ...], list[_Row]] = {}
        for key, epoch, packed in found:
            row = _split(connection, model, key, epoch, msgpack.unpackb(packed))
            groups.setdefault(tuple(row.columns), []).append(row)
            whole = whole and not any(model.field(name) for name in row.rest)
        for names, rows in groups.items():
            if names:
                whole = _put(connection, model, names, rows) and whole
    return whole


def _split(
    connection: Connection, model: Model, key: int, epoch: int, extra: dict[str, Any]
) -> _Row:
    columns: dict[str, Any] = {}
    for name, value in sorted(extra.items()):
        item = model.field(name)
        if item is None or not item.accepts(value):
            continue
        stored = (
            value if item.reference is None else _key_of(connection, item.reference, value, epoch)
        )
        if stored is not None:
            columns[name] = stored
    return _Row(key, columns, {name: extra[name] for name in extra if name not in columns})


def _key_of(connection: Connection, name: str, uuid: object, epoch: int) -> int | None:
    """Return the local key of a row of the same owner."""
    found: int | None = connection.exec_driver_sql(
        f"SELECT r.id FROM {name} r JOIN incarnation i ON i.id = r.epoch WHERE r.uuid = ?"
        " AND i.device = (SELECT device FROM incarnation WHERE id = ?)",
        (uuid, epoch),
    ).scalar()
    return found


def _put(connection: Connection, model: Model, names: tuple[str, ...], rows: list[_Row]) -> bool:
    """Write fields to their columns, unless they would not come out as they went in."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(
                f"UPDATE {model.sync_name} SET {', '.join(f'{name} = ?' for name in names)},"
                " extra = ? WHERE id = ?",
                [
                    (*row.columns.values(), msgpack.packb(row.rest) if row.rest else None, row.key)
                    for row in rows
                ],
            )
            _check_kept(connection, model, names, rows)
    except (IntegrityError, ModelError):
        if len(rows) == 1:
            return False
        alone = [_put(connection, model, names, [row]) for row in rows]
        return all(alone)
    return True


def _check_kept(
    connection: Connection, model: Model, names: tuple[str, ...], rows: list[_Row]
) -> None:
    """Raise ModelError where a column has made another value of a field: hashes would change."""
    columns = ", ".join(names)
    stored = connection.exec_driver_sql(
        f"SELECT id, {columns} FROM {model.sync_name} WHERE id >= ? AND id <= ?",
        (rows[0].key, rows[-1].key),
    )
    held = {key: values for key, *values in stored}
    for row in rows:
        if msgpack.packb(held[row.key]) != msgpack.packb(list(row.columns.values())):
            raise ModelError(f"{model.sync_name} does not keep {columns} as they are")


# --- rows -----------------------------------------------------------------------------------------


def _out_of_opaque(
    connection: Connection, registry: Registry, model: Model, *, lenient: bool
) -> bool:
    """Apply opaque rows; return whether none is left."""
    whole = True
    for copy in copies(connection):
        known = epochs_of(connection, copy.owner, copy.epoch).known
        for epoch in sorted(known):
            rows = opaque.take(connection, model.sync_name, epoch)
            fitting = [row for row in rows if not lenient or _fits(model, row)]
            ready, _ = _resolved(connection, registry, model, fitting)
            try:
                with connection.begin_nested():
                    _apply(connection, registry, model, copy, Epochs(epoch, known), ready)
            except RegistryError as error:
                if not lenient or isinstance(error.__cause__, OperationalError):
                    raise
                ready = []
            taken = {row.uuid for row in ready}
            rest = [row for row in rows if row.uuid not in taken]
            opaque.put(connection, model.sync_name, epoch, rest)
            whole = whole and not rest
    return whole


def _apply(
    connection: Connection,
    registry: Registry,
    model: Model,
    copy: Copy,
    epochs: Epochs,
    ready: Sequence[StateRow],
) -> None:
    if not ready:
        return
    name = model.sync_name
    columns = tuple(sorted({field for row in ready for field in row.fields}))
    values = [(row.uuid, row.rev, *(row.fields.get(field) for field in columns)) for row in ready]
    change = StateChange(name, DeviceId(copy.owner), copy.incarnation, columns, values)
    outcome = dispatch_state(registry, connection, epochs, [change], copy.owner)
    after = [row for _, effect in outcome.effects for row in effect.after]
    if hashing.rows_sum(name, after) != hashing.rows_sum(name, ready):
        raise ModelError(f"rows of {name} do not come out of its table as they went in")


def _fits(model: Model, row: StateRow) -> bool:
    """Return whether all fields of a row may stand in the model's columns."""
    return all(item.accepts(row.fields.get(item.name)) for item in model.fields)


def _resolved(
    connection: Connection, registry: Registry, model: Model, rows: list[StateRow]
) -> tuple[list[StateRow], list[StateRow]]:
    """Return the rows whose references are all here (or among them), and the others."""
    references = [item for item in model.fields if item.reference is not None]
    among = {row.uuid for row in rows}
    lacking: dict[bytes, None] = {}
    children: dict[object, list[bytes]] = {}
    for row in rows:
        for item in references:
            target = row.fields.get(item.name)
            if target is None:
                continue
            if item.reference == model.sync_name and target in among:
                children.setdefault(target, []).append(row.uuid)
            elif not _is_here(connection, registry, str(item.reference), target):
                lacking[row.uuid] = None
    # What refers to a row that stays behind stays behind with it, unless that row is here already.
    waiting = list(lacking)
    while waiting:
        parent = waiting.pop()
        if children.get(parent) and not _is_here(connection, registry, model.sync_name, parent):
            left = [uuid for uuid in children.pop(parent) if uuid not in lacking]
            lacking.update(dict.fromkeys(left))
            waiting += left
    ready = [row for row in rows if row.uuid not in lacking]
    return ready, [row for row in rows if row.uuid in lacking]


def _is_here(connection: Connection, registry: Registry, name: str, uuid: object) -> bool:
    if registry.get(name) is None:
        return False
    found = connection.exec_driver_sql(f"SELECT 1 FROM {name} WHERE uuid = ?", (uuid,)).first()
    return found is not None
