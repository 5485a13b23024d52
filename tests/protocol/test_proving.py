"""When two devices may say that they are in sync."""

from __future__ import annotations

from leaderless.protocol.commands import Note, Send
from leaderless.protocol.limits import MAX_STREAMS
from leaderless.protocol.messages import (
    FeedPosition,
    Hello,
    OwnedPosition,
    Positions,
    Proof,
    PullLog,
    Vectors,
)
from leaderless.protocol.peer import Peer
from leaderless.protocol.proving import compare, prove
from leaderless.protocol.vectors import vectors_digest
from registry.changes import feed_id
from tests.protocol.wire import LIBRARY, LIFE, A, B, C, Side, Wire


def test_equal_positions_with_unequal_hashes_are_reported() -> None:
    """Where positions agree and hashes do not, nobody says in sync, and both say so once."""
    a, b = Side(A, owned={A: 9, B: 9}), Side(B, owned={A: 9, B: 9}, flaw=b"x")
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    wire.changed(0)
    wire.run()
    assert a.notes.count("differs") == 1
    assert not wire.proved(0)
    assert not wire.proved(1)


def test_nothing_is_claimed_while_something_is_unproved() -> None:
    """A replica with an unproved copy sends no proof."""
    wire = Wire(Side(A, unproved={B: "inexact"}), Side(B))
    wire.connect(0, 1)
    wire.run()
    assert not wire.proved(1)


def test_a_proof_counts_only_while_one_could_be_given() -> None:
    """A row that came ahead of its rev moves no position, and yet the other side lacks it."""
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1)
    wire.run()
    assert wire.proved(0)
    wire.sides[0].unproved = {C: "1 change is still to come"}
    wire.changed(0)
    assert not wire.proved(0)


def test_a_peer_that_holds_more_or_less_is_not_in_sync() -> None:
    """What it has said since of its positions counts, before anything of it has come."""
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1)
    wire.run()
    peer = wire.sides[0].exchange.peers[1]
    positions = Positions(Vectors({C: OwnedPosition(LIFE, 5)}, {}))
    wire.sides[0].exchange.received(1, positions, 10, wire.now, 0)
    assert not wire.sides[0].exchange.is_proved(peer)


def test_a_proof_that_comes_before_the_positions_waits_for_them() -> None:
    """What a peer has shown counts once it has said as well that it stands there."""
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1)
    wire.run()
    exchange = wire.sides[0].exchange
    peer, proof = exchange.peers[1], exchange.peers[1].proof
    assert proof is not None
    ahead = Positions(Vectors({C: OwnedPosition(LIFE, 5)}, {}))
    exchange.received(1, ahead, 10, wire.now, 0)
    exchange.received(1, proof, 10, wire.now, 0)
    assert not exchange.is_proved(peer)
    exchange.received(1, Positions(Vectors({}, {}), whole=True), 10, wire.now, 0)
    assert exchange.is_proved(peer)


def test_who_could_give_no_proof_gives_it_again() -> None:
    """A replica that had to drop a copy shows anew what it holds once it has it back."""
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1)
    wire.run()
    side = wire.sides[0]
    side.unproved = {C: "it was dropped"}
    wire.changed(0)
    side.unproved = {}
    wire.said.clear()
    wire.changed(0)
    assert [type(message) for message in wire.said] == [Proof]


