"""Rows of an owner that are kept aside until all of them are here: nothing that is held changes.

For a copy that is to be replaced as a whole: our own after a restore (store/given_back.py), and one
that was proved and that something does not fit; and for what a relay brings on top of a proved one
(store/relayed.py). One source gives all of them,
from the first on, so it is plain whose fault it is if they are not what their owner has signed.
Whether they are, and what becomes of them, is for those to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol import codec
from leaderless.protocol.messages import StateBatch
from leaderless.protocol.packing import pack, unpack
from leaderless.store import meta
from registry.changes import Incarnation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_MAX_FACT: Final = 128
_SLOT_BITS: Final = 32
"""The batches of a slot are numbered from its number, so many bits to the left, on."""
MOST_OF_A_REV: Final = 4
"""Rows, tombstones and batches that come for each rev at most: a row, ahead of its rev and at it, and
where it is deleted its tombstone, twice as well; or what only says that there is nothing."""


class Given(NamedTuple):
    """How far a peer has given what it holds of an owner."""

    source: bytes
    incarnation: Incarnation
    reached: int
    as_of: int
    """The highest rev that the peer has said there is."""
    amount: int = 0
    """Of how many rows, tombstones and batches what is kept aside consists."""
    slot: int = 0
    """Where it is kept: what comes of several owners is not mixed."""

    @property
    def whole(self) -> bool:
        """Return whether this is all that there is, as far as the peer knows."""
        return 0 < self.as_of == self.reached


def given(connection: Connection, owner: bytes) -> Given | None:
    """Return how far a peer has given an owner's rows, None if nothing is kept aside."""
    told = meta.get(connection, meta.aside(owner))
    if told is None:
        return None
    source, generation, nonce, *far = unpack(told, _MAX_FACT)
    return Given(source, Incarnation(generation, nonce), *far)


def keep(connection: Connection, batch: StateBatch, sender: bytes, start: int = 0) -> Given | None:
    """Put a batch aside, and return how far it goes now; None if it does not go on from there.

    One from `start`, a rev, replaces what is aside of its owner. The owner's word on the batch is
    verified before. Of who says itself that it lacks some, nothing is kept, nor of who sends more
    than there can be.
    """
    if batch.as_of > batch.head:
        return None
    owner = batch.owner
    held = given(connection, owner)
    goes_on = held is not None and (held.source, held.incarnation) == (sender, batch.incarnation)
    if batch.lo <= start and not (goes_on and held is not None and held.reached <= start):
        discard(connection, owner)
        held = Given(sender, batch.incarnation, start, 0, slot=_free_slot(connection))
    elif held is None or not goes_on or batch.lo > held.reached or batch.head < held.reached:
        return None
    held = held._replace(
        reached=max(held.reached, batch.hi),
        as_of=max(held.as_of, batch.as_of),
        amount=held.amount + _amount(batch),
    )
    if held.amount > MOST_OF_A_REV * (held.as_of + 1):
        discard(connection, owner)
        return None
    first, beyond = _numbers(held)
    connection.exec_driver_sql(
        "INSERT INTO given_back (id, batch) SELECT coalesce(max(id) + 1, ?), ? FROM given_back"
        " WHERE id >= ? AND id < ?",
        (first, codec.encode(batch), first, beyond),
    )
    meta.put(connection, meta.aside(owner), pack([held.source, *held.incarnation, *held[2:]]))
    return held


def _amount(batch: StateBatch) -> int:
    return 1 + sum(len(change.rows) + len(change.removed) for change in batch.changes)


def _free_slot(connection: Connection) -> int:
    """Return one behind all that are in use: what is in use holds a batch at least."""
    last = connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM given_back").scalar_one()
    return (int(last) >> _SLOT_BITS) + 1


def _numbers(held: Given) -> tuple[int, int]:
    """Return the numbers that batches may have, from the first to before the second."""
    return held.slot << _SLOT_BITS, held.slot + 1 << _SLOT_BITS


def batches(connection: Connection, owner: bytes) -> Iterator[StateBatch]:
    """Yield what is kept aside of an owner, in its order."""
    held = given(connection, owner)
    if held is None:
        return
    numbers = connection.exec_driver_sql(
        "SELECT id FROM given_back WHERE id >= ? AND id < ? ORDER BY id", _numbers(held)
    )
    for number in list(numbers.scalars()):
        frame = connection.exec_driver_sql(
            "SELECT batch FROM given_back WHERE id = ?", (number,)
        ).scalar_one()
        batch = codec.decode(frame)
        if isinstance(batch, StateBatch):
            yield batch


def discard(connection: Connection, owner: bytes) -> None:
    """Forget what is kept aside of an owner, if anything is."""
    held = given(connection, owner)
    if held is not None:
        connection.exec_driver_sql(
            "DELETE FROM given_back WHERE id >= ? AND id < ?", _numbers(held)
        )
        meta.drop(connection, meta.aside(owner))
