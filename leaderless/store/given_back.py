"""Own rows that a peer gives back to a restored device: kept aside first, then taken at once.

Until all are here and are what this device has signed, nothing that it holds changes: it may go on
with that whenever it has to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.protocol.errors import ProtocolError
from leaderless.store import aside, meta, own_words, since_backup, state
from leaderless.store.displacing import apply_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from leaderless.protocol.messages import StateBatch
    from leaderless.store.aside import Given
    from leaderless.store.state import Copy
    from leaderless.store.transaction import Transaction


class NotSignedError(ProtocolError):
    """Rows that were given back are not what this device had signed."""

    code = "not_signed"


def given(connection: Connection) -> Given | None:
    """Return how far a peer has given back own rows, None if nothing is kept aside."""
    return aside.given(connection, meta.get(connection, meta.OWN_DEVICE))


def keep(connection: Connection, batch: StateBatch, sender: bytes) -> Given | None:
    """Put a batch of our own rows aside; return how far it goes now, None if it does not go on."""
    return aside.keep(connection, batch, sender)


class Taken(NamedTuple):
    """Our copy after what was given back took the place of it."""

    copy: Copy
    displaced: tuple[tuple[bytes, bytes], ...]
    """(owner, relay) of copies that held ids of ours, and went."""


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
    displaced = apply_all(connection, registry, _batches(connection), are_ours=True)
    discard(connection)
    taken = state.copy_of(connection, transaction.own_device)
    if taken is None or not taken.exact or not 0 < taken.verified == taken.watermark:
        raise NotSignedError("rows that were given back are not what this device had signed")
    since_backup.leave_out(connection, registry, taken)
    meta.put(connection, meta.OWN_EPOCH, taken.epoch)
    transaction.facts_changed = True
    return Taken(taken, displaced)


def _batches(connection: Connection) -> Iterator[StateBatch]:
    return aside.batches(connection, meta.get(connection, meta.OWN_DEVICE))


def discard(connection: Connection) -> None:
    """Forget what is kept aside, if anything is."""
    aside.discard(connection, meta.get(connection, meta.OWN_DEVICE))