def test_a_proof_of_other_positions_waits() -> None:
    """A proof that speaks of positions we do not have yet is kept, and claims nothing."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    assert side.exchange.received(1, Proof(b"v" * 32, b"s" * 32), 10, 0, 0) == []
    assert not side.exchange.is_proved(side.exchange.peers[1])


def test_two_equal_devices_say_once_that_they_are_in_sync() -> None:
    """Equal positions with equal hashes are noted once on both sides."""
    sides = [Side(A, owned={A: 9, B: 9}), Side(B, owned={A: 9, B: 9})]
    wire = Wire(*sides)
    wire.connect(0, 1)
    wire.run()
    wire.changed(0)
    wire.run()
    assert [side.notes.count("proved") for side in sides] == [1, 1]
    assert wire.proved(0)


def test_a_change_takes_the_claim_back() -> None:
    """In sync is said of the positions it was proved at, and of none beyond."""
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1)
    wire.run()
    wire.sides[0].owned[A] = 5
    wire.changed(0)
    assert not wire.proved(0)


def test_who_stands_where_we_do_and_differs_is_asked_for_the_last_of_each_feed() -> None:
    """Two branches of a feed may be equally long: their last commits tell them apart."""
    feed, empty = feed_id(C, LIFE), feed_id(B, LIFE)
    position = {feed: FeedPosition(4, 4), empty: FeedPosition(0, 0)}
    peer = Peer(1, B, True, "wire:1", 0, 0, Vectors(), known=True, feeds=position)
    digest = vectors_digest(peer.vectors())
    peer.proof = Proof(digest, b"theirs")
    note, *asked = compare(peer, Proof(digest, b"ours"), 0.0)
    assert note == Note("differs", {"device": B})
    assert asked == [Send(1, PullLog(feed, 3))]
    assert compare(peer, Proof(digest, b"ours"), 1.0) == []


def _level(state: bytes, *, known: bool = True) -> tuple[Peer, Proof]:
    """Return a peer that has shown this state at positions, and our proof of ours at the same."""
    peer = Peer(1, B, True, "wire:1", 0, 0, Vectors(), known=known)
    digest = vectors_digest(peer.vectors())
    peer.proof = Proof(digest, state)
    return peer, Proof(digest, b"ours")


def test_a_proof_is_sent_once_as_long_as_it_holds() -> None:
    """It is asked for at every change, also where nothing came of that."""
    peer, ours = _level(b"ours")
    assert prove([peer], ours, 0.0) == [Send(1, ours), Note("proved", {"device": B})]
    assert prove([peer], ours, 1.0) == []
    later = Proof(ours.vectors, b"more")
    assert Send(1, later) in prove([peer], later, 2.0)


def test_who_has_not_said_where_it_stands_is_not_compared_with() -> None:
    """That it has said nothing is no position, though ours were nothing, too."""
    peer, ours = _level(b"ours", known=False)
    assert prove([peer], ours, 0.0) == []
    assert compare(peer, ours, 0.0) == []


def test_what_was_shown_of_other_positions_is_not_held_against_these() -> None:
    """A peer that has come to where we are shows what it holds there next."""
    peer, ours = _level(b"theirs")
    peer.proof = Proof(b"v" * 32, b"before")
    assert compare(peer, ours, 0.0) == []


def test_a_difference_ends_the_claim_and_a_proof_ends_the_difference() -> None:
    """Each is told again if it comes again."""
    peer, ours = _level(b"ours")
    digest = ours.vectors
    told: list[object] = []
    for state in (b"ours", b"theirs", b"ours", b"theirs"):
        peer.proof = Proof(digest, state)
        told += [item.kind for item in compare(peer, ours, 0.0) if isinstance(item, Note)]
        assert (peer.proved == digest, peer.differs) == (state == b"ours", state != b"ours")
    assert told == ["proved", "differs"] * 2


def test_of_many_feeds_only_some_are_asked_for_at_once() -> None:
    """Half of the streams that a peer may ask for: the rest of its work goes on."""
    devices = [at.to_bytes(16, "big") for at in range(MAX_STREAMS)]
    feeds = {feed_id(device, LIFE): FeedPosition(4, 4) for device in devices}
    peer = Peer(1, B, True, "wire:1", 0, 0, Vectors(), known=True, feeds=feeds)
    digest = vectors_digest(peer.vectors())
    peer.proof = Proof(digest, b"theirs")
    _, *asked = compare(peer, Proof(digest, b"ours"), 0.0)
    assert len(asked) == MAX_STREAMS // 2
