"""When two replicas may say "in sync": equal positions, and equal digests of what stands at them.

Both sides send the digest of their set hashes once they hold the other for level with them; nothing
is claimed before the other's digest has come, or while a copy here is itself unproved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol.commands import Command, Note, Send
from leaderless.protocol.limits import MAX_STREAMS
from leaderless.protocol.messages import PullLog
from leaderless.protocol.vectors import vectors_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leaderless.protocol.messages import Proof
    from leaderless.protocol.peer import Peer


def prove(peers: Iterable[Peer], ours: Proof | None, now: float) -> list[Command]:
    """Send our proof to every peer that is level with us; `ours` is None while it cannot be given.

    Compares what peers have sent on the way, as it may speak of what we have reached only now.
    """
    commands: list[Command] = []
    for peer in peers:
        if ours is None:
            peer.proof_sent = None  # what we hold may be another state when we can tell it again
        elif not is_level(peer, ours):
            peer.proved = b""
        else:
            if peer.proof_sent != ours:
                peer.proof_sent = ours
                commands.append(Send(peer.link, ours))
            commands += compare(peer, ours, now)
    return commands


def is_level(peer: Peer, ours: Proof) -> bool:
    """Return whether a peer has last said that it stands where we do."""
    return peer.known and vectors_digest(peer.vectors()) == ours.vectors


def compare(peer: Peer, ours: Proof | None, now: float) -> list[Command]:
    """Hold a peer's proof against ours, where both speak of the positions at which both stand."""
    if peer.proof is None or ours is None or peer.proof.vectors != ours.vectors:
        return []
    if not is_level(peer, ours):
        return []  # it has not said yet that it is there
    if peer.proof.state == ours.state:
        if peer.proved == ours.vectors:
            return []
        peer.proved, peer.proved_at, peer.differs = ours.vectors, now, False
        return [Note("proved", {"device": peer.device})]
    if peer.differs:
        return []
    peer.differs, peer.proved = True, b""
    return [Note("differs", {"device": peer.device}), *_heads(peer)]


def _heads(peer: Peer) -> list[Command]:
    """Ask a peer that is level with us for the last commit of each feed.

    Where a feed has branches of equal length, no position tells.
    """
    last = [(feed, held.received) for feed, held in sorted(peer.feeds.items()) if held.received]
    asked = [PullLog(feed, received - 1) for feed, received in last]
    return [Send(peer.link, message) for message in asked[: MAX_STREAMS // 2]]
