"""Values and deletes that lost against what their author had not seen: listing and settling them.

The journal keeps what lost; what it lost against is what is in effect now, so it is looked up when
it is shown. What would make no difference (the same value, how a value came about) is left out.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.catalogue.action_ids import is_id
from leaderless.catalogue.conflict_ids import conflict_id, short_ids
from leaderless.catalogue.names import device_name, record_name
from leaderless.catalogue.text import plain_json
from leaderless.errors import NotFoundError, UsageError
from leaderless.protocol.packing import unpack
from leaderless.protocol.records import decode_ref, decode_state, encode_ref
from registry.changes import LOCK_FIELD, Delete, Dismiss, Restore, Update

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Edit, Value, WriteRef
    from registry.models import Registry
    from registry.state import RecordState, Write

DISMISS = "conflict.dismiss"
RESTORE = "conflict.restore"
LOSER = "loser"
"""In the data of a restore: which change it lets win. An undo shows what was in effect before."""

DELETED, LOCKED, OVERWRITTEN, KEPT = "deleted", "locked", "overwritten", "kept"
REMADE = "remade"
"""Why a change is not in effect: its record is gone, was locked, or shows a later value; KEPT is a
delete of a record that is there all the same, REMADE a value that went with a deleted record which
was made or restored without it."""
_BY_VALUE = (OVERWRITTEN, LOCKED, REMADE)
_MOST_NAMED = 10


class Conflict(NamedTuple):
    """A change that lost; `field` is empty for a delete. `id` is the same on every device."""

    id: bytes
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
    """Return every conflict that a person may want to settle; what was written first comes first."""
    found = [item for item in _journal(connection) if _is_worth_telling(registry, item)]
    return sorted(found, key=lambda item: (item.loser, item.id))


def count_conflicts(connection: Connection, registry: Registry, most: int) -> int:
    """Return how many conflicts there are, at most `most`: as many are looked at, and no more."""
    worth = (item for item in _journal(connection) if _is_worth_telling(registry, item))
    return sum(1 for _ in islice(worth, most))


def _is_worth_telling(registry: Registry, conflict: Conflict) -> bool:
    """Return whether it would make a difference, for anybody but ourselves."""
    if conflict.cause in _BY_VALUE and conflict.value == conflict.winning:
        return False
    model = registry.get(conflict.model)
    item = None if model is None else model.field(conflict.field)
    return conflict.field != LOCK_FIELD and (item is None or not item.bookkeeping)


def _journal(
    connection: Connection, where: str = "", *values: object, called: str = ""
) -> Iterator[Conflict]:
    """Yield what the journal holds; `where` is a condition in SQL, ids begin with `called`."""
    found = connection.exec_driver_sql(
        "SELECT j.model, j.record, j.field, j.subkey, j.value, j.loser, r.state, r.deaths"
        " FROM journal j LEFT JOIN record r ON r.model = j.model AND r.uuid = j.record"
        f"{where and f' WHERE {where}'} ORDER BY j.id",
        values,
    )
    for model, record, field, subkey, value, packed_loser, packed, deaths in found:
        loser = decode_ref(packed_loser)
        uuid = conflict_id(model, record, field, subkey, value, loser)
        if not uuid.hex().startswith(called):
            continue
        state, key = decode_state(packed, deaths), (field, subkey or None)
        held = state.shown().get(key)
        yield Conflict(
            uuid,
            model,
            record,
            *key,
            unpack(value, len(value), unset=True),
            loser,
            None if held is None else held.value,
            _winner(state, field, held),
            _cause(state, field, held, loser),
        )


def _winner(state: RecordState, field: str, held: Write | None) -> WriteRef | None:
    """Return what a change lost against, None where nothing is to be named."""
    if not state.alive:
        return max(state.died_of, default=None)
    if not field:
        # A delete lost to what made the record live: the writes that came with a living dot.
        born = (write.ref for write in state.writes if write.ref[1:3] in state.dots)
        return max(born, default=None)
    return None if held is None else held.ref


def _cause(state: RecordState, field: str, held: Write | None, loser: WriteRef) -> str:
    if not state.alive:
        return DELETED
    if not field:
        return KEPT
    if held is not None and loser < held.ref:
        return OVERWRITTEN
    # What is later than the value in effect, or than nothing, lost to a lock or with its record.
    return LOCKED if state.guard.level else REMADE


def conflict_json(
    connection: Connection, conflict: Conflict, shorts: Mapping[bytes, str]
) -> dict[str, Any]:
    """Return a conflict for JSON, with names for people; `shorts` are ids as they are shown."""
    winner = conflict.winner
    return {
        "id": conflict.id.hex(),
        "short_id": shorts.get(conflict.id, conflict.id.hex()),
        "model": conflict.model,
        "record": conflict.record.hex(),
        "name": record_name(connection, conflict.model, conflict.record),
        "field": conflict.field or None,
        "subkey": conflict.subkey,
        "value": plain_json(conflict.value),
        "author": device_name(connection, conflict.loser.feed[:16]),
        "author_id": conflict.loser.feed[:16].hex(),
        "at_ms": str(conflict.loser.stamp.ms),
        "winning_value": plain_json(conflict.winning),
        "winner": None if winner is None else device_name(connection, winner.feed[:16]),
        "winner_id": None if winner is None else winner.feed[:16].hex(),
        "winner_at_ms": None if winner is None else str(winner.stamp.ms),
        "cause": conflict.cause,
    }


def shown_ids(found: Iterable[Conflict]) -> dict[bytes, str]:
    """Return how short the ids of all conflicts are shown."""
    return short_ids(conflict.id for conflict in found)


def ids_for_completion(connection: Connection, registry: Registry, prefix: str) -> list[str]:
    """Return the ids of conflicts, as they are shown, that begin with `prefix`."""
    shorts = shown_ids(conflicts(connection, registry)).values()
    return sorted(short for short in shorts if short.startswith(prefix))


def find_conflict(connection: Connection, registry: Registry, reference: str) -> Conflict:
    """Return the conflict whose id begins with hexadecimal digits.

    Raises NotFoundError, or UsageError where several do.
    """
    digits, found = reference.lower(), dict[bytes, Conflict]()
    for conflict in _journal(connection, called=digits) if is_id(digits) else ():
        # Branches of one feed may hold the same word twice: it goes by one id.
        if _is_worth_telling(registry, conflict):
            found.setdefault(conflict.id, conflict)
    if not found:
        raise NotFoundError(f"there is no conflict “{reference}”", hint="leaderless conflicts")
    if len(found) > 1:
        named = ", ".join(sorted(short_ids(found).values())[:_MOST_NAMED])
        raise UsageError(
            f"“{reference}” begins the ids of {len(found)} conflicts: {named}",
            hint="give more of it",
        )
    return next(iter(found.values()))


async def restore_conflict(store: Store, reference: str) -> tuple[Conflict, bytes]:
    """Let what lost win: write the value again, or delete after all.

    Returns what it was, and the id of the action that an undo takes back.

    `reference` begins its id. Raises NotFoundError, or UsageError where it begins several ids, or where
    the record is gone and takes more than a value.
    """

    def write(transaction: Transaction) -> tuple[Conflict, bytes]:
        conflict = find_conflict(transaction.conn, store.registry, reference)
        data = {
            "model": conflict.model,
            "record": conflict.record.hex(),
            LOSER: encode_ref(conflict.loser),
        }
        return conflict, transaction.commit(RESTORE, [_restoring(conflict)], data)

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


async def dismiss_conflicts(store: Store, references: Sequence[str] | None) -> int:
    """Let conflicts rest, by the beginnings of their ids, or all (None); on every device, at once.

    Returns how many. Raises what `find_conflict` does for any of them; then all stay listed.
    """

    def write(transaction: Transaction) -> int:
        connection, registry = transaction.conn, store.registry
        if references is None:
            chosen = conflicts(connection, registry)
        else:
            found = (find_conflict(connection, registry, reference) for reference in references)
            chosen = list({conflict.id: conflict for conflict in found}.values())
        edits = _dismissals(connection, registry, chosen)
        if edits:
            transaction.commit(DISMISS, edits, {"count": len(chosen)})
        return len(chosen)

    return await store.write(write)


def _dismissals(
    connection: Connection, registry: Registry, chosen: list[Conflict]
) -> list[Dismiss]:
    """Return the edits that let conflicts rest, one for each record.

    What nobody is told of (the same value, how it came about) rests with what was written with it.
    """
    ids = {conflict.id for conflict in chosen}
    edits = []
    for model, record in dict.fromkeys((item.model, item.record) for item in chosen):
        of_record = list(_journal(connection, "j.model = ? AND j.record = ?", model, record))
        named = {item.loser for item in of_record if item.id in ids}
        resting = [
            item
            for item in of_record
            if item.id in ids or (item.loser in named and not _is_worth_telling(registry, item))
        ]
        losers = tuple(((item.field, item.subkey), item.loser) for item in resting if item.field)
        deletes = tuple(item.loser for item in resting if not item.field)
        edits.append(Dismiss(model, record, losers, deletes))
    return edits
