"""Digests of positions and of what is held at them.

Two replicas agree when both digests are equal: equal positions, and equal set hashes at these. An
owner at watermark 0 and a feed without an applied commit say nothing and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import pack
from registry.changes import LIFE_BYTES, feed_incarnation, is_branch

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from leaderless.protocol.messages import Vectors


class OwnedProof(NamedTuple):
    """What stands behind an owner's position: how many live rows, and what they hash to."""

    row_count: int
    set_hash: bytes


@dataclass(frozen=True, slots=True)
class Staging:
    """The state of the shared records as far as it has been fetched, not yet in effect.

    It is of `start`, what the first source had applied then; since then none had applied more than
    `as_of`. It goes on after `cursor`, unless all `count` records are here.
    """

    start: Mapping[bytes, int]
    as_of: Mapping[bytes, int]
    cursor: bytes
    count: int
    done: bool
    whole: bool = False
    """Whether all headers are here, too, that it takes effect with."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Streams of which nothing more is taken: owners and feeds, whatever peers say they hold.

    `open` are feeds that are known and wanted. Of others that nothing is known of, those are closed
    that belong to a device in `below`, in a generation below the one that stands there (None: any):
    all but branches, as everybody has to know of a fork.
    Of `lives` (device and incarnation) something is lacking that counts, in whatever branch it is:
    no feed of these is closed.
    """

    streams: frozenset[bytes] = frozenset()
    open: frozenset[bytes] = frozenset()
    below: Mapping[bytes, int | None] = field(default_factory=dict)
    lives: frozenset[bytes] = frozenset()

    def __contains__(self, of: object) -> bool:
        """Return whether an owner or a feed is closed."""
        if isinstance(of, bytes) and bytes(of[:LIFE_BYTES]) in self.lives:
            return False
        if of in self.streams or of in self.open or not isinstance(of, bytes):
            return of in self.streams
        device = bytes(of[:16])
        if device == of or is_branch(of) or device not in self.below:
            return False
        below = self.below[device]
        return below is None or feed_incarnation(of).generation < below


@dataclass(frozen=True, slots=True)
class Holdings:
    """A replica at one moment.

    `unproved` says in words why a copy here cannot be compared (inexact, not covered by a
    checkpoint, commits on the shelf), by owner or feed; while there is any, nothing is claimed.
    `closed` are the streams of which nothing more is taken.
    """

    vectors: Vectors
    owned: Mapping[bytes, OwnedProof]
    shared_hash: bytes
    membership: bytes
    unproved: Mapping[bytes, str]
    closed: Container[bytes] = Closed()
    life: str = ""
    """Why this device writes nothing of its own: it takes its rows back, or it was cloned."""
    disputed: int | None = None
    """A rev of our own, up to ours, at which others hold other rows of us than these."""
    uncovered: frozenset[bytes] = frozenset()
    """Owners whose copies here are all that their sources had, but no word of them covers."""
    forgotten: Mapping[bytes, int] = field(default_factory=dict)
    """By feed, the next commit where that came without its body: the log cannot go on."""
    staging: Staging | None = None
    doubted: frozenset[bytes] = frozenset()
    """Feeds that others have otherwise, from somewhere on: they are read from the start again."""
    damaged: bool = False
    """Whether the shared records here are damaged, and only a peer can say what they were."""
    suspected: frozenset[bytes] = frozenset()
    """Owners of whom each source has to bring a whole copy by itself: several brought a wrong one."""
    givers: frozenset[bytes] = frozenset()
    """Devices whose word the shared records here are: they gave a state of them that nobody signs."""
    outvoted: bool = False
    """Whether most others hold other records than these, and one of them is to give them."""
    beside: frozenset[bytes] = frozenset()
    """Suspected owners of whom a proved copy stays here, until a whole one takes its place at once."""
    short: frozenset[bytes] = frozenset()
    """Owners of whose copies here something is still to come, by what was told when they began."""

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


def readable(vectors: Vectors, version: tuple[int, int]) -> Vectors:
    """Return the positions that a peer of this version of the protocol can make something of.

    One of 1.0 ends the connection when it is sent a commit of a branch, so it is told of none.
    """
    if version >= (1, 1):
        return vectors
    whole = {feed: at for feed, at in vectors.feeds.items() if not is_branch(feed)}
    return replace(vectors, feeds=whole)


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
