"""Streams that were asked for, each of one source: on which link, from where, and how far they came.

Whom to ask, and when to ask somebody else, is the business of protocol/fetching.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderless.protocol.commands import Send
from leaderless.protocol.messages import PullLog, PullState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leaderless.protocol.commands import Key
    from leaderless.protocol.messages import Vectors
    from leaderless.protocol.peer import Peer
    from registry.changes import Incarnation


def state_pull(owner: bytes, incarnation: Incarnation, ours: Vectors) -> PullState:
    """Return what asks for an owner's rows beyond ours, for all of them in another incarnation."""
    held = ours.owned.get(owner)
    same = held is not None and held.incarnation == incarnation
    return PullState(owner, incarnation, held.watermark if held is not None and same else 0)


def log_pull(feed: bytes, ours: Vectors) -> PullLog:
    """Return what asks for the commits of a feed beyond ours."""
    held = ours.feeds.get(feed)
    return PullLog(feed, 0 if held is None else held.received)


@dataclass(slots=True)
class Pull:
    """A stream that was asked for on a link, from where: when something last came of it, how far."""

    link: int
    lo: int
    since: float
    reached: int
    is_open: bool
    """Whether it is the owner's own, which stays: it may hold no more than we do."""

    def came(self, reaches: int, now: float) -> bool:
        """Something came of it; return whether that is further than before."""
        if reaches <= self.reached:
            return False
        self.reached, self.since = reaches, now
        return True


class Pulls:
    """What was asked for and has not ended."""

    def __init__(self) -> None:
        self._held: dict[Key, Pull] = {}

    def of(self, key: Key) -> Pull | None:
        """Return what was asked for of a stream."""
        return self._held.get(key)

    def on(self, key: Key, link: int | None) -> Pull | None:
        """Return what was asked for of a stream if it was on this link."""
        pull = self._held.get(key)
        return pull if pull is not None and pull.link == link else None

    def ask(self, peer: Peer, key: Key, message: PullState | PullLog, now: float) -> Send:
        """Ask a peer for a stream, and nobody else any more."""
        lo = message.lo if isinstance(message, PullState) else message.after
        self._held[key] = Pull(peer.link, lo, now, lo, peer.device == key.of[:16])
        return Send(peer.link, message)

    def end(self, key: Key) -> None:
        """Wait for nothing more of a stream."""
        self._held.pop(key, None)

    def end_on(self, key: Key, link: int | None) -> None:
        """Wait for nothing more of a stream on this link."""
        if self.on(key, link) is not None:
            del self._held[key]

    def lost(self, link: int) -> None:
        """A link is gone, and with it what was asked for on it."""
        self._held = {key: pull for key, pull in self._held.items() if pull.link != link}

    def end_fallen(self, peers: Iterable[Peer]) -> None:
        """Wait no more for who has dropped its copy since it was asked: it has nothing to answer."""
        links = {peer.link: peer for peer in peers}
        for key, pull in list(self._held.items()):
            peer = links.get(pull.link)
            told = None if peer is None else peer.owned.get(key.of)
            if told is not None and told.watermark < pull.lo and not pull.is_open:
                del self._held[key]
