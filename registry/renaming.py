"""Positions under other names: what to call a place in a feed that turned out to have branches.

A feed in which two commits stand at one position ends before it; what follows is a branch, a feed of
its own. What was written, or remembered, under the feed's name from that position on is meant by the
branch's: which one follows from what its author had seen, and is not decided here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from registry.changes import Dot, WriteRef
from registry.state import Death, RecordState, Write, canonical_order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Sequence

    from registry.changes import Guard, SharedChange
    from registry.hlc import Stamp


class Move(NamedTuple):
    """Positions of `feed` from `first` on are called `branch`.

    `stamps` are those of their commits, as far as whoever names them had applied these.
    """

    feed: bytes
    first: int
    branch: bytes
    stamps: Container[Stamp]


class Names:
    """What positions are called, by moves that follow one upon the other."""

    def __init__(self, moves: Sequence[Move]) -> None:
        self._moves = {move.feed: move for move in moves}

    def feed(self, feed: bytes, seq: int) -> bytes:
        """Return the feed in which a position stands."""
        while (move := self._moves.get(feed)) is not None and seq >= move.first:
            feed = move.branch
        return feed

    def _dot(self, dot: Dot) -> Dot:
        return Dot(self.feed(*dot), dot.seq)

    def dots(self, dots: Collection[Dot]) -> frozenset[Dot]:
        """Return dots by their names."""
        return frozenset(self._dot(dot) for dot in dots)

    def ref(self, ref: WriteRef) -> WriteRef:
        """Return a write by its name."""
        return ref._replace(feed=self.feed(ref.feed, ref.seq))

    def guard(self, guard: Guard) -> Guard:
        """Return a guard by the name of the lock that it is of: the last that its author had applied.

        It has no number, and of an honest author no two commits in one line have the same stamp.
        """
        feed = guard.feed
        while (move := self._moves.get(feed)) is not None and guard.stamp is not None:
            if guard.stamp not in move.stamps:
                break
            feed = move.branch
        return guard._replace(feed=feed)

    def change(self, change: SharedChange) -> SharedChange:
        """Return a change by the names of what it refers to."""
        return replace(
            change,
            dots=tuple(self._dot(dot) for dot in change.dots),
            writes=tuple(
                write._replace(over=tuple(self.ref(ref) for ref in write.over))
                for write in change.writes
            ),
            seen=tuple(self.ref(ref) for ref in change.seen),
            guard=self.guard(change.guard),
        )

    def state(self, state: RecordState, guard_of: Callable[[Write], Guard]) -> RecordState:
        """Return what is remembered of a record, by the names of all positions in it.

        `guard_of` is asked for the guard of each write by its new name, as that follows from what
        the author of that write had applied.
        """
        deaths = frozenset(
            Death(self.ref(death.ref), self.dots(death.dots)) for death in state.deaths
        )
        writes = self._writes(state.writes, guard_of)
        remains = self._writes(state.remains, guard_of)
        return RecordState(self.dots(state.dots), writes, deaths, remains)

    def _writes(
        self, writes: Sequence[Write], guard_of: Callable[[Write], Guard]
    ) -> tuple[Write, ...]:
        renamed = (
            write._replace(
                ref=self.ref(write.ref), dots=self.dots(write.dots), guard=guard_of(write)
            )
            for write in writes
        )
        return tuple(sorted(renamed, key=canonical_order))
