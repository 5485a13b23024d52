"""Digests of positions and of what is held at them.

Two replicas agree when both digests are equal: equal positions, and equal set hashes at these. An
owner at watermark 0 and a feed without an applied commit say nothing and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.messages import Vectors


@dataclass(frozen=True, slots=True)
class OwnedProof:
    """What stands behind an owner's position: how many live rows, and what they hash to."""

    row_count: int
    set_hash: bytes


@dataclass(frozen=True, slots=True)
class Holdings:
    """A replica at one moment.

    `unproved` says in words why a copy here cannot be compared (inexact, not covered by a
    checkpoint, commits on the shelf), by owner or feed; while there is any, nothing is claimed.
    `closed` are the feeds of which nothing more is taken.
    """

    vectors: Vectors
    owned: Mapping[bytes, OwnedProof]
    shared_hash: bytes
    membership: bytes
    unproved: Mapping[bytes, str]
    closed: frozenset[bytes] = frozenset()
    life: str = ""
    """Why this device writes nothing of its own: it takes its rows back, or it was cloned."""
    uncovered: frozenset[bytes] = frozenset()
    """Owners whose copies here are all that their sources had, but no word of them covers."""
    suspected: frozenset[bytes] = frozenset()
    """Owners of whom each source has to bring a whole copy by itself: several brought a wrong one."""

    def vectors_digest(self) -> bytes:
        """Return the digest of the positions."""
        return vectors_digest(self.vectors)

    def state_digest(self) -> bytes | None:
        """Return the digest of all set hashes, or None while something here is unproved."""
        if self.unproved:
            return None
        owned = [
            [owner, proof.row_count, proof.set_hash]
            for owner, proof in sorted(self.owned.items())
            if self.vectors.owned[owner].watermark
        ]
        return digest(pack([owned, self.shared_hash, self.membership]))


def vectors_digest(vectors: Vectors) -> bytes:
    """Return the digest of positions, for hello and for proofs."""
    owned = [
        [owner, *held.incarnation, held.watermark]
        for owner, held in sorted(vectors.owned.items())
        if held.watermark
    ]
    feeds = [
        [feed, held.received, held.applied]
        for feed, held in sorted(vectors.feeds.items())
        if held.received
    ]
    return digest(pack([owned, feeds]))
