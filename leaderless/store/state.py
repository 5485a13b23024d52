"""Owned state at rest: incarnations, watermarks, set hashes, checkpoints; batches in and out.

One rule for all of it: rows, watermark and set hash change in one transaction, so a watermark never
promises what is not there.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from leaderless.protocol import hashing
from leaderless.store import opaque
from leaderless.words import counted
from registry.changes import Incarnation, StateChange
from registry.dispatch import dispatch_state
from registry.models import needed
from registry.rows import Epochs, StateRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.protocol.messages import StateBatch
    from registry.models import Registry


class Copy(NamedTuple):
    """What is held of one owner's current incarnation."""

    epoch: int
    owner: bytes
    incarnation: Incarnation
    watermark: int
    as_of: int
    verified: int
    row_count: int
    set_hash: bytes
    checkpoint: bytes | None
    checkpoint_rev: int
    fault: str | None
    floor: int = 0
    """Of what the owner has deleted up to here nobody is told any more."""
    floor_word: bytes | None = None
    base: int = 0
    """The floor that was known when this copy began from the start."""

    @property
    def exact(self) -> bool:
        """Return whether this is all that any source used so far had."""
        return self.watermark == self.as_of


_COPY = (
    "SELECT id, device, generation, nonce, watermark, as_of, verified, row_count, set_hash,"
    " checkpoint, checkpoint_rev, fault, floor, floor_word, base FROM incarnation"
)


def copies(connection: Connection) -> list[Copy]:
    """Return what is held of every owner: of each the newest incarnation."""
    newest: dict[bytes, Copy] = {}
    for row in connection.exec_driver_sql(f"{_COPY} ORDER BY device, generation, nonce"):
        copy = Copy(row[0], row[1], Incarnation(row[2], row[3]), *row[4:])
        newest[copy.owner] = copy
    return list(newest.values())


def copy_of(connection: Connection, owner: bytes) -> Copy | None:
    """Return what is held of an owner's newest incarnation, or None if nothing is known of it."""
    row = connection.exec_driver_sql(
        f"{_COPY} WHERE device = ? ORDER BY generation DESC, nonce DESC LIMIT 1", (owner,)
    ).first()
    return None if row is None else Copy(row[0], row[1], Incarnation(row[2], row[3]), *row[4:])


def add_incarnation(connection: Connection, owner: bytes, incarnation: Incarnation) -> int:
    """Add an empty copy of an incarnation and return its local key."""
    return int(
        connection.exec_driver_sql(
            "INSERT INTO incarnation (device, generation, nonce, set_hash) VALUES (?, ?, ?, ?)"
            " RETURNING id",
            (owner, *incarnation, hashing.EMPTY_SET),
        ).scalar_one()
    )


def epochs_of(connection: Connection, owner: bytes, current: int) -> Epochs:
    """Return the local keys of all incarnations of an owner."""
    found = connection.exec_driver_sql("SELECT id FROM incarnation WHERE device = ?", (owner,))
    return Epochs(current, frozenset(found.scalars()))


def apply_changes(
    connection: Connection, registry: Registry, copy: Copy, changes: Sequence[StateChange]
) -> tuple[int, int]:
    """Apply rows and tombstones of one owner; return the change of (row count, set hash sum)."""
    epochs = epochs_of(connection, copy.owner, copy.epoch)
    count = total = 0
    ready: list[StateChange] = []
    for change in changes:
        if registry.get(change.model) is None:
            ready.append(change)
            continue
        more, added, fresh = opaque.make_way(connection, epochs, change)
        ready.append(fresh)
        count += more
        total += added
    outcome = dispatch_state(registry, connection, epochs, ready, copy.owner)
    for model, effect in outcome.effects:
        count += len(effect.after) - len(effect.before)
        total += hashing.rows_sum(model, effect.after) - hashing.rows_sum(model, effect.before)
    for change in outcome.unknown:
        more, added = opaque.keep(connection, epochs, change)
        count += more
        total += added
    return count, total


def put_copy(connection: Connection, copy: Copy) -> None:
    """Write back the cursor, hash and checkpoint of a copy."""
    connection.exec_driver_sql(
        "UPDATE incarnation SET watermark = ?, as_of = ?, verified = ?, row_count = ?,"
        " set_hash = ?, checkpoint = ?, checkpoint_rev = ?, fault = ?, floor = ?, floor_word = ?,"
        " base = ? WHERE id = ?",
        (*copy[3:], copy.epoch),
    )


class Merged(NamedTuple):
    """What a batch did: the copy after it, and whether it was used at all."""

    copy: Copy
    used: bool


