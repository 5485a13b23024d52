"""How a session begins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.protocol.commands import Note, Send, SendStatements
from leaderless.protocol.greeting import CROSSED_S, Greeter, welcome
from leaderless.protocol.messages import (
    PROTOCOL_VERSION,
    FeedPosition,
    Hello,
    OwnedPosition,
    Positions,
    Vectors,
)
from leaderless.protocol.peer import Peer
from leaderless.protocol.vectors import Holdings, vectors_digest
from registry.changes import feed_id
from tests.protocol.wire import LIFE, A, B

LIBRARY, NOBODY = b"l" * 16, b"n" * 16

OURS = Holdings(Vectors({A: OwnedPosition(LIFE, 3)}, {}), {}, b"", b"m" * 32, {})
GREETER = Greeter(A, LIBRARY, {"tag": 1}, "1.0")


def _hello(**said: object) -> Hello:
    """Return what another device says, that knows the same members."""
    hello = replace(GREETER, device=B).hello(A, _held_by(B), bytes(32), 7)
    return replace(hello, **said)  # type: ignore[arg-type]


def _held_by(device: bytes) -> Holdings:
    return replace(OURS, vectors=Vectors({device: OwnedPosition(LIFE, 3)}, {}))


def _peer(device: bytes = B, *, dialed: bool = True, since: float = 0.0) -> Peer:
    return Peer(1, device, dialed, "wire", since, since, OURS.vectors)


def test_a_hello_tells_each_what_is_held_of_it() -> None:
    """Who was restored learns from it what it had said before."""
    both = Vectors({A: OwnedPosition(LIFE, 3), B: OwnedPosition(LIFE, 9)}, {})
    said = GREETER.hello(B, replace(OURS, vectors=both), b"d" * 32, 5)
    assert (said.version, said.incarnation, said.models) == (PROTOCOL_VERSION, LIFE, {"tag": 1})
    assert (said.yours, said.vectors) == (OwnedPosition(LIFE, 9), b"d" * 32)
    assert GREETER.hello(B, OURS, b"d" * 32, 5).yours is None


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        ({"version": (PROTOCOL_VERSION[0] + 1, 0)}, "incompatible", "upgrade here"),
        ({"version": (PROTOCOL_VERSION[0] - 1, 9)}, "incompatible", "upgrade there"),
        ({"library": NOBODY}, "other_library", "different libraries"),
    ],
)
def test_who_cannot_be_talked_with_is_told_why(
    said: dict[str, object], code: str, text: str
) -> None:
    """Which side is to upgrade, or that there are two libraries."""
    wrong = GREETER.mismatch(_hello(**said))
    assert wrong is not None
    assert (wrong[0], text in wrong[1]) == (code, True)


def test_another_minor_version_is_talked_with() -> None:
    """Each side speaks the lesser of the two."""
    assert GREETER.mismatch(_hello(version=(PROTOCOL_VERSION[0], 99))) is None


def test_of_two_links_both_sides_let_the_same_go() -> None:
    """Where they crossed, the one that the greater device has dialed; else the older one."""
    mine, theirs = _peer(dialed=True), _peer(dialed=False)
    there = replace(GREETER, device=B)
    as_b_sees = _peer(A, dialed=False), _peer(A, dialed=True)
    assert GREETER.loser(mine, theirs, 1.0) is theirs
    assert GREETER.loser(theirs, mine, 1.0) is theirs
    assert there.loser(*as_b_sees, 1.0) is as_b_sees[1]
    assert GREETER.loser(mine, theirs, CROSSED_S + 1) is mine
    assert GREETER.loser(mine, _peer(dialed=True), 1.0) is mine


def test_who_stands_where_we_do_is_sent_no_positions() -> None:
    """Its own are known by that; who differs in members is sent the statements."""
    peer = _peer()
    same = _hello(vectors=vectors_digest(OURS.vectors))
    assert welcome(peer, same, OURS, 5) == [Note("peer_connected", {"device": B})]
    assert (peer.known, peer.clock_ahead_ms) == (True, 2)
    assert SendStatements(1) in welcome(_peer(), _hello(membership=bytes(32)), OURS, 5)


def test_who_stands_elsewhere_is_told_all_positions() -> None:
    """Also of what changed since our hello; of branches only who can read them."""
    feed = feed_id(A, LIFE)
    more = Vectors({}, {feed: FeedPosition(1, 1), feed[:28] + b"b" * 16: FeedPosition(2, 2)})
    now = replace(OURS, vectors=more)
    for version, told in (((1, 1), more), ((1, 0), Vectors({}, {feed: FeedPosition(1, 1)}))):
        for digest, is_known in ((bytes(32), False), (vectors_digest(OURS.vectors), True)):
            peer = _peer()
            commands = welcome(peer, _hello(version=version, vectors=digest), now, 5)
            assert commands[-1] == Send(1, Positions(told, whole=True))
            assert peer.known is is_known
