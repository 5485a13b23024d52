"""A checkpoint: an owner's signed word on its whole state at one rev.

Signed bytes: MessagePack [1, library, owner, generation, nonce, rev, row count, set hash] behind
the domain `leaderless/checkpoint/1`. A record on the wire and at rest is signature + those bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderless.protocol.errors import MalformedError
from leaderless.protocol.fields import incarnation_of, number, sized
from leaderless.protocol.hashing import SET_HASH_BYTES, digest
from leaderless.protocol.packing import pack, unpack

if TYPE_CHECKING:
    from registry.changes import Incarnation

DOMAIN = b"leaderless/checkpoint/1\0"
SIGNATURE_BYTES = 64
NAME_BYTES = 16


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an owner says: at `rev` it has `row_count` live rows that hash to `set_hash`."""

    library: bytes
    owner: bytes
    incarnation: Incarnation
    rev: int
    row_count: int
    set_hash: bytes

    def encode(self) -> bytes:
        """Return the bytes that are signed, without the domain."""
        return pack(
            [
                1,
                self.library,
                self.owner,
                *self.incarnation,
                self.rev,
                self.row_count,
                self.set_hash,
            ]
        )


def name_of(signed: bytes) -> bytes:
    """Return the name of the checkpoint with these bytes, as `Checkpoint.encode` returns them."""
    return digest(signed)[:NAME_BYTES]


def signed_part(record: bytes) -> tuple[bytes, bytes]:
    """Return (signature, signed bytes with their domain) of a record."""
    return record[:SIGNATURE_BYTES], DOMAIN + record[SIGNATURE_BYTES:]


def decode(record: bytes) -> Checkpoint:
    """Return the checkpoint in a record; the signature is the caller's to verify.

    Raises MalformedError, also for numbers that no database holds.
    """
    match unpack(record[SIGNATURE_BYTES:], limit=1024):
        case [1, bytes(library), owner, generation, nonce, rev, row_count, set_hash]:
            return Checkpoint(
                library,
                sized(owner, 16),
                incarnation_of(generation, nonce),
                number(rev),
                number(row_count),
                sized(set_hash, SET_HASH_BYTES),
            )
    raise MalformedError("a checkpoint has another shape")