def apply_batch(
    connection: Connection,
    registry: Registry,
    batch: StateBatch,
    checkpoint: Checkpoint | None,
    floor: int = 0,
) -> Merged:
    """Apply a batch of somebody's state with its cursor; `checkpoint` is its verified word.

    The cursor moves only if the batch begins at or below it; a batch of an older incarnation, or
    from a source that holds less than we do, is dropped. An introduction moves no cursor. `floor`
    is that of the batch, verified: a copy that is below it, and did not begin under it, begins anew.
    """
    copy = copy_of(connection, batch.owner)
    if copy is None or copy.incarnation < batch.incarnation:
        # Rows of the incarnation before stay until this one has replaced them, and count till then.
        rows = (0, hashing.EMPTY_SET) if copy is None else (copy.row_count, copy.set_hash)
        epoch = add_incarnation(connection, batch.owner, batch.incarnation)
        # Its word is kept whatever becomes of the batch, as proof that there is this incarnation.
        word = None if checkpoint is None else batch.checkpoint
        copy = Copy(epoch, batch.owner, batch.incarnation, 0, 0, 0, *rows, word, 0, None)
        put_copy(connection, copy)
    stale = copy.incarnation > batch.incarnation
    if not stale and not batch.introduction:
        copy = _under_floor(connection, registry, copy, batch, checkpoint, floor)
        # Who is below the floor itself may hold what was deleted there.
        stale = copy.watermark < copy.floor and batch.head < copy.floor
    if stale or (
        not batch.introduction and (batch.head < copy.watermark or batch.lo > copy.watermark)
    ):
        return Merged(copy, used=False)
    count, total = apply_changes(connection, registry, copy, batch.changes)
    if count or total:
        # These are other rows than those that were proved, whatever rev they claim to be of.
        copy = copy._replace(
            verified=0,
            row_count=copy.row_count + count,
            set_hash=hashing.add(copy.set_hash, total),
        )
    # An introduction's word takes the place of one that covers all rows here only if it has to.
    covers = copy.checkpoint_rev if batch.introduction else -1
    if checkpoint is not None and checkpoint.rev > copy.checkpoint_rev and batch.as_of > covers:
        copy = copy._replace(checkpoint=batch.checkpoint, checkpoint_rev=checkpoint.rev)
    # Rows that come ahead of their rev count in the set hash already: until the cursor has reached
    # them, the copy is not exact and is compared with nothing.
    copy = copy._replace(as_of=max(copy.as_of, batch.as_of))
    if not batch.introduction:
        copy = copy._replace(watermark=max(copy.watermark, batch.hi))
        if checkpoint is not None and _is_all_of(copy, checkpoint):
            copy = copy._replace(
                as_of=copy.watermark, checkpoint=batch.checkpoint, checkpoint_rev=checkpoint.rev
            )
        if copy.exact and (checkpoint is None or checkpoint.rev <= copy.watermark):
            copy = _without_older(connection, registry, copy)
        copy = _proved(copy, checkpoint)
    put_copy(connection, copy)
    return Merged(copy, used=True)


def _under_floor(
    connection: Connection,
    registry: Registry,
    copy: Copy,
    batch: StateBatch,
    checkpoint: Checkpoint | None,
    floor: int,
) -> Copy:
    """Take in the floor of a batch; begin a copy anew that may have missed deletes below it.

    What it holds stays, and counts, until all has come again: as rows of an earlier incarnation do.
    So nothing vanishes meanwhile, and it goes on after a crash, and with another source. The word of
    the batch is kept whatever becomes of that: an owner that is put back to before its floor brings
    nothing that is taken from then on, and can be shown by its word alone that it was.
    """
    if floor > copy.floor:
        copy = copy._replace(floor=floor, floor_word=batch.floor)
        put_copy(connection, copy)
    if copy.watermark >= copy.floor or copy.base >= copy.floor:
        return copy
    if copy.watermark or copy.row_count:
        copy = _begun_anew(connection, registry, copy, batch.as_of)
    if checkpoint is not None and checkpoint.rev > copy.checkpoint_rev:
        copy = copy._replace(checkpoint=batch.checkpoint, checkpoint_rev=checkpoint.rev)
    copy = copy._replace(base=copy.floor)
    put_copy(connection, copy)
    return copy


