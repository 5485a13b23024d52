"""A floor: an owner's signed word on the tombstones that it has dropped.

Signed bytes: MessagePack [1, library, owner, generation, nonce, rev] behind the domain
`leaderless/floor/1`. A record on the wire and at rest is signature + those bytes. It says: of what was
deleted up to this rev nothing is told any more. Whoever is below it takes all rows anew, from the
start, and drops what did not come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leaderless.protocol.checkpoint import SIGNATURE_BYTES
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.fields import incarnation_of, number, sized
from leaderless.protocol.packing import pack, unpack

if TYPE_CHECKING:
    from registry.changes import Incarnation

DOMAIN: Final = b"leaderless/floor/1\0"
MAX_BYTES: Final = 256
"""Of a record: ids, two numbers and a signature need 140."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What an owner says: up to `rev` it remembers no delete of this incarnation any more."""

    library: bytes
    owner: bytes
    incarnation: Incarnation
    rev: int

    def encode(self) -> bytes:
        """Return the bytes that are signed, without the domain."""
        return pack([1, self.library, self.owner, *self.incarnation, self.rev])


def signed_part(record: bytes) -> tuple[bytes, bytes]:
    """Return (signature, signed bytes with their domain) of a record."""
    return record[:SIGNATURE_BYTES], DOMAIN + record[SIGNATURE_BYTES:]


def decode(record: bytes) -> Floor:
    """Return the floor in a record; the signature is the caller's to verify."""
    match unpack(record[SIGNATURE_BYTES:], limit=MAX_BYTES):
        case [1, bytes(library), owner, generation, nonce, rev] if rev:
            of = incarnation_of(generation, nonce)
            return Floor(library, sized(owner, 16), of, number(rev))
    raise MalformedError("a floor has another shape")
