"""The state of shared records for others: batches in the order of (model, uuid).

No snapshot is held from one batch to the next: each says what had been applied when it was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol import limits
from leaderless.protocol.messages import Records
from leaderless.protocol.packing import unpack
from leaderless.protocol.records import decode_ref, decode_state
from leaderless.protocol.transfer import encode_record, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from registry.changes import FieldKey, Value, WriteRef
    from registry.state import RecordState

Key = tuple[str, bytes]
Losses = dict["tuple[FieldKey, WriteRef]", "Value"]


def read_records(connection: Connection, after: bytes, limit: int = limits.BATCH_ROWS) -> Records:
    """Return the next records after a place, at most `limit`; raises MalformedError for no place."""
    found = connection.exec_driver_sql(
        "SELECT model, uuid, state, deaths, remains FROM record WHERE (model, uuid) > (?, ?)"
        " ORDER BY model, uuid LIMIT ?",
        (*place(after), limit),
    ).all()
    lost = losses_of(connection, [(model, uuid) for model, uuid, *_ in found])
    packed: list[bytes] = []
    size = 0
    for model, uuid, *held in found:
        key = (model, uuid)
        packed.append(_record(key, decode_state(*held), lost.get(key, {})))
        size += len(packed[-1])
        if size > limits.RECORDS_BYTES:
            break
    done = len(found) < limit and len(packed) == len(found)
    heads = {
        feed: head
        for feed, head in connection.exec_driver_sql(
            "SELECT feed, applied_hash FROM feed WHERE applied > 0"
        )
    }
    return Records(after, applied(connection), tuple(packed), done, heads)


def _record(key: Key, state: RecordState, losses: Losses) -> bytes:
    """Return a record as it travels; one that is too large goes without what was lost of it."""
    packed = encode_record(key, state, losses)
    return packed if len(packed) <= limits.MAX_RECORD_BYTES else encode_record(key, state, {})


def applied(connection: Connection) -> dict[bytes, int]:
    """Return how much of each feed has taken effect, of a branch only what is its own."""
    rows = connection.exec_driver_sql(
        "SELECT f.feed, f.applied FROM feed f LEFT JOIN feed t ON t.id = f.trunk"
        " WHERE f.applied > coalesce(t.received, 0)"
    )
    return {feed: seq for feed, seq in rows}


def losses_of(connection: Connection, keys: Sequence[Key]) -> dict[Key, Losses]:
    """Return the lost writes that the journal holds of some records."""
    wanted = set(keys)
    uuids = list({uuid for _, uuid in keys})
    lost: dict[Key, Losses] = {}
    for at in range(0, len(uuids), 500):
        chunk = uuids[at : at + 500]
        rows = connection.exec_driver_sql(
            "SELECT model, record, field, subkey, value, loser FROM journal WHERE field <> ''"
            f" AND record IN ({', '.join('?' * len(chunk))})",
            tuple(chunk),
        )
        for model, record, field, subkey, value, loser in rows:
            if (model, record) in wanted:
                register = field, subkey or None
                held = unpack(value, len(value), unset=True)
                lost.setdefault((model, record), {})[register, decode_ref(loser)] = held
    return lost
