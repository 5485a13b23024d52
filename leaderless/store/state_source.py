"""Owned state for others: batches in rev order with the ancestors they need.

"Rows with rev > w in rev order" is backfill, catch-up and live in one query, and any replica can
serve it for any owner, up to its own watermark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from leaderless.protocol import limits
from leaderless.protocol.messages import StateBatch
from leaderless.store.state import Copy, copy_of
from registry.changes import DeviceId, StateChange
from registry.models import needed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from registry.changes import Incarnation
    from registry.models import Registry, StateQuery


def read_batch(
    connection: Connection,
    registry: Registry,
    owner: bytes,
    lo: int,
    sent: set[bytes],
    limit: int = limits.BATCH_ROWS,
) -> StateBatch | None:
    """Return the next batch of an owner's state above `lo`, or None if nothing is held above it.

    `sent` are ancestors that went out ahead in this session already; new ones are added to it.
    """
    copy = copy_of(connection, owner)
    if copy is None or lo >= copy.watermark:
        return None
    head, epoch = copy.watermark, copy.epoch
    found = {
        model.sync_name: needed(model.query_state)(connection, epoch, lo, head, limit)
        for model in registry.owned()
    }
    removed = _tombstones_after(connection, epoch, lo, head, limit)
    opaque = _opaque_after(connection, epoch, lo, head, limit)
    # Each query stops after `limit` rows; the batch reaches only as far as all of them do.
    ends = [query.rows[-1][1] for query in found.values() if len(query.rows) == limit]
    ends += [items[-1][1] for items in (removed, opaque) if len(items) == limit]
    hi = min(ends, default=head)
    if hi < head:
        hi = _evened(found, removed, opaque, hi, limit)
    changes = _assemble(connection, registry, copy, lo, hi, found, removed, opaque, sent)
    checkpoint = copy.checkpoint or b""
    return StateBatch(
        owner, copy.incarnation, lo, hi, head, max(copy.as_of, head), changes, checkpoint
    )


def _evened(
    found: dict[str, StateQuery],
    removed: list[tuple[bytes, int, str]],
    opaque: list[tuple[Any, ...]],
    hi: int,
    limit: int,
) -> int:
    """Return the rev at which the batch has at most `limit` rows in all."""
    revs = sorted(
        row[1]
        for rows in (*(query.rows for query in found.values()), removed, opaque)
        for row in rows
        if row[1] <= hi
    )
    return revs[limit - 1] if len(revs) > limit else hi


def _assemble(
    connection: Connection,
    registry: Registry,
    copy: Copy,
    lo: int,
    hi: int,
    found: dict[str, StateQuery],
    removed: list[tuple[bytes, int, str]],
    opaque: list[tuple[Any, ...]],
    sent: set[bytes],
) -> tuple[StateChange, ...]:
    owner = DeviceId(copy.owner)
    changes: list[StateChange] = []
    late = {
        item
        for query in found.values()
        if query.rows and query.rows[0][1] <= hi
        for item in query.late
    }
    ahead = _ancestors(connection, registry, copy, lo, late, sent)
    gone: dict[str, list[tuple[bytes, int]]] = {}
    for uuid, rev, of in removed:
        if rev <= hi:
            gone.setdefault(of, []).append((uuid, rev))
    for model in registry.owned():
        name = model.sync_name
        for query in ahead.get(name, ()):
            tombstones = list(query.dead.items())
            dead = frozenset(query.dead)
            changes.append(
                StateChange(
                    name, owner, copy.incarnation, query.columns, query.rows, tombstones, dead
                )
            )
        query = found[name]
        rows = [row for row in query.rows if row[1] <= hi]
        if rows or name in gone:
            changes.append(
                StateChange(name, owner, copy.incarnation, query.columns, rows, gone.pop(name, ()))
            )
    changes.extend(_opaque_changes(owner, copy.incarnation, opaque, gone, hi))
    return tuple(changes)


def _ancestors(
    connection: Connection,
    registry: Registry,
    copy: Copy,
    lo: int,
    late: set[tuple[str, int]],
    sent: set[bytes],
) -> dict[str, list[StateQuery]]:
    """Return rows that others refer to and that would come too late, topmost first per model."""
    models = {model.sync_name: model for model in registry.owned()}
    levels: dict[str, list[StateQuery]] = {}
    seen: set[tuple[str, int]] = set()
    while late:
        seen |= late
        above: set[tuple[str, int]] = set()
        for name, model in models.items():
            keys = sorted(key for of, key in late if of == name)
            if not keys:
                continue
            query = needed(model.query_rows)(connection, copy.epoch, lo, keys)
            above |= query.late
            fresh = [row for row in query.rows if row[0] not in sent]
            sent.update(row[0] for row in fresh)
            # What is higher up is found later and has to arrive earlier.
            levels.setdefault(name, []).insert(0, query._replace(rows=fresh))
        late = above - seen
    return levels


def introduction(connection: Connection, registry: Registry, owner: bytes) -> StateBatch | None:
    """Return an owner's own device row as a batch that moves no cursor."""
    copy = copy_of(connection, owner)
    model = registry.get("device")
    if copy is None or model is None:
        return None
    query = needed(model.query_state)(connection, copy.epoch, 0, copy.watermark, 1)
    change = StateChange("device", DeviceId(owner), copy.incarnation, query.columns, query.rows)
    rev = max((row[1] for row in query.rows), default=0)
    changes = (change,) if query.rows else ()
    return StateBatch(owner, copy.incarnation, 0, 0, rev, rev, changes, introduction=True)


def _tombstones_after(
    connection: Connection, epoch: int, lo: int, hi: int, limit: int
) -> list[tuple[bytes, int, str]]:
    found = connection.exec_driver_sql(
        "SELECT uuid, rev, model FROM tombstone"
        " WHERE epoch = ? AND rev > ? AND rev <= ? ORDER BY rev LIMIT ?",
        (epoch, lo, hi, limit),
    )
    return [(uuid, rev, model) for uuid, rev, model in found]


def _opaque_after(
    connection: Connection, epoch: int, lo: int, hi: int, limit: int
) -> list[tuple[Any, ...]]:
    found = connection.exec_driver_sql(
        "SELECT uuid, rev, model, fields FROM opaque_row"
        " WHERE epoch = ? AND rev > ? AND rev <= ? ORDER BY rev LIMIT ?",
        (epoch, lo, hi, limit),
    )
    return [tuple(row) for row in found]


def _opaque_changes(
    owner: DeviceId,
    incarnation: Incarnation,
    opaque: list[tuple[Any, ...]],
    gone: dict[str, list[tuple[bytes, int]]],
    hi: int,
) -> list[StateChange]:
    """Return the rows and tombstones of models that nobody here knows, by model."""
    by_model: dict[str, list[tuple[bytes, int, dict[str, Any]]]] = {name: [] for name in gone}
    for uuid, rev, model, fields in opaque:
        if rev <= hi:
            by_model.setdefault(model, []).append((uuid, rev, msgpack.unpackb(fields)))
    changes = []
    for model, items in by_model.items():
        columns = tuple(sorted({name for _, _, fields in items for name in fields}))
        rows = [(uuid, rev, *(fields.get(name) for name in columns)) for uuid, rev, fields in items]
        removed = gone.get(model, ())
        changes.append(StateChange(model, owner, incarnation, columns, rows, removed))
    return changes
