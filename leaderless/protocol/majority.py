"""When the shared records here are taken for altered: most of those who agree hold other ones.

A state of them that was given is its giver's word, as nobody signs what forgotten commits had said.
It shows that it was altered where positions are equal and digests are not. Which of the two is right
no digest tells; so it counts how many others agree with each other, and with us. Where several
do, and more than with us, one of them is asked for the state instead, and who gave ours is not asked
again for long. A device that made its records of what authors have signed doubts them for nobody.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from leaderless.protocol.commands import Doubt
from leaderless.protocol.proving import is_level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leaderless.protocol.gathering import Gathering
    from leaderless.protocol.messages import Proof
    from leaderless.protocol.peer import Peer
    from leaderless.protocol.trusting import Trust
    from leaderless.protocol.vectors import Holdings

CALM_S: Final = 15.0
"""For so long they have to differ: a statement or a branch of a feed may be on its way."""


class Majority:
    """Since when others agree that the shared records here are other ones."""

    def __init__(self, trust: Trust, gathering: Gathering) -> None:
        """Tell both of them whom to ask, and whom not."""
        self._trust = trust
        self._gathering = gathering
        self._since: float | None = None
        self.replan_at: float | None = None
        """When `plan` comes to another answer if nothing happens before."""

    def plan(
        self, peers: Iterable[Peer], ours: Holdings, proof: Proof | None, now: float
    ) -> list[Doubt]:
        """Doubt the records here, if most have held other ones for some time; `proof` is ours."""
        self.replan_at = None
        if proof is None or not ours.givers:
            self._since = None
            return []
        most = outvoting(peers, proof)
        if not most:
            self._since = None
            return []
        if self._since is None:
            self._since = now
        if now < self._since + CALM_S:
            self.replan_at = self._since + CALM_S
            return []
        # What is noted is durable a moment later: until then nothing is to be done again.
        self._since = now
        self.replan_at = now + CALM_S
        for giver in ours.givers:
            self._trust.disagreed(giver, now)
        self._gathering.prefer(most)
        return [Doubt()]


def outvoting(peers: Iterable[Peer], proof: Proof) -> frozenset[bytes]:
    """Return the devices at our positions that agree and outnumber who agrees with us, if any do.

    Two against two say nothing, whoever gave what to whom: it could be the other two who are wrong.
    """
    agreeing: dict[bytes, set[bytes]] = defaultdict(set)
    for peer in peers:
        said = peer.proof
        if said is not None and said.vectors == proof.vectors and is_level(peer, proof):
            agreeing[said.state].add(peer.device)
    ours = 1 + len(agreeing.pop(proof.state, set()))
    sizes = sorted((len(devices) for devices in agreeing.values()), reverse=True)
    if not sizes or sizes[0] <= max([ours, *sizes[1:2]]):
        return frozenset()
    return next(frozenset(held) for held in agreeing.values() if len(held) == sizes[0])
