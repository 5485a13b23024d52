"""Shared records at rest: one packed row of dots and registers each, and the journal of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from leaderless.protocol import hashing
from leaderless.protocol.packing import pack
from leaderless.protocol.records import decode_state, encode_ref, encode_state, record_element
from leaderless.store import meta
from registry.changes import Dot, RecordId, SharedRow
from registry.dispatch import dispatch_shared
from registry.merge import RecordState, merge, visible_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from registry.changes import SharedChange, Value
    from registry.hlc import Stamp
    from registry.merge import Loss
    from registry.models import Registry


class Records:
    """The records that one transaction touches: loaded once, written back once by `save`."""

    def __init__(self, connection: Connection, registry: Registry, now_ms: int) -> None:
        self._connection = connection
        self._registry = registry
        self._now_ms = now_ms
        self._before: dict[tuple[str, bytes], bytes | None] = {}
        self._states: dict[tuple[str, bytes], RecordState] = {}
        self._kept: dict[tuple[str, bytes], dict[str, Value]] = {}
        self._touched: dict[tuple[str, bytes], None] = {}

    def state(self, model: str, record: bytes) -> RecordState:
        """Return a record's state, empty if nothing is known of it."""
        key = (model, bytes(record))
        if key not in self._states:
            row = self._connection.exec_driver_sql(
                "SELECT state, kept FROM record WHERE model = ? AND uuid = ?", key
            ).first()
            self._before[key] = None if row is None else row[0]
            self._states[key] = decode_state(self._before[key])
            self._kept[key] = {} if row is None or row[1] is None else msgpack.unpackb(row[1])
        return self._states[key]

    def kept(self, model: str, record: bytes) -> Mapping[str, Value]:
        """Return the fields a record had when it was deleted."""
        self.state(model, record)
        return self._kept[model, bytes(record)]

    def apply(self, change: SharedChange, dot: Dot, stamp: Stamp, place: int) -> None:
        """Merge one change of the commit at `dot`; what it costs goes to the journal."""
        key = (change.model, bytes(change.record))
        before = self.state(*key)
        merged = merge(before, change, dot, stamp, place)
        if before.alive and not merged.state.alive:
            self._kept[key] = visible_fields(before)
        self._states[key] = merged.state
        self._touched[key] = None
        for settled in merged.settled:
            self._connection.exec_driver_sql(
                "DELETE FROM journal WHERE record = ? AND loser = ?", (key[1], encode_ref(settled))
            )
        for loss in merged.losses:
            self._note(key, loss)

    def _note(self, key: tuple[str, bytes], loss: Loss) -> None:
        write = loss.write
        self._connection.exec_driver_sql(
            "INSERT INTO journal (model, record, field, subkey, value, loser, winner, cause,"
            " noted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *key,
                write.field,
                write.subkey,
                pack(write.value),
                encode_ref(write.ref),
                encode_ref(loss.winner),
                loss.cause.value,
                self._now_ms,
            ),
        )

    def save(self) -> None:
        """Write the touched records, the shared set hash and the visible tables."""
        total = 0
        rows: list[tuple[Any, ...]] = []
        visible: dict[str, list[SharedRow]] = {}
        for key in self._touched:
            state = self._states[key]
            packed = encode_state(state)
            total += record_element(*key, packed) - record_element(*key, self._before[key])
            self._before[key] = packed
            kept = None if state.alive or not self._kept[key] else pack(self._kept[key])
            rows.append((*key, packed, kept))
            fields = visible_fields(state) if state.alive else None
            visible.setdefault(key[0], []).append(SharedRow(RecordId(key[1]), fields))
        self._touched.clear()
        if not rows:
            return
        self._connection.exec_driver_sql(
            "INSERT INTO record (model, uuid, state, kept) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (model, uuid) DO UPDATE SET state = excluded.state, kept = excluded.kept",
            rows,
        )
        held = meta.get(self._connection, meta.SHARED_HASH)
        meta.put(self._connection, meta.SHARED_HASH, hashing.add(held, total))
        dispatch_shared(self._registry, self._connection, visible)
