"""Positions that are called by the name of a branch."""

from __future__ import annotations

from registry.changes import (
    UNGUARDED,
    Dot,
    FieldWrite,
    Form,
    Guard,
    RecordId,
    SharedChange,
    WriteRef,
)
from registry.hlc import Stamp
from registry.renaming import Move, Names
from registry.state import Death, RecordState, Write

OLD, NEW, DEEP, OTHER = (letter * 44 for letter in (b"o", b"n", b"d", b"x"))
EARLY, LATE, LATEST = (Stamp(1_000 + at, 0, 0) for at in range(3))
NAMES = Names([Move(NEW, 8, DEEP, {LATEST}), Move(OLD, 5, NEW, {LATE, LATEST})])


def _ref(seq: int, feed: bytes = OLD) -> WriteRef:
    return WriteRef(EARLY, feed, seq, 0)


def test_positions_behind_a_fork_are_called_by_their_branch() -> None:
    """And by the branch of that branch from where it forks."""
    found = [NAMES.feed(OLD, seq) for seq in (4, 5, 7, 8)]
    assert found == [OLD, NEW, NEW, DEEP]
    assert NAMES.feed(OTHER, 9) == OTHER


def test_a_guard_is_known_by_its_stamp() -> None:
    """It has no number; one without a stamp is its own."""
    feeds = [NAMES.guard(Guard(1, stamp, OLD)).feed for stamp in (EARLY, LATE, LATEST, None)]
    assert feeds == [OLD, NEW, DEEP, OLD]
    assert NAMES.guard(UNGUARDED) == UNGUARDED


def test_all_that_a_change_refers_to_is_renamed() -> None:
    """Dots, what is replaced, what is seen, and the lock; nothing else."""
    change = SharedChange(
        *(Form.UPDATE, "tag", RecordId(bytes(16)), (Dot(OLD, 5), Dot(OLD, 4))),
        (FieldWrite("color", None, "red", (_ref(6),)),),
        (_ref(8), _ref(1)),
        Guard(1, LATE, OLD),
    )
    assert NAMES.change(change) == SharedChange(
        *(Form.UPDATE, "tag", RecordId(bytes(16)), (Dot(NEW, 5), Dot(OLD, 4))),
        (FieldWrite("color", None, "red", (_ref(6, NEW),)),),
        (_ref(8, DEEP), _ref(1)),
        Guard(1, LATE, NEW),
    )


def test_all_that_is_remembered_of_a_record_is_renamed() -> None:
    """Writes come in the order of their new names; whoever knows their authors says their guards."""
    writes = tuple(
        Write("color", None, value, _ref(seq, feed), frozenset([Dot(OLD, 5)]))
        for value, seq, feed in (("a", 6, OLD), ("b", 6, OTHER))
    )
    state = RecordState(
        frozenset([Dot(OLD, 5)]),
        writes,
        frozenset([Death(_ref(7), frozenset([Dot(OLD, 8)]))]),
        writes[:1],
    )
    renamed = NAMES.state(state, lambda write: Guard(1, EARLY, write.ref.feed))
    assert renamed.dots == {Dot(NEW, 5)}
    assert [write.ref.feed for write in renamed.writes] == [NEW, OTHER]
    assert renamed.deaths == {Death(_ref(7, NEW), frozenset([Dot(DEEP, 8)]))}
    assert renamed.remains[0].dots == {Dot(NEW, 5)}
    guards = [write.guard.feed for write in (*renamed.writes, *renamed.remains)]
    assert guards == [OLD, OTHER, OLD]
