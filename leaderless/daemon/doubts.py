"""Whose doubts are looked into, and when: a peer that is wrong itself is believed less and less often.

Times are seconds of whatever clock the caller reads. What looking takes, and finds, is not known here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE_S: Final = 600.0
"""After a doubt of a peer for which there was no reason; twice as long after each that follows."""
MOST_PATIENCE_S: Final = 86_400.0


class _Rest(NamedTuple):
    """How long a peer's doubts wait now, and how long that was in all."""

    until: float
    length_s: float


class Doubts:
    """The doubts that wait to be looked into, by peer; a doubt is never dropped."""

    def __init__(self) -> None:
        self._waiting: set[bytes | None] = set()
        self._rests: dict[bytes | None, _Rest] = {}

    def add(self, peer: bytes | None) -> None:
        """A peer (None: nobody in particular) holds something else than what is here."""
        self._waiting.add(peer)

    def take(self, now: float) -> frozenset[bytes | None]:
        """Return those whose doubts are to be looked into now; they wait no more."""
        taken = frozenset(peer for peer in self._waiting if self._due(peer) <= now)
        self._waiting -= taken
        return taken

    def next_due(self) -> float:
        """Return when the next doubt is to be looked into; infinity for never."""
        return min(map(self._due, self._waiting), default=math.inf)

    def _due(self, peer: bytes | None) -> float:
        rest = self._rests.get(peer)
        return -math.inf if rest is None else rest.until

    def judge(self, peers: Iterable[bytes | None], now: float, *, were_right: bool) -> None:
        """Say what looking has found: who was right is heard at once the next time."""
        for peer in peers:
            last = self._rests.pop(peer, None)
            if not were_right:
                length_s = PATIENCE_S if last is None else min(2 * last.length_s, MOST_PATIENCE_S)
                self._rests[peer] = _Rest(now + length_s, length_s)
