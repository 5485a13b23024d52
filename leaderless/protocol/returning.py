"""When a restored device goes on: once nobody who can be reached knows more of it than it does.

It asks whoever holds rows of it that it does not remember (protocol/fetching.py), until all other
members that are there have nothing more to give. For those that are not there it waits a while, as
who comes later finds it gone on in a new incarnation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.protocol.commands import GoOn, Key, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from leaderless.protocol.commands import Command
    from leaderless.protocol.fetching import Fetching
    from leaderless.protocol.peer import Peer
    from leaderless.protocol.vectors import Holdings

RESTORING: Final = "restoring"
"""The life of a device that takes its rows back."""
CLONED: Final = "cloned"
"""The life of a device that another machine runs as, too."""
WAIT_S: Final = 30.0
"""For members that are not connected: who runs is found within seconds."""


def knows_more(peer: Peer, own: bytes, ours: Holdings) -> int:
    """Return how much a peer holds of our own rows that we do not remember, by what it says.

    A clone takes none, so nobody holds anything for it that it could be asked for.
    """
    theirs, mine = peer.owned.get(own), ours.vectors.owned.get(own)
    if theirs is None or mine is None or not peer.known or ours.life == CLONED:
        return 0
    if theirs.incarnation != mine.incarnation:
        return max(theirs.watermark, 1) if mine.incarnation < theirs.incarnation else 0
    if ours.disputed == theirs.watermark:
        return theirs.watermark
    return max(0, theirs.watermark - mine.watermark)


class Returning:
    """For how long a device that was restored waits for others."""

    def __init__(self, own: bytes, others: Callable[[], Collection[bytes]]) -> None:
        """Wait as device `own`; `others` returns the devices of the other members."""
        self._own = own
        self._others = others
        self._since: float | None = None
        self.replan_at: float | None = None
        """When `plan` comes to another answer if nothing happens before."""

    def plan(
        self, peers: Iterable[Peer], ours: Holdings, fetching: Fetching, now: float
    ) -> list[Command]:
        """Go on, if nobody who is there knows more, and all are there or have been waited for."""
        self.replan_at = None
        if ours.life != RESTORING:
            self._since = None
            return []
        key, said = Key(Stream.STATE, self._own), set[bytes]()
        if self._since is None:
            self._since = now
        for peer in peers:
            if peer.known:
                said.add(peer.device)
                if knows_more(peer, self._own, ours) and fetching.may_bring(peer, key, now):
                    self._since = now
                    return []
        until = self._since + WAIT_S
        if now < until and not said.issuperset(self._others()):
            self.replan_at = until
            return []
        return [GoOn()]
