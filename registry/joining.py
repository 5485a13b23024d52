"""Two memories of one record made one, without the changes that made them.

Theory. What is remembered of a record is a set of dots, writes and deletes, and the writes that
nobody has named as seen; each has a position in the log. A replica has applied a causally closed set
of commits, told by its vector. So what one side lacks though its vector covers the position was
taken away there (a dot by a delete, a delete or a write by who named it as seen), and goes; what it
does not cover it has never heard of, and stays: an observed-remove set without tombstones (Bieniusa
et al. 2012). The result is the state that applying the commits of both sides makes.

A state may be read later than the vector that it is to be of: `as_of` takes the later part away.
What that had replaced is missing then, and comes with the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from registry.changes import FieldKey, Value, WriteRef
from registry.state import Death, RecordState, greatest

if TYPE_CHECKING:
    from registry.changes import Dot
    from registry.state import Write

Vector = Mapping[bytes, int]
"""Of each feed, how many of its commits have been applied."""
Unseen = Mapping[tuple[FieldKey, WriteRef], Value]
"""Writes that no change has named as seen, in effect or not, by register; and what they say."""


class Memory(NamedTuple):
    """What one side remembers of a record, all commits of `vector` being applied and no others."""

    state: RecordState
    unseen: Unseen
    vector: Vector

    @property
    def losses(self) -> dict[tuple[FieldKey, WriteRef], Value]:
        """Return the unseen writes that are not in effect."""
        effect = {(key, write.ref) for key, write in self.state.shown().items()}
        return {name: value for name, value in self.unseen.items() if name not in effect}

    def covers(self, at: Dot | WriteRef) -> bool:
        """Return whether the commit of a dot or of a write has been applied."""
        return at.seq <= self.vector.get(at.feed, 0)

    def took(self, dot: Dot, recalled: frozenset[Dot]) -> bool:
        """Return whether a dot died here of a delete that was named; `recalled` are remembered."""
        return self.covers(dot) and dot not in self.state.dots and dot not in recalled


def unseen(state: RecordState, losses: Unseen) -> Unseen:
    """Return the unseen writes of a record whose unseen `losses` are known."""
    effect = {
        (key, write.ref): write.value for key, write in state.shown().items() if not write.settled
    }
    return {**losses, **effect}


def join(mine: Memory, theirs: Memory) -> Memory:
    """Return what is remembered where the commits of both have been applied."""
    sides = ((mine, theirs), (theirs, mine))
    dots = frozenset(
        dot
        for side, other in sides
        for dot in side.state.dots
        if dot in other.state.dots or not other.covers(dot)
    )
    deaths = _deaths(mine, theirs)
    recalled = frozenset(dot for death in deaths for dot in death.dots)
    named = {
        name: value
        for side, other in sides
        for name, value in side.unseen.items()
        if name in other.unseen or not other.covers(name[1])
    }
    held = [write for side, _ in sides for write in (*side.state.writes, *side.state.remains)]
    settled = _settled(mine, theirs)
    writes = greatest(
        write._replace(dots=write.dots & dots, settled=(write.key, write.ref) in settled)
        for write in held
    )
    vector = {
        feed: max(mine.vector.get(feed, 0), theirs.vector.get(feed, 0))
        for feed in {*mine.vector, *theirs.vector}
    }
    return Memory(RecordState(dots, writes, deaths, _on(held, recalled)), named, vector)


def _settled(mine: Memory, theirs: Memory) -> set[tuple[FieldKey, WriteRef]]:
    """Return the writes that one of two sides has seen named."""
    found: set[tuple[FieldKey, WriteRef]] = set()
    for side, other in ((mine, theirs), (theirs, mine)):
        kept = {(write.key, write.ref) for write in other.state.writes}
        for write in side.state.writes:
            name = write.key, write.ref
            # What the other side was cut to may lack a write that is named already.
            lacks = name not in kept and name not in other.unseen and other.covers(write.ref)
            if write.settled or lacks:
                found.add(name)
    return found


def _deaths(mine: Memory, theirs: Memory) -> frozenset[Death]:
    """Return the deletes that neither side has seen named, without the dots of those that were."""
    found: dict[WriteRef, frozenset[Dot]] = {}
    for side, other in ((mine, theirs), (theirs, mine)):
        recalled = other.state.remembered.dots
        for death in side.state.deaths:
            if death.ref in other.state.died_of or not other.covers(death.ref):
                dots = frozenset(dot for dot in death.dots if not other.took(dot, recalled))
                found[death.ref] = dots & found.get(death.ref, dots)
    return frozenset(Death(ref, dots) for ref, dots in found.items())


def _on(writes: list[Write], dots: frozenset[Dot]) -> tuple[Write, ...]:
    """Return the greatest writes on dead dots: what a restore brings back."""
    return greatest(write._replace(dots=write.dots & dots, settled=False) for write in writes)


def as_of(later: Memory, vector: Vector) -> Memory:
    """Return what is left of a memory without all that came after `vector`.

    Where that took something away, it is put back as far as it is still known. All commits from
    `vector` to that of `later` have to be applied before the result is right again.
    """
    cut = Memory(later.state, later.unseen, vector)
    state = later.state
    deaths = frozenset(death for death in state.deaths if cut.covers(death.ref))
    recalled = frozenset(dot for death in deaths for dot in death.dots)
    there = state.dots | (state.remembered.dots - recalled)
    dots = frozenset(dot for dot in there if cut.covers(dot))
    held = [write for write in (*state.writes, *state.remains) if cut.covers(write.ref)]
    settled = {(write.key, write.ref): write.settled for write in state.writes}
    writes = greatest(
        write._replace(
            dots=write.dots & dots,
            settled=settled.get((write.key, write.ref), (write.key, write.ref) not in later.unseen),
        )
        for write in held
    )
    named = {name: value for name, value in later.unseen.items() if cut.covers(name[1])}
    return Memory(RecordState(dots, writes, deaths, _on(held, recalled)), named, vector)
