"""Digests of positions and states."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol.messages import FeedPosition, OwnedPosition, Vectors
from leaderless.protocol.vectors import Closed, Holdings, OwnedProof, readable, vectors_digest
from registry.changes import Incarnation, feed_id

LIFE = Incarnation(1, b"n" * 8)
OWNER, FEED = b"o" * 16, b"f" * 44
HELD = Holdings(
    Vectors({OWNER: OwnedPosition(LIFE, 3)}, {FEED: FeedPosition(1, 1)}),
    {OWNER: OwnedProof(2, b"h" * 256)},
    bytes(256),
    b"m" * 32,
    {},
)


def test_empty_positions_say_nothing() -> None:
    """An owner at zero and a feed without commits do not change a digest."""
    more = Vectors(
        {**HELD.vectors.owned, b"x" * 16: OwnedPosition(LIFE, 0)},
        {**HELD.vectors.feeds, b"y" * 44: FeedPosition(0, 0)},
    )
    assert vectors_digest(more) == HELD.vectors_digest()
    proofs = {**HELD.owned, b"x" * 16: OwnedProof(0, b"")}
    assert replace(HELD, vectors=more, owned=proofs).state_digest() == HELD.state_digest()


def test_any_difference_shows() -> None:
    """Positions, hashes, counts and members each change a digest."""
    assert replace(HELD, shared_hash=b"x" * 256).state_digest() != HELD.state_digest()
    assert replace(HELD, membership=b"x" * 32).state_digest() != HELD.state_digest()
    moved = replace(HELD, vectors=Vectors({OWNER: OwnedPosition(LIFE, 4)}, {}))
    assert moved.vectors_digest() != HELD.vectors_digest()


def test_nothing_unproved_is_claimed() -> None:
    """With anything unproved there is no state digest."""
    assert replace(HELD, unproved={OWNER: "why"}).state_digest() is None


def test_feeds_of_a_revoked_device_are_closed_unless_they_are_wanted() -> None:
    """Also those that nothing is known of; of one that was admitted anew those from before."""
    feeds = [feed_id(OWNER, Incarnation(at, b"n" * 8)) for at in (1, 2, 3)]
    assert [feed in Closed() for feed in feeds] == [False] * 3
    out = Closed(open=frozenset(feeds[:1]), below={OWNER: None})
    assert [feed in out for feed in feeds] == [False, True, True]
    anew = Closed(frozenset([OWNER]), below={OWNER: 3})
    assert [feed in anew for feed in feeds] == [True, True, False]
    assert feeds[0][:28] + b"b" * 16 not in anew  # a branch: everybody has to know of a fork
    assert (OWNER in anew, OWNER in out, FEED in anew, None in anew) == (True, False, False, False)


def test_no_feed_of_a_life_is_closed_while_something_is_lacking_of_it() -> None:
    """In which branch that is shows when it is here; owners and other lives stay closed."""
    trunk, other = feed_id(OWNER, LIFE), feed_id(OWNER, Incarnation(2, b"n" * 8))
    branch = trunk[:28] + b"b" * 16
    closed = Closed(
        frozenset([OWNER, trunk]), below={OWNER: None}, lives=frozenset([bytes(trunk[:28])])
    )
    assert [of in closed for of in (OWNER, trunk, branch, other)] == [True, False, False, True]


def test_a_peer_of_1_0_is_told_of_no_branch() -> None:
    """It could make nothing of what is in one."""
    feed = feed_id(OWNER, LIFE)
    both = Vectors({}, {feed: FeedPosition(1, 1), feed[:28] + b"b" * 16: FeedPosition(2, 2)})
    assert readable(both, (1, 1)) == both
    assert list(readable(both, (1, 0)).feeds) == [feed]
