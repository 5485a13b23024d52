"""When the shared records here give way to those that most others agree about."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol.commands import Doubt
from leaderless.protocol.gathering import Gathering
from leaderless.protocol.majority import CALM_S, Majority, outvoting
from leaderless.protocol.messages import FeedPosition, Positions, Proof, Vectors
from leaderless.protocol.peer import Peer
from leaderless.protocol.trusting import LEAST_DISAGREED_S, Trust
from leaderless.protocol.vectors import Holdings, vectors_digest

FEED = b"f" * 44
AT = Vectors({}, {FEED: FeedPosition(3, 3)})
PROOF = Proof(vectors_digest(AT), b"ours")
GIVER = b"g" * 16
OURS = Holdings(AT, {}, b"", b"", {}, givers=frozenset({GIVER}))


def _peer(device: bytes, state: bytes | None, at: Vectors = AT) -> Peer:
    """Return a peer at a position, with what it has shown to hold there."""
    peer = Peer(device[0], device * (16 // len(device)), True, "x:1", 0, 0, Vectors())
    peer.learn(Positions(at, whole=True))
    if state is not None:
        peer.proof = Proof(PROOF.vectors, state)
    return peer


A, B, C = (_peer(name, b"theirs") for name in (b"a", b"b", b"c"))


def _most(*peers: Peer) -> set[bytes]:
    return {device[:1] for device in outvoting(peers, PROOF)}


def test_several_that_agree_outnumber_one_that_stands_alone() -> None:
    """One does not: nobody could say which of the two is right."""
    assert _most(A, B) == {b"a", b"b"}
    assert _most(A) == _most() == set()


def test_who_agrees_with_us_counts_whether_it_gave_what_is_here_or_not() -> None:
    """Two against two change nothing: the other two may be those who are wrong."""
    for ours in (_peer(b"d", b"ours"), _peer(GIVER[:1], b"ours")):
        assert _most(A, B, ours) == set()
        assert _most(A, B, C, ours) == {b"a", b"b", b"c"}


def test_those_that_agree_are_more_than_any_others_that_do() -> None:
    """Two pairs that differ from each other say nothing."""
    d, e = _peer(b"d", b"else"), _peer(b"e", b"else")
    assert _most(A, B, d) == {b"a", b"b"}
    assert _most(A, B, d, e) == set()


def test_only_who_stands_where_we_do_is_counted() -> None:
    """Elsewhere other records are right; and who has shown nothing says nothing."""
    ahead = _peer(b"d", b"theirs", Vectors({}, {FEED: FeedPosition(4, 4)}))
    before = _peer(b"e", None)
    before.proof = Proof(b"elsewhere", b"theirs")
    assert _most(A, ahead, before, _peer(b"h", None)) == set()


def _majority() -> tuple[Majority, Trust]:
    trust = Trust()
    return Majority(trust, Gathering(trust)), trust


def test_records_are_doubted_after_a_calm_and_then_seldom() -> None:
    """Who gave them is not asked for them next."""
    majority, trust = _majority()
    assert majority.plan([A, B], OURS, PROOF, 10.0) == []
    assert majority.replan_at == 10.0 + CALM_S
    assert majority.plan([A, B], OURS, PROOF, 9.0 + CALM_S) == []
    assert majority.plan([A, B], OURS, PROOF, 10.0 + CALM_S) == [Doubt()]
    assert trust.hears_records_at(GIVER) == 10.0 + CALM_S + LEAST_DISAGREED_S
    assert majority.plan([A, B], OURS, PROOF, 11.0 + CALM_S) == []


def test_a_difference_that_passes_is_none() -> None:
    """The calm begins anew with the next one; while nothing can be proved there is none."""
    majority, _ = _majority()
    for passed in ((A,), (A, B)):
        assert majority.plan([A, B], OURS, PROOF, 0.0) == []
        assert majority.plan(passed, OURS, None if B in passed else PROOF, 1.0) == []
        assert majority.replan_at is None
        assert majority.plan([A, B], OURS, PROOF, CALM_S) == []
        majority.plan([], OURS, PROOF, CALM_S)


def test_records_that_authors_signed_are_doubted_for_nobody() -> None:
    """However many others say otherwise."""
    majority, _ = _majority()
    own = replace(OURS, givers=frozenset())
    for now in (0.0, CALM_S, 2 * CALM_S):
        assert majority.plan([A, B, C], own, PROOF, now) == []
