"""When a silent peer is asked, and when it is left."""

from __future__ import annotations

from leaderless.protocol.messages import Hello, Vectors
from leaderless.protocol.peer import Peer
from leaderless.protocol.silence import (
    HELLO_S,
    PING_S,
    SILENT_S,
    given_up,
    is_to_be_asked,
    next_look,
)
from registry.changes import Incarnation


def _peer(*, greeted: bool) -> Peer:
    peer = Peer(1, b"p" * 16, True, "x:1", 100.0, 100.0, Vectors())
    life = Incarnation(1, bytes(8))
    hello = Hello((1, 0), bytes(16), life, {}, bytes(32), bytes(32), 0, "x")
    peer.hello = hello if greeted else None
    return peer


def test_who_does_not_greet_is_left() -> None:
    """It is asked for nothing meanwhile."""
    peer = _peer(greeted=False)
    assert next_look(peer) == 100 + HELLO_S
    assert given_up(peer, 100 + HELLO_S - 1) is None
    assert not is_to_be_asked(peer, 100 + PING_S)
    assert given_up(peer, 100 + HELLO_S) == ("no_hello", "no hello came in time")


def test_who_falls_silent_is_asked_once_and_then_left() -> None:
    """In time for an answer to arrive."""
    peer = _peer(greeted=True)
    assert next_look(peer) == 100 + PING_S
    assert not is_to_be_asked(peer, 100 + PING_S - 1)
    assert is_to_be_asked(peer, 100 + PING_S)
    peer.pinged = True
    assert not is_to_be_asked(peer, 100 + PING_S)
    assert next_look(peer) == 100 + SILENT_S
    assert given_up(peer, 100 + SILENT_S - 1) is None
    assert given_up(peer, 100 + SILENT_S) == ("silent", "nothing came for too long")
