"""Whom to believe of what: who sent forged data is heard less, and who may have, one at a time.

- One that sent what its owner never signed is *distrusted*: it is not asked for that again on this
  connection (but for once), nor soon on the next.
- One whose state of the shared records does not fit what others have signed is not asked for that
  for long, on whatever connection.
- *Suspects* are several of whom one did so: they are heard only when they are asked.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol.commands import Key, Stream
from leaderless.protocol.patience import Rests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from leaderless.protocol.messages import StateBatch
    from leaderless.protocol.peer import Peer
    from leaderless.protocol.vectors import Holdings

LEAST_DISTRUST_S: Final = 15.0
MOST_DISTRUST_S: Final = 60.0
"""After forged data, and only over a new connection: a relay that was mended is heard again."""
LEAST_DISAGREED_S: Final = 60.0
MOST_DISAGREED_S: Final = 3_600.0
"""After a state of the records that cannot be: longer, as all of it would come again."""
NEVER: Final = math.inf


def is_beside_the_point(
    batch: StateBatch, sender: Peer, peers: Iterable[Peer], ours: Holdings
) -> bool:
    """Return whether a relay says that there is no more of a copy of which others have the rest.

    It may have an old word of the owner, of what is here by now: where nobody has the rest, that takes
    the place of a copy that is never filled.
    """
    owner = batch.owner
    if batch.changes or batch.hi > batch.lo or owner not in ours.short or owner == sender.device:
        return False
    key = Key(Stream.STATE, owner)
    return any(peer.known and key in peer.ahead(ours.vectors) for peer in peers)


class Distrusted(NamedTuple):
    """Why a device is not asked for something: what it did, on which link, and until when."""

    why: str
    link: int | None
    until: float


class Trust:
    """What devices have sent that nobody had signed, or that does not fit what was."""

    def __init__(self) -> None:
        self._lies: Rests[tuple[bytes, Key]] = Rests(LEAST_DISTRUST_S, MOST_DISTRUST_S)
        self._disagreed: Rests[bytes] = Rests(LEAST_DISAGREED_S, MOST_DISAGREED_S)
        self.altered: dict[bytes, float] = {}
        """Whose state of the shared records was altered, and until when it is not asked for it."""
        self._suspects: set[tuple[bytes, Key]] = set()
        self._forged: set[tuple[int | None, Key]] = set()
        self.distrusted: dict[tuple[bytes, Key], Distrusted] = {}
        """Whom we do not ask for what; told to people."""

    def distrust(
        self, device: bytes, key: Key, link: int | None, why: str, now: float, *, only_now: bool
    ) -> None:
        """A device sent forged data of a stream on `link`.

        With `only_now` it is asked again after a pause, on the same link, too; so is one that did
        it once on this link: what was here of it may be from before it was mended.
        """
        until = self._lies.add((device, key), now)
        only_now |= (link, key) not in self._forged
        self._forged.add((link, key))
        self.distrusted[device, key] = Distrusted(why, None if only_now else link, until)

    def disagreed(self, device: bytes, now: float) -> None:
        """A device sent a state of the shared records that does not fit what others have signed."""
        self._disagreed.add(device, now)

    def altered_records(self, device: bytes, now: float) -> None:
        """A device gave a state of the shared records that most others hold otherwise."""
        self.altered[device] = now + MOST_DISAGREED_S

    def hears_records_at(self, device: bytes) -> float:
        """Return from when on a device is asked for the state of the shared records."""
        return max(self._disagreed.until(device), self.altered.get(device, -math.inf))

    def suspect(self, device: bytes, key: Key) -> None:
        """A device is one of several that had a part in what was forged."""
        self._suspects.add((device, key))

    def clear(self, is_proved: Callable[[Key], bool]) -> None:
        """Nobody is suspected any more of what was proved since."""
        self._suspects = {item for item in self._suspects if not is_proved(item[1])}

    def lost(self, link: int) -> None:
        """A link is gone."""
        self._forged = {item for item in self._forged if item[0] != link}

    def hears(self, peer: Peer, key: Key, now: float, *, asked: bool) -> bool:
        """Return whether what a peer sends of a stream is looked at."""
        found = self.distrusted.get((peer.device, key))
        if found is not None and (found.link == peer.link or now < found.until):
            return False
        return asked or (peer.device, key) not in self._suspects

    def asks_at(self, peer: Peer, key: Key, now: float) -> float:
        """Return from when on a peer is asked for a stream; NEVER: not over this connection."""
        found = self.distrusted.get((peer.device, key))
        if found is None:
            return now
        if found.link == peer.link:
            return NEVER
        if now < found.until:
            return found.until
        del self.distrusted[peer.device, key]
        return now
