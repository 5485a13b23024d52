"""Shared records at rest: one packed row of dots and registers each, and the journal of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.protocol import hashing
from leaderless.protocol.packing import pack
from leaderless.protocol.records import (
    decode_state,
    encode_deaths,
    encode_ref,
    encode_state,
    record_element,
)
from leaderless.store import meta
from leaderless.store.forgotten import Forgotten
from leaderless.store.visibility import Visibility
from registry.changes import Dot, RecordId, SharedRow
from registry.dispatch import dispatch_shared
from registry.merge import merge
from registry.state import NOTHING, RecordState, first_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from registry.changes import SharedChange, WriteRef
    from registry.hlc import Stamp
    from registry.models import Registry
    from registry.state import Write

Key = tuple[str, bytes]
"""A record: (model, uuid)."""

_LOOKUP = 500


def read_state(connection: Connection, model: str, record: bytes) -> RecordState:
    """Return a record's state, empty if nothing is known of it."""
    row = connection.exec_driver_sql(
        "SELECT state, deaths, remains FROM record WHERE model = ? AND uuid = ?", (model, record)
    ).first()
    return RecordState() if row is None else decode_state(*row)


class Records:
    """The records that one transaction touches: loaded once, written back once by `save`."""

    def __init__(self, connection: Connection, registry: Registry, now_ms: int) -> None:
        self._connection = connection
        self._registry = registry
        self._now_ms = now_ms
        self._before: dict[Key, bytes | None] = {}
        self._states: dict[Key, RecordState] = {}
        self._touched: dict[Key, None] = {}
        self._journaled: set[bytes] = set()
        self._forgotten = Forgotten(connection)

    def state(self, model: str, record: bytes) -> RecordState:
        """Return a record's state, empty if nothing is known of it."""
        key = (model, bytes(record))
        if key not in self._states:
            self.load([key])
        return self._states[key]

    def load(self, keys: Iterable[Key]) -> None:
        """Read records ahead, many at a time."""
        wanted: dict[str, list[bytes]] = {}
        for model, record in keys:
            key = (model, bytes(record))
            if key not in self._states:
                self._before[key], self._states[key] = None, NOTHING
                wanted.setdefault(model, []).append(key[1])
        for model, records in wanted.items():
            for at in range(0, len(records), _LOOKUP):
                chunk = records[at : at + _LOOKUP]
                rows = self._connection.exec_driver_sql(
                    "SELECT uuid, state, deaths, remains FROM record WHERE model = ? AND uuid IN"
                    f" ({', '.join('?' * len(chunk))})",
                    (model, *chunk),
                )
                for uuid, *held in rows:
                    self._remember((model, uuid), *held)
                journaled = self._connection.exec_driver_sql(
                    "SELECT DISTINCT record FROM journal WHERE record IN"
                    f" ({', '.join('?' * len(chunk))})",
                    tuple(chunk),
                )
                self._journaled.update(journaled.scalars())

    def _remember(self, key: Key, packed: bytes | None, *beside: bytes | None) -> None:
        self._before[key] = packed
        self._states[key] = decode_state(packed, *beside)

    def apply(self, change: SharedChange, dot: Dot, stamp: Stamp, place: int) -> None:
        """Merge one change of the commit at `dot`; what it costs goes to the journal."""
        key = (change.model, bytes(change.record))
        before = self.state(*key)
        merged = merge(before, change, dot, stamp, place)
        after = merged.state
        self._states[key] = after
        self._touched[key] = None
        failed: frozenset[WriteRef] = frozenset()
        in_vain = failed
        if before.deaths or after.deaths:
            failed = after.failed_deletes - before.failed_deletes
            in_vain = before.failed_deletes - after.failed_deletes
        if merged.lost or failed:
            self._note(key, merged.lost, failed)
        self._outlive(key, before, after)
        # Nothing is lost of a record that was never written before: there is nothing to look for.
        if key[1] in self._journaled:
            names = change.seen or any(write.over for write in change.writes)
            if before.dots or before.deaths or names:
                self._settle(key, merged.found, merged.seen | in_vain)

    def put(self, key: Key, state: RecordState) -> None:
        """Let a record be as it was found to be elsewhere; its losses are the caller's business."""
        before = self.state(*key)
        self._states[key] = state
        self._touched[key] = None
        self._outlive(key, before, state)

    def _outlive(self, key: Key, before: RecordState, after: RecordState) -> None:
        """Keep the values that go out of a record, where their commits are forgotten."""
        if before.writes:
            kept = {(write.key, write.ref) for write in after.writes}
            gone = (write for write in before.writes if (write.key, write.ref) not in kept)
            self._forgotten.keep(*key, gone)

    def _note(self, key: Key, lost: Iterable[Write], failed: Iterable[WriteRef]) -> None:
        rows = [
            (write.field, write.subkey or "", pack(write.value), encode_ref(write.ref))
            for write in lost
        ]
        rows += [("", "", pack(None), encode_ref(ref)) for ref in failed]
        self._journaled.add(key[1])
        self._connection.exec_driver_sql(
            "INSERT INTO journal (model, record, field, subkey, value, loser, noted_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(*key, *row, self._now_ms) for row in rows],
        )

    def _settle(
        self, key: Key, found: Iterable[tuple[Any, WriteRef]], seen: Iterable[WriteRef]
    ) -> None:
        """Take out of the journal what is in effect again or was seen."""
        again = [
            (key[1], encode_ref(ref), field, subkey or "", key[0]) for (field, subkey), ref in found
        ]
        if again:
            self._connection.exec_driver_sql(
                "DELETE FROM journal WHERE record = ? AND loser = ? AND field = ? AND subkey = ?"
                " AND model = ?",
                again,
            )
        known = [(key[1], encode_ref(ref), key[0]) for ref in seen]
        if known:
            self._connection.exec_driver_sql(
                "DELETE FROM journal WHERE record = ? AND loser = ? AND model = ?", known
            )

    def save(self) -> None:
        """Write the touched records, the shared set hash and the visible tables."""
        if not self._touched:
            return
        self._forgotten.write(self._now_ms)
        total = 0
        rows: list[tuple[Any, ...]] = []
        flipped: list[Key] = []
        for key in self._touched:
            state = self._states[key]
            packed = encode_state(state)
            total += record_element(*key, packed) - record_element(*key, self._before[key])
            if (packed is None) != (self._before[key] is None):
                flipped.append(key)
            self._before[key] = packed
            remains = encode_state(state.remembered) if state.remains else None
            rows.append((*key, packed, encode_deaths(state.deaths), remains, state.locked_by))
        self._connection.exec_driver_sql(
            "INSERT INTO record (model, uuid, state, deaths, remains, locked_by)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (model, uuid) DO UPDATE SET"
            " state = excluded.state, deaths = excluded.deaths, remains = excluded.remains,"
            " locked_by = excluded.locked_by",
            rows,
        )
        held = meta.get(self._connection, meta.SHARED_HASH)
        meta.put(self._connection, meta.SHARED_HASH, hashing.add(held, total))
        touched = list(self._touched)
        self._touched.clear()
        self.show(touched, flipped)

    def show(self, touched: Iterable[Key], flipped: Iterable[Key]) -> None:
        """Make the visible tables agree with records; `flipped` came to life or died."""
        visibility = Visibility(self._connection, self._registry, self.state)
        visible: dict[str, list[SharedRow]] = {}
        concerned = visibility.concerned(touched, flipped)
        self.load(concerned)
        for key in concerned:
            fields = visibility.fields(*key)
            order = None if fields is None else first_order(self.state(*key))
            visible.setdefault(key[0], []).append(SharedRow(RecordId(key[1]), fields, order))
        dispatch_shared(self._registry, self._connection, visible)
