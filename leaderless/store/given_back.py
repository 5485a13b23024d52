"""Own rows that a peer gives back to a restored device: kept aside first, then taken at once.

Until all are here and are what this device has signed, nothing that it holds changes: it may go on
with that whenever it has to. One peer gives all of them, from the first on, so it is plain whose
fault it is if they are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol import checkpoint, codec, floor
from leaderless.protocol.errors import ProtocolError
from leaderless.protocol.messages import StateBatch
from leaderless.protocol.packing import pack, unpack
from leaderless.store import meta, own_words, relayed, since_backup, state
from registry.changes import Incarnation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from leaderless.store.transaction import Transaction

_MAX_FACT: Final = 128
MOST_OF_A_REV: Final = 4
"""Rows, tombstones and batches that come for each rev at most: a row, ahead of its rev and at it, and
where it is deleted its tombstone, twice as well; or what only says that there is nothing."""


class NotSignedError(ProtocolError):
    """Rows that were given back are not what this device had signed."""

    code = "not_signed"


class Given(NamedTuple):
    """How far a peer has given back what it holds of this device."""

    source: bytes
    incarnation: Incarnation
    reached: int
    as_of: int
    """The highest rev that the peer has said there is."""
    amount: int = 0
    """Of how many rows, tombstones and batches what is kept aside consists."""

    @property
    def whole(self) -> bool:
        """Return whether this is all that there is, as far as the peer knows."""
        return 0 < self.as_of == self.reached


def given(connection: Connection) -> Given | None:
    """Return how far a peer has given back own rows, None if nothing is kept aside."""
    told = meta.get(connection, meta.GIVEN_BACK)
    if told is None:
        return None
    source, generation, nonce, *far = unpack(told, _MAX_FACT)
    return Given(source, Incarnation(generation, nonce), *far)


def keep(connection: Connection, batch: StateBatch, sender: bytes) -> Given | None:
    """Put a batch aside, and return how far it goes now; None if it does not go on from there.

    One from the start replaces what is aside. The owner's word on the batch is verified before. Of
    who says itself that it lacks some, nothing is kept, nor of who sends more than there can be.
    """
    if batch.as_of > batch.head:
        return None
    held = given(connection)
    goes_on = held is not None and (held.source, held.incarnation) == (sender, batch.incarnation)
    if batch.lo == 0 and not (goes_on and held is not None and held.reached == 0):
        discard(connection)
        held = Given(sender, batch.incarnation, 0, 0)
    elif held is None or not goes_on or batch.lo > held.reached or batch.head < held.reached:
        return None
    held = held._replace(
        reached=max(held.reached, batch.hi),
        as_of=max(held.as_of, batch.as_of),
        amount=held.amount + _amount(batch),
    )
    if held.amount > MOST_OF_A_REV * (held.as_of + 1):
        discard(connection)
        return None
    connection.exec_driver_sql("INSERT INTO given_back (batch) VALUES (?)", (codec.encode(batch),))
    meta.put(connection, meta.GIVEN_BACK, pack([held.source, *held.incarnation, *held[2:]]))
    return held


def _amount(batch: StateBatch) -> int:
    return 1 + sum(len(change.rows) + len(change.removed) for change in batch.changes)


class Taken(NamedTuple):
    """Our copy after what was given back took the place of it."""

    copy: Copy
    displaced: tuple[tuple[bytes, bytes], ...]
    """(owner, relay) of unproved copies that held ids of ours, and went."""


def take(transaction: Transaction) -> Taken:
    """Have what was given back take the place of our own rows; those since the backup are put aside.

    Raises NotSignedError if they are not what we had signed, and what applying raises: the
    transaction has to fail as a whole then.
    """
    connection, registry = transaction.conn, transaction.registry
    held = state.copy_of(connection, transaction.own_device)
    if held is not None:
        since_backup.put_aside(connection, registry, held, _batches(connection))
        # What was deleted up to a floor of ours is in rows that were signed before.
        state.forget(connection, registry, held._replace(floor=0, floor_word=None))
    # From here on only what is newer than what was taken is news.
    own_words.forget(connection)
    displaced: list[tuple[bytes, bytes]] = []
    for batch in _batches(connection):
        said = checkpoint.decode(batch.checkpoint)
        upto = floor.decode(batch.floor).rev if batch.floor else 0
        displaced += relayed.apply_making_way(connection, registry, batch, said, upto)[1]
    discard(connection)
    taken = state.copy_of(connection, transaction.own_device)
    if taken is None or not taken.exact or not 0 < taken.verified == taken.watermark:
        raise NotSignedError("rows that were given back are not what this device had signed")
    since_backup.leave_out(connection, registry, taken)
    meta.put(connection, meta.OWN_EPOCH, taken.epoch)
    transaction.facts_changed = True
    return Taken(taken, tuple(displaced))


def _batches(connection: Connection) -> Iterator[StateBatch]:
    for number in list(
        connection.exec_driver_sql("SELECT id FROM given_back ORDER BY id").scalars()
    ):
        frame = connection.exec_driver_sql(
            "SELECT batch FROM given_back WHERE id = ?", (number,)
        ).scalar_one()
        batch = codec.decode(frame)
        if isinstance(batch, StateBatch):
            yield batch


def discard(connection: Connection) -> None:
    """Forget what is kept aside, if anything is."""
    connection.exec_driver_sql("DELETE FROM given_back")
    meta.drop(connection, meta.GIVEN_BACK)
