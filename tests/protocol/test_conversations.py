"""Whole sessions of two or three devices over an imaginary wire."""

from __future__ import annotations

from leaderless.protocol.commands import Send
from leaderless.protocol.fetching import GRACE_S
from leaderless.protocol.greeting import CROSSED_S
from leaderless.protocol.messages import (
    Hello,
    OwnedPosition,
    Positions,
    PullState,
    StateBatch,
    Vectors,
)
from registry.changes import feed_id
from tests.protocol.wire import LIBRARY, LIFE, A, B, C, Side, Wire


def test_equal_devices_exchange_hardly_anything() -> None:
    """Two that are equal greet, say what they heard of each other, and prove it: no rows."""
    sides = [Side(A, owned={A: 9, B: 9}), Side(B, owned={A: 9, B: 9})]
    wire = Wire(*sides)
    wire.connect(0, 1)
    wire.run()
    assert wire.proved(0)
    rows = [message for message in wire.said if isinstance(message, StateBatch)]
    assert not any(message.hi > message.lo for message in rows)
    assert wire.loads == 2


def test_a_change_is_pushed_to_who_is_live() -> None:
    """A device's own new rows go out without being asked for again."""
    a, b = Side(A), Side(B)
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    a.owned[A] = 5
    wire.changed(0)
    wire.run()
    assert b.owned[A] == 5
    assert wire.proved(0)


def test_a_third_device_gets_it_from_the_one_between() -> None:
    """In a line a-b-c, c asks b for what a owns, and is told of later changes."""
    a, b, c = Side(A, owned={A: 300}, feeds={feed_id(A, LIFE): 3}), Side(B), Side(C)
    wire = Wire(a, b, c)
    wire.connect(0, 1, 1)
    wire.connect(1, 2, 2)
    wire.run(3)
    assert c.owned[A] == 300
    assert c.feeds[feed_id(A, LIFE)] == 3
    a.owned[A] = 301
    wire.changed(0)
    wire.run(3)
    assert c.owned[A] == 301
    assert wire.proved(2)


def test_what_a_replaced_link_was_asked_for_is_asked_of_others_at_once() -> None:
    """When a new link takes the place of a dead one, its streams go on without a pause."""
    far = bytes([90]) * 16
    side = Side(A)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    ahead = Positions(Vectors({far: OwnedPosition(LIFE, 9)}), whole=True)
    for link, device in ((1, B), (2, C)):
        side.exchange.link_up(link, device, "wire", 0, 0, dialed=True)
        side.exchange.received(link, hello, 10, 0, 0)
        side.exchange.received(link, ahead, 10, 0, 0)
    commands = side.exchange.link_up(3, B, "wire", CROSSED_S + 1, 0, dialed=True)
    assert Send(2, PullState(far, LIFE, 0)) in commands


def test_a_tick_is_due_when_a_source_has_had_its_time() -> None:
    """What is asked of a peer is looked at again before anything else would be due."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    side.exchange.link_up(2, C, "wire:2", 0, 0, dialed=True)
    side.exchange.received(2, hello, 10, 0, 0)
    ahead = Positions(Vectors({B: OwnedPosition(LIFE, 9)}), whole=True)
    for link in (1, 2):
        side.exchange.received(link, ahead, 10, 0, 0)
    assert side.exchange.next_tick(0) <= GRACE_S
