"""What a batch of rows says in its owner's name: verified, or refused.

A connection proves which device relays; signatures prove who owns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.errors import NotPermittedError
from leaderless.identity import verify
from leaderless.protocol import checkpoint as checkpoints
from leaderless.protocol import floor as floors
from leaderless.protocol.errors import ProtocolError

if TYPE_CHECKING:
    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.protocol.floor import Floor
    from leaderless.protocol.messages import StateBatch


class NotAMemberError(NotPermittedError):
    """Data of a device that no statement makes a member."""

    code = "not_a_member"


class UnverifiedError(ProtocolError):
    """Data that its owner's signature does not cover."""

    code = "unverified"


def checkpoint_of(
    batch: StateBatch, sender: bytes, key: bytes, library: bytes
) -> Checkpoint | None:
    """Return the word on its state that comes with a batch of the owner with this public key.

    None where the owner itself, `sender`, says nothing. Raises UnverifiedError, MalformedError.
    """
    if batch.introduction and sender != batch.owner:
        raise UnverifiedError("a device is introduced by itself only")
    if _buries_elsewhere(batch):
        raise UnverifiedError("a batch says of deletions that they were at another time")
    if not batch.checkpoint:
        if sender != batch.owner:
            raise UnverifiedError("relayed rows came without a checkpoint of their owner")
        return None
    said = checkpoints.decode(batch.checkpoint)
    _check("checkpoint", said, checkpoints.signed_part(batch.checkpoint), batch, key, library)
    if sender != batch.owner and _reaches(batch) > said.rev:
        raise UnverifiedError("relayed rows go beyond the checkpoint of their owner")
    if sender != batch.owner and batch.changes and batch.lo == batch.head:
        raise UnverifiedError("a batch that says that there is nothing more brings rows")
    return said


def floor_of(batch: StateBatch, key: bytes, library: bytes) -> int:
    """Return the owner's floor that comes with a batch, 0 for none; raises as `checkpoint_of`."""
    if not batch.floor:
        return 0
    said = floors.decode(batch.floor)
    _check("floor", said, floors.signed_part(batch.floor), batch, key, library)
    return said.rev


def _check(
    what: str,
    said: Checkpoint | Floor,
    signed: tuple[bytes, bytes],
    batch: StateBatch,
    key: bytes,
    library: bytes,
) -> None:
    """Raise UnverifiedError unless the owner has signed it, and of the state that a batch is of."""
    if not verify(key, *signed):
        raise UnverifiedError(f"a {what} is not signed by its owner")
    if (said.library, said.owner, said.incarnation) != (library, batch.owner, batch.incarnation):
        raise UnverifiedError(f"a {what} speaks of another state")


def _reaches(batch: StateBatch) -> int:
    """Return the highest rev that a batch speaks of."""
    rows = [int(str(row[1])) for change in batch.changes for row in change.rows]
    gone = [rev for change in batch.changes for _, rev in change.removed]
    return max(batch.hi, batch.head, batch.as_of, *rows, *gone)


def _buries_elsewhere(batch: StateBatch) -> bool:
    """Return whether a batch has tombstones of revs that it does not cover.

    No hash covers the rev of a tombstone, so this is what can be asked of it. Rows that come ahead
    of their rev, dead, bring theirs along.
    """
    return any(
        not batch.lo < rev <= batch.hi and uuid not in change.dead
        for change in batch.changes
        for uuid, rev in change.removed
    )
