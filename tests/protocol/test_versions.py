"""Peers of other minor versions."""

from __future__ import annotations

from leaderless.protocol.commands import Close, Key, Load, Note, Read, SendFrame, Stream
from leaderless.protocol.messages import (
    Credit,
    FeedPosition,
    Hello,
    Positions,
    PullLog,
    Unknown,
    Vectors,
)
from leaderless.protocol.peer import Outgoing, Peer
from leaderless.protocol.versions import QUIET_S, UPGRADE, Upgrades, not_known
from registry.changes import feed_id
from tests.protocol.wire import LIBRARY, LIFE, A, B, C, Side

FEED = feed_id(C, LIFE)
KEY = Key(Stream.LOG, FEED)


def _met(minor: int) -> Side:
    """Return a side that holds ten commits and is connected to a peer of a version."""
    side = Side(A, feeds={FEED: 10})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, minor), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    side.exchange.received(1, Positions(Vectors(), whole=True), 10, 0, 0)
    return side


def _asked(side: Side) -> None:
    assert side.exchange.received(1, PullLog(FEED, 0), 10, 0, 0) == [Load(1, KEY, 0)]


def test_unknown_messages_are_ignored_and_told_less_and_less_often() -> None:
    """Of each kind the first, the tenth, the hundredth: nobody fills the log of another."""
    peer = Peer(1, B, True, "x:1", 0, 0, Vectors())
    told = [note for _ in range(150) for note in not_known(peer, 99)]
    assert told == [
        Note("unknown_message", {"device": B, "kind": 99, "count": count}) for count in (1, 10, 100)
    ]
    assert len(not_known(peer, 98)) == 1
    assert peer.unknown == {99: 150, 98: 1}


def test_a_session_goes_on_after_a_message_of_a_later_version() -> None:
    """The link stays, what comes next is answered."""
    side = _met(7)
    (note,) = side.exchange.received(1, Unknown(77), 10, 0, 0)
    assert isinstance(note, Note)
    _asked(side)


def test_what_a_version_cannot_read_is_not_sent_to_it() -> None:
    """The stream ends there without a word on the wire; the peer stays connected."""
    side = _met(0)
    _asked(side)
    assert side.exchange.loaded(1, KEY, Read(10, 10, b"frame", 5, (1, 1))) == []
    peer = side.exchange.peers[1]
    assert (peer.beyond, peer.outgoing, peer.unacknowledged) == ({KEY}, {}, 0)


def test_what_it_can_read_is_sent() -> None:
    """To a device of that version, or a later one."""
    for minor in (1, 2):
        side = _met(minor)
        _asked(side)
        sent = side.exchange.loaded(1, KEY, Read(10, 10, b"frame", 5, (1, 1)))
        assert sent == [SendFrame(1, b"frame")]


def test_an_older_device_is_told_once_what_to_do_when_all_else_is_done() -> None:
    """In the only message whose words every version reads, then it is left to get what it can."""
    side = _met(0)
    _asked(side)
    assert side.exchange.tick(1.0) == []
    side.exchange.loaded(1, KEY, Read(10, 10, b"frame", 5, (1, 1)))
    assert side.exchange.tick(2.0) == [Close(1, "upgrade_needed", UPGRADE)]


def test_an_older_device_is_told_soon_however_often_it_says_something() -> None:
    """A look that each of its pings puts off would never come."""
    side = _met(0)
    assert side.exchange.next_tick(1.0) > 1.0 + QUIET_S
    _asked(side)
    side.exchange.loaded(1, KEY, Read(10, 10, b"frame", 5, (1, 1)))
    assert side.exchange.next_tick(1.0) == 1.0 + QUIET_S
    assert side.exchange.tick(1.0 + QUIET_S) == [Close(1, "upgrade_needed", UPGRADE)]
    assert side.exchange.next_tick(1.0) > 1.0 + QUIET_S


def test_nobody_is_told_while_something_is_on_the_way() -> None:
    """What was sent and not acknowledged, and what the older device has for us, comes first."""
    upgrades, peer = Upgrades(), Peer(1, B, True, "x:1", 0, 0, Vectors())
    assert not upgrades.is_due(peer, Vectors())
    peer.beyond.add(KEY)
    peer.unacknowledged = 1
    assert not upgrades.is_due(peer, Vectors())
    peer.unacknowledged = 0
    peer.outgoing[KEY] = Outgoing(0, loading=True)
    assert not upgrades.is_due(peer, Vectors())
    peer.outgoing.clear()
    peer.learn(Positions(Vectors({}, {FEED: FeedPosition(2, 2)})))
    assert not upgrades.is_due(peer, Vectors())
    assert upgrades.is_due(peer, Vectors({}, {FEED: FeedPosition(2, 2)}))
    assert not upgrades.is_due(peer, Vectors({}, {FEED: FeedPosition(2, 2)}))


def test_credits_are_counted_whatever_else_is_said() -> None:
    """An unknown message neither costs nor gives room."""
    side = _met(0)
    side.exchange.received(1, Unknown(15), 1_000, 0, 0)
    assert side.exchange.received(1, Credit(0), 10, 0, 0) == []