def _begun_anew(connection: Connection, registry: Registry, copy: Copy, as_of: int) -> Copy:
    """Return an empty copy of the same incarnation; the rows are those of one before it now."""
    known = connection.exec_driver_sql(
        "SELECT nonce FROM incarnation WHERE device = ? AND generation = 1", (copy.owner,)
    )
    taken = set(known.scalars())
    free = (nonce for at in count(1) if (nonce := at.to_bytes(8, "big")) not in taken)
    before = Incarnation(1, next(free))
    if before >= copy.incarnation:
        # Nothing is before it: an incarnation that was not drawn by chance.
        forget(connection, registry, copy)
        return copy_of(connection, copy.owner) or copy
    connection.exec_driver_sql(
        "UPDATE incarnation SET generation = ?, nonce = ? WHERE id = ?", (*before, copy.epoch)
    )
    epoch = add_incarnation(connection, copy.owner, copy.incarnation)
    return copy._replace(
        epoch=epoch, watermark=0, as_of=max(copy.as_of, as_of), verified=0, fault=None
    )


def _is_all_of(copy: Copy, checkpoint: Checkpoint) -> bool:
    """Return whether these are the rows that a word of their owner is of, whatever more was told of.

    A backup of the owner may have been put back since: then what is missing never comes.
    """
    said = (checkpoint.rev, checkpoint.row_count, checkpoint.set_hash)
    return said == (copy.watermark, copy.row_count, copy.set_hash)


def _proved(copy: Copy, checkpoint: Checkpoint | None) -> Copy:
    """Compare an exact copy with the owner's signed word, where there is one for this rev."""
    if not copy.exact or checkpoint is None or checkpoint.rev != copy.watermark:
        return copy
    if _is_all_of(copy, checkpoint):
        return copy._replace(verified=copy.watermark, fault=None)
    return copy._replace(
        fault=f"at rev {copy.watermark} the owner signed {counted(checkpoint.row_count, 'row')},"
        f" here are {copy.row_count}, or rows that differ"
    )


def _without_older(connection: Connection, registry: Registry, copy: Copy) -> Copy:
    """Drop what earlier incarnations left: an exact copy of this one holds all that there is."""
    older = sorted(epochs_of(connection, copy.owner, copy.epoch).known - {copy.epoch})
    count = total = 0
    for epoch in older:
        for model in registry.owned():
            query = needed(model.query_state)(connection, epoch, -1, 1 << 62, -1)
            for uuid, rev, *values in query.rows:
                named = zip(query.columns, values, strict=True)
                fields = {name: value for name, value in named if value is not None}
                total += opaque.element(model.sync_name, StateRow(uuid, rev, fields))
            count += len(query.rows)
            # What deleted ancestors of this incarnation hang on stays, as dead rows do.
            connection.exec_driver_sql(
                f"UPDATE {model.sync_name} SET dead = 1, epoch = ? WHERE epoch = ?",
                (copy.epoch, epoch),
            )
        unknown = connection.exec_driver_sql(
            "DELETE FROM opaque_row WHERE epoch = ? RETURNING model, uuid, rev, fields", (epoch,)
        ).all()
        total += sum(
            opaque.element(model, StateRow(uuid, rev, msgpack.unpackb(fields)))
            for model, uuid, rev, fields in unknown
        )
        count += len(unknown)
        # Their ids are never used again, and who is behind this takes all rows anew.
        connection.exec_driver_sql("DELETE FROM tombstone WHERE epoch = ?", (epoch,))
        connection.exec_driver_sql(
            "DELETE FROM incarnation WHERE id = ? AND generation = 1 AND substr(nonce, 1, 4) = ?",
            (epoch, bytes(4)),
        )
    if older:
        for model in reversed(registry.owned()):
            needed(model.sweep_state)(connection)
    return copy._replace(
        row_count=copy.row_count - count, set_hash=hashing.add(copy.set_hash, -total)
    )


def forget(connection: Connection, registry: Registry, copy: Copy) -> None:
    """Drop all that is held of an owner, to fetch it anew; what was wrong with it is forgotten too.

    Rows of its earlier incarnations go along: rows of this one may refer to them. The owner's word
    stays, as proof that there is such an incarnation: it may have been restored since.
    """
    epochs = epochs_of(connection, copy.owner, copy.epoch)
    owned = [model.sync_name for model in reversed(registry.owned())]
    for table in (*owned, "tombstone", "opaque_row"):
        for epoch in epochs.known:
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE epoch = ?", (epoch,))
    put_copy(
        connection,
        copy._replace(
            watermark=0,
            as_of=0,
            verified=0,
            row_count=0,
            set_hash=hashing.EMPTY_SET,
            checkpoint_rev=0,
            fault=None,
            base=0,
        ),
    )
