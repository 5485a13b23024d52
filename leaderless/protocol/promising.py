"""Who says that it holds more than it gives: whom nobody waits for, and of whom people are told.

What was asked for may also not have come because the connection ended, because our own disk took
nothing, or because whoever was asked said itself that it lacks some, as its owner never gave it the
rest. Nobody is named for that. When it is asked again is the business of protocol/fetching.py.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from leaderless.protocol.commands import Key, Note
from leaderless.protocol.messages import StateBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaderless.protocol.commands import Command
    from leaderless.protocol.messages import LogBatch

SPENT_S: Final = 4.0
"""After a pause of this length (the fourth in a row) nobody waits for what a peer has promised."""
TIMES: Final = 4
"""So often a peer has to give less than it says, on connections that live, to be named."""

_What = tuple[bytes, Key]
"""What is promised: (device that does, stream)."""


def is_all_it_has(batch: StateBatch | LogBatch, own: bytes) -> bool:
    """Return whether a batch says that its sender lacks some, or of `own` that it can hand on nothing.

    A peer holds of a device that was restored what that had told it in its last life, word or no word.
    """
    if not isinstance(batch, StateBatch) or batch.hi < batch.head:
        return False
    return batch.as_of > batch.head or (batch.owner == own and not batch.head)


class Promises:
    """What peers have promised and not given."""

    def __init__(self) -> None:
        """Begin with nothing against anybody."""
        self.spent: set[_What] = set()
        """Whose promises are not waited for."""
        self.withheld: set[_What] = set()
        """Who holds more of something than it gives, by what it says; told to people."""
        self._broken: Counter[_What] = Counter()
        self._admitted: set[_What] = set()
        self._excused: set[int] = set()

    def answered(self, device: bytes, key: Key, *, lacks: bool) -> None:
        """A peer has given what it gives; `lacks` if it says itself that this is not all."""
        if lacks:
            self._admitted.add((device, key))
        else:
            self._admitted.discard((device, key))

    def excuse(self, link: int) -> None:
        """What came on a link could not be kept here: no promise is broken on it from then on.

        What is not kept is not acknowledged, so all else that was asked for may not come either.
        """
        self._excused.add(link)

    def lost(self, link: int) -> bool:
        """A link is gone; return whether what was asked for on it is held against nobody."""
        is_excused = link in self._excused
        self._excused.discard(link)
        return is_excused

    def kept(self, device: bytes, key: Key) -> None:
        """A peer has brought us further."""
        self._broken.pop((device, key), None)

    def broken(
        self,
        device: bytes,
        key: Key,
        rest_s: float,
        asked: int,
        link: int,
        *,
        is_guess: bool = False,
    ) -> list[Command]:
        """A peer that is on `link` was asked in vain on the link `asked`, and rests so long.

        Return what is to be told of it: nothing where it was a guess of ours that it has any.
        """
        what = (device, key)
        if asked in self._excused:
            return []
        if rest_s >= SPENT_S:
            self.spent.add(what)
        if what in self._admitted or is_guess or asked != link:
            return []
        self._broken[what] += 1
        if self._broken[what] < TIMES or what in self.withheld:
            return []
        self.withheld.add(what)
        return [Note("withholds", {"device": device, "of": key.of[:16]})]

    def forget(self, still: Callable[[bytes, Key], bool]) -> None:
        """Hold nothing against who does not promise any more what it did."""
        self.spent = {what for what in self.spent if still(*what)}
        self.withheld = {what for what in self.withheld if still(*what)}
