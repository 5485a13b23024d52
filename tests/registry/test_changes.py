"""The values that travel."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry.changes import (
    UNGUARDED,
    WHOLE_LIBRARY,
    CommitHeader,
    FeedId,
    Guard,
    Incarnation,
    Position,
    feed_device,
    feed_id,
    feed_incarnation,
    is_branch,
)
from registry.hlc import Stamp

incarnations = st.builds(Incarnation, st.integers(1, 2**32 - 1), st.binary(min_size=8, max_size=8))


@given(incarnations, incarnations)
def test_packed_incarnations_compare_as_pairs(one: Incarnation, other: Incarnation) -> None:
    """An incarnation survives packing, and its bytes keep the order of the pair."""
    assert Incarnation.parse(one.pack()) == one
    assert (one.pack() < other.pack()) == (one < other)


@given(incarnations)
def test_a_feed_tells_its_device_and_incarnation(incarnation: Incarnation) -> None:
    """A feed id has 44 bytes and holds who writes it, in which lifetime, for whom."""
    feed = feed_id(b"d" * 16, incarnation)
    assert (len(feed), feed[28:]) == (44, WHOLE_LIBRARY)
    assert (feed_device(feed), feed_incarnation(feed)) == (b"d" * 16, incarnation)


def test_a_branch_is_told_by_its_audience() -> None:
    """What follows a fork has an audience of its own; a whole feed is for the whole library."""
    incarnation = Incarnation(1, b"n" * 8)
    assert not is_branch(feed_id(b"d" * 16, incarnation))
    assert is_branch(feed_id(b"d" * 16, incarnation, b"h" * 16))


def test_a_commit_stands_at_its_position() -> None:
    """The position of a commit is its feed and seq."""
    feed = FeedId(bytes(44))
    header = CommitHeader(b"", feed, 3, Stamp(1, 0, 0), b"", b"", "tag.set", b"", b"", 0)
    assert header.position == Position(feed, 3)


def test_guards_are_ordered_by_level_and_the_earlier_lock_first() -> None:
    """Of locks that had not seen each other the one that was there first is the greater."""
    early, late = (Guard(1, Stamp(ms, 0, 0), b"a") for ms in (1, 2))
    other = Guard(1, Stamp(2, 0, 0), b"b")
    rising = [UNGUARDED, late, other, early, Guard(2, Stamp(9, 0, 0), b"a")]
    falling = rising[::-1]
    assert sorted(falling, key=lambda guard: guard.order) == rising
