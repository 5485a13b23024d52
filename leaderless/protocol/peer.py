"""What is known of one connected peer: the memory of a session, without its decisions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leaderless.protocol.commands import Key, Stream
from leaderless.protocol.messages import Vectors

if TYPE_CHECKING:
    from leaderless.protocol.messages import FeedPosition, Hello, OwnedPosition, Positions, Proof


@dataclass(slots=True)
class Outgoing:
    """A stream that the peer asked us for: sent up to `after`."""

    after: int
    loading: bool = False
    answered: bool = False
    """Whether anything was sent: who asks is told if there is nothing."""
    head: int = 0
    """What the last batch said there is: the peer waits for it."""
    known: bytes = b""
    """The name of the owner's word that the peer has itself."""


@dataclass(slots=True)
class Peer:
    """One link and what its other side has said."""

    link: int
    device: bytes
    dialed: bool
    address: str
    since: float
    heard: float
    sent_vectors: Vectors
    """Our positions as our hello said them."""
    hello: Hello | None = None
    subscribed: bool = False
    """Whether it was asked for what is its own."""
    known: bool = False
    """Whether the peer's positions are known: only then is it asked for anything."""
    owned: dict[bytes, OwnedPosition] = field(default_factory=dict)
    feeds: dict[bytes, FeedPosition] = field(default_factory=dict)
    dropped: int = 0
    """How many owners and feeds it has told of, and then told that it holds nothing of."""
    outgoing: dict[Key, Outgoing] = field(default_factory=dict)
    asked_word: float | None = None
    """Since when it is asked for the last that it has heard of us: until then it is told no more."""
    may_agree: bool = False
    """Whether it was told what our own word is, so that it needs not say it."""
    unacknowledged: int = 0
    pinged: bool = False
    closing: bool = False
    """Whether it was told to go: nothing more is heard or asked of it."""
    clock_ahead_ms: int = 0
    proof: Proof | None = None
    proof_sent: Proof | None = None
    proved: bytes = b""
    """The digest of our positions at which both sides were last found equal."""
    proved_at: float | None = None
    differs: bool = False
    unknown: Counter[int] = field(default_factory=Counter)
    """How many messages of kinds that are not known here it has sent, by kind."""
    beyond: set[Key] = field(default_factory=set)
    """The streams that its version cannot read as they are now."""

    def learn(self, positions: Positions) -> None:
        """Take in what the peer says it holds."""
        if positions.whole:
            now = positions.vectors
            self.dropped += len(self.owned.keys() - now.owned) + len(self.feeds.keys() - now.feeds)
            self.owned.clear()
            self.feeds.clear()
        self.owned.update(positions.vectors.owned)
        self.feeds.update(positions.vectors.feeds)
        self.known = True

    def told(self) -> int:
        """Return of how many owners and feeds it has told: what it is asked for is remembered."""
        return len(self.owned) + len(self.feeds) + self.dropped

    def vectors(self) -> Vectors:
        """Return the peer's positions."""
        return Vectors(self.owned, self.feeds)

    def holds(self, feed: bytes) -> bool:
        """Return whether the peer has said that it holds some of a feed."""
        return feed in self.feeds and self.feeds[feed].received > 0

    def ahead(self, ours: Vectors) -> dict[Key, int]:
        """Return the streams of which the peer holds more than `ours`, and by how much."""
        found: dict[Key, int] = {}
        for owner, held in self.owned.items():
            mine = ours.owned.get(owner)
            if mine is None or mine.incarnation < held.incarnation:
                # That there is a later life is worth knowing though no rows of it are there: the
                # owner may have been restored since, and has to hear of it.
                if held.watermark or mine is not None:
                    found[Key(Stream.STATE, owner)] = max(held.watermark, 1)
            elif mine.watermark < held.watermark and mine.incarnation == held.incarnation:
                found[Key(Stream.STATE, owner)] = held.watermark - mine.watermark
        for feed, position in self.feeds.items():
            known = ours.feeds.get(feed)
            received = 0 if known is None else known.received
            if position.received > received:
                found[Key(Stream.LOG, feed)] = position.received - received
        return found
