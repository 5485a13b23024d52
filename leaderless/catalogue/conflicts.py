"""Values and deletes that lost against what their author had not seen: listing and settling them.

The journal keeps what lost; what it lost against is what is in effect now, so it is looked up when
it is shown. What would make no difference (the same value, how a value came about) is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.errors import NotFoundError, UsageError
from leaderless.protocol.packing import unpack
from leaderless.protocol.records import decode_ref, decode_refs, decode_state, encode_ref
from registry.changes import LOCK_FIELD, Delete, Dismiss, Restore, Update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Edit, Value, WriteRef
    from registry.merge import RecordState, Write
    from registry.models import Registry

DISMISS = "conflict.dismiss"
LOSER = "loser"
"""In the data of a restore: which change it lets win. An undo shows what was in effect before."""

DELETED, LOCKED, OVERWRITTEN, KEPT = "deleted", "locked", "overwritten", "kept"
REMADE = "remade"
"""Why a change is not in effect: its record is gone, was locked, or shows a later value; KEPT is a
delete of a record that is there all the same, REMADE a value that went with a deleted record which
was made or restored without it."""
_BY_VALUE = (OVERWRITTEN, LOCKED, REMADE)


class Conflict(NamedTuple):
    """A change that lost; `field` is empty for a delete."""

    number: int
    model: str
    record: bytes
    field: str
    subkey: str | None
    value: Value
    loser: WriteRef
    winning: Value
    winner: WriteRef | None
    cause: str


def conflicts(connection: Connection, registry: Registry) -> list[Conflict]:
    """Return every conflict that a person may want to settle, oldest first."""
    return [
        conflict
        for conflict in _journal(connection)
        if not (conflict.cause in _BY_VALUE and conflict.value == conflict.winning)
        and not _is_bookkeeping(registry, conflict)
    ]


def _is_bookkeeping(registry: Registry, conflict: Conflict) -> bool:
    model = registry.get(conflict.model)
    item = None if model is None else model.field(conflict.field)
    return conflict.field == LOCK_FIELD or (item is not None and item.bookkeeping)


def _journal(connection: Connection) -> Iterator[Conflict]:
    found = connection.exec_driver_sql(
        "SELECT j.id, j.model, j.record, j.field, j.subkey, j.value, j.loser, r.state, r.deaths"
        " FROM journal j LEFT JOIN record r ON r.model = j.model AND r.uuid = j.record"
        " ORDER BY j.id"
    ).all()
    for number, model, record, field, subkey, value, loser, packed, deaths in found:
        state = decode_state(packed, decode_refs(deaths))
        key = (field, subkey or None)
        held = state.shown().get(key)
        yield Conflict(
            number,
            model,
            record,
            *key,
            unpack(value, len(value)),
            decode_ref(loser),
            None if held is None else held.value,
            max(state.deaths, default=None) if held is None else held.ref,
            _cause(state, field, held, decode_ref(loser)),
        )


def _cause(state: RecordState, field: str, held: Write | None, loser: WriteRef) -> str:
    if not state.alive:
        return DELETED
    if not field:
        return KEPT
    if held is not None and loser < held.ref:
        return OVERWRITTEN
    # What is later than the value in effect, or than nothing, lost to a lock or with its record.
    return LOCKED if state.guard.level else REMADE


def conflict_json(connection: Connection, conflict: Conflict) -> dict[str, Any]:
    """Return a conflict for JSON, with names for people."""
    winner = conflict.winner
    return {
        "number": conflict.number,
        "model": conflict.model,
        "record": conflict.record.hex(),
        "name": record_name(connection, conflict.model, conflict.record),
        "field": conflict.field or None,
        "subkey": conflict.subkey,
        "value": _plain(conflict.value),
        "author": device_name(connection, conflict.loser.feed[:16]),
        "author_id": conflict.loser.feed[:16].hex(),
        "at_ms": str(conflict.loser.stamp.ms),
        "winning_value": _plain(conflict.winning),
        "winner": None if winner is None else device_name(connection, winner.feed[:16]),
        "winner_id": None if winner is None else winner.feed[:16].hex(),
        "winner_at_ms": None if winner is None else str(winner.stamp.ms),
        "cause": conflict.cause,
    }


def find_conflict(connection: Connection, registry: Registry, number: int) -> Conflict:
    """Return the conflict of that number; raises NotFoundError."""
    for conflict in conflicts(connection, registry):
        if conflict.number == number:
            return conflict
    raise NotFoundError(f"there is no conflict {number}", hint="leaderless conflicts")


async def restore_conflict(store: Store, number: int) -> Conflict:
    """Let what lost win: write the value again, or delete after all. Returns what it was.

    Raises NotFoundError, or UsageError where the record is gone and takes more than a value.
    """

    def write(transaction: Transaction) -> Conflict:
        conflict = find_conflict(transaction.conn, store.registry, number)
        data = {
            "model": conflict.model,
            "record": conflict.record.hex(),
            LOSER: encode_ref(conflict.loser),
        }
        transaction.commit("conflict.restore", [_restoring(conflict)], data)
        return conflict

    return await store.write(write)


def _restoring(conflict: Conflict) -> Edit:
    about = conflict.model, conflict.record
    if conflict.cause == KEPT:
        return Delete(*about)
    if not conflict.field:
        raise UsageError("that delete is in effect already")
    key = conflict.field if conflict.subkey is None else (conflict.field, conflict.subkey)
    kind = Restore if conflict.cause == DELETED else Update
    return kind(*about, {key: conflict.value}, (conflict.loser,))


async def dismiss_conflict(store: Store, number: int | None) -> int:
    """Let one conflict rest, or all of them; on every device. Returns how many."""

    def write(transaction: Transaction) -> int:
        if number is None:
            chosen = conflicts(transaction.conn, store.registry)
        else:
            chosen = [find_conflict(transaction.conn, store.registry, number)]
        losers: dict[tuple[str, bytes], set[WriteRef]] = {}
        for conflict in chosen:
            losers.setdefault((conflict.model, conflict.record), set()).add(conflict.loser)
        edits = [Dismiss(*key, tuple(sorted(refs))) for key, refs in losers.items()]
        if edits:
            transaction.commit(DISMISS, edits, {"count": len(chosen)})
        return len(chosen)

    return await store.write(write)


def device_name(connection: Connection, device: bytes) -> str:
    """Return what a device is called, the beginning of its id if it is not known."""
    name = connection.exec_driver_sql(
        "SELECT name FROM device WHERE uuid = ? AND dead = 0", (device,)
    ).scalar()
    return str(name) if name is not None else device.hex()[:8]


def record_name(connection: Connection, model: str, record: bytes) -> str:
    """Return what a person calls a record, or had called it; its id where it has no name."""
    row = connection.exec_driver_sql(
        "SELECT state, kept FROM record WHERE model = ? AND uuid = ?", (model, record)
    ).first()
    fields: dict[str, Value] = {}
    if row is not None and row[0] is not None:
        shown = decode_state(row[0]).shown()
        fields = {name: write.value for (name, subkey), write in shown.items() if subkey is None}
    elif row is not None and row[1] is not None:
        fields = unpack(row[1], len(row[1]))
    for name in ("canonical_name", "name", "title"):
        if isinstance(fields.get(name), str):
            return str(fields[name])
    return record.hex()


def _plain(value: Value) -> Any:  # noqa: ANN401 - JSON
    return value.hex() if isinstance(value, bytes) else value
