"""What is known of a peer."""

from __future__ import annotations

from leaderless.protocol.commands import Key, Stream
from leaderless.protocol.messages import FeedPosition, OwnedPosition, Positions, Vectors
from leaderless.protocol.peer import Peer
from registry.changes import Incarnation

OLD, NEW = Incarnation(1, b"n" * 8), Incarnation(2, b"n" * 8)
OWNER, FEED = b"o" * 16, b"f" * 44


def _peer() -> Peer:
    return Peer(1, b"p" * 16, True, "x:1", 0, 0, Vectors())


def test_positions_add_up_and_whole_ones_replace() -> None:
    """Later positions of the same owner count; a whole set forgets the rest."""
    peer = _peer()
    peer.learn(Positions(Vectors({OWNER: OwnedPosition(OLD, 1)}, {})))
    peer.learn(Positions(Vectors({}, {FEED: FeedPosition(2, 2)})))
    assert peer.vectors() == Vectors({OWNER: OwnedPosition(OLD, 1)}, {FEED: FeedPosition(2, 2)})
    peer.learn(Positions(Vectors(), whole=True))
    assert peer.vectors() == Vectors({}, {})
    assert peer.known


def test_what_a_peer_has_told_of_counts_though_it_says_that_it_is_gone() -> None:
    """What it was asked of these is remembered; what is told once more counts once."""
    peer = _peer()
    whole = Positions(Vectors({OWNER: OwnedPosition(OLD, 1)}, {FEED: FeedPosition(2, 2)}), True)
    peer.learn(whole)
    peer.learn(whole)
    assert peer.told() == 2
    peer.learn(Positions(Vectors({}, {b"g" * 44: FeedPosition(1, 1)}), whole=True))
    assert peer.told() == 3


def test_a_peer_is_ahead_by_what_we_lack() -> None:
    """Rows are counted from our watermark, those of a newer life from zero."""
    peer = _peer()
    peer.learn(Positions(Vectors({OWNER: OwnedPosition(OLD, 9)}, {FEED: FeedPosition(5, 4)})))
    state, log = Key(Stream.STATE, OWNER), Key(Stream.LOG, FEED)
    assert peer.ahead(Vectors()) == {state: 9, log: 5}
    ours = Vectors({OWNER: OwnedPosition(OLD, 7)}, {FEED: FeedPosition(5, 5)})
    assert peer.ahead(ours) == {state: 2}
    assert peer.ahead(Vectors({OWNER: OwnedPosition(NEW, 1)}, {FEED: FeedPosition(6, 6)})) == {}
    peer.learn(Positions(Vectors({OWNER: OwnedPosition(NEW, 0)}, {})))
    # Of a life that we do not know, that it is there counts, rows or none; of a stranger it does not.
    assert peer.ahead(ours) == {state: 1}
    assert state not in peer.ahead(Vectors())


def test_a_peer_holds_a_feed_of_which_it_has_a_commit() -> None:
    """A feed that it has never told of, or of which it has nothing yet, it does not hold."""
    peer = _peer()
    assert not peer.holds(FEED)
    peer.learn(Positions(Vectors({}, {FEED: FeedPosition(0, 0)})))
    assert not peer.holds(FEED)
    peer.learn(Positions(Vectors({}, {FEED: FeedPosition(1, 0)})))
    assert peer.holds(FEED)
