"""Peers of other minor versions: what they say that is not known here, and what they cannot read.

A message of a kind that a later version brings is ignored. A stream that an older version cannot
read as it is now is not sent to it; all else is. PROTOCOL.md says what may change with a minor version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.protocol.commands import Note

if TYPE_CHECKING:
    from leaderless.protocol.commands import Command
    from leaderless.protocol.messages import Vectors
    from leaderless.protocol.peer import Peer

UPGRADE: Final = (
    "commits that you lack were forgotten, and your version of leaderless cannot read what is left of"
    " them: upgrade it"
)
"""What a device is told that stays behind because it is older."""


def not_known(peer: Peer, kind: int) -> list[Command]:
    """Ignore a message of a later version; told of at the first, the tenth, the hundredth."""
    peer.unknown[kind] += 1
    count = peer.unknown[kind]
    if str(count).strip("0") != "1":
        return []
    return [Note("unknown_message", {"device": peer.device, "kind": kind, "count": count})]


QUIET_S: Final = 1.0
"""Nothing was said for so long before it is told."""


class Upgrades:
    """Whom we told to upgrade."""

    def __init__(self) -> None:
        self._told: set[bytes] = set()

    def is_due(self, peer: Peer, ours: Vectors) -> bool:
        """Return whether a peer is to be told now, at the price of its link; true once.

        The last message is the only one with words that every version reads. It is sent when all
        that could be passed on in both directions has been. Connected again, the peer goes on to be
        served what it can read, and to be heard.
        """
        if not self.is_waiting(peer, ours):
            return False
        self._told.add(peer.device)
        return True

    def is_waiting(self, peer: Peer, ours: Vectors) -> bool:
        """Return whether a peer is to be told as soon as somebody looks: nothing else is to be done."""
        if not peer.beyond or peer.device in self._told:
            return False
        loading = any(stream.loading for stream in peer.outgoing.values())
        return not (loading or peer.unacknowledged or peer.ahead(ours))
