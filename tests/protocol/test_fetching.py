"""Whom a device asks for what, over an imaginary wire."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol.commands import (
    Apply,
    Command,
    Load,
    Send,
)
from leaderless.protocol.fetching import GRACE_S, STALLED_S, Fetching
from leaderless.protocol.messages import (
    FeedPosition,
    Hello,
    LogBatch,
    OwnedPosition,
    Positions,
    PullLog,
    PullState,
    SignedCommit,
    StateBatch,
    Vectors,
)
from registry.changes import Incarnation, feed_id
from tests.protocol.wire import LIBRARY, LIFE, A, B, C, Side, Wire


def test_another_source_is_asked_when_the_first_dies() -> None:
    """When the link to a source breaks in the middle, the rest is asked of another."""
    far = bytes([90]) * 16
    a, b, c = Side(A, owned={far: 500}), Side(B, owned={far: 500}), Side(C)
    wire = Wire(a, b, c)
    wire.connect(0, 2, 1)
    wire.connect(1, 2, 2)
    wire.deliver(14)
    wire.cut(0, 1)
    wire.run()
    assert c.owned[far] == 500


def test_a_source_that_stalls_is_passed_over() -> None:
    """A peer that does not send what it was asked for loses the job to another."""
    far = bytes([90]) * 16
    a, b, c = Side(A, owned={far: 500}), Side(B, owned={far: 400}), Side(C)
    wire = Wire(a, b, c)
    wire.load = lambda me, *rest: None if me == 0 else Wire.load(wire, me, *rest)  # type: ignore[method-assign]
    wire.connect(0, 2, 1)
    wire.connect(1, 2, 2)
    wire.run(STALLED_S + 1)
    assert c.owned[far] == 400


def test_what_the_owner_does_not_send_in_time_is_fetched_elsewhere() -> None:
    """A connected owner has a moment to push its change; then another source is asked."""
    a, b, c = Side(A), Side(B), Side(C)
    wire = Wire(a, b, c)
    for number, (one, other) in enumerate(((0, 1), (0, 2), (1, 2)), start=1):
        wire.connect(one, other, number)
    wire.run()
    whole = Wire.load
    wire.load = lambda me, link, key, after: (  # type: ignore[method-assign]
        None if (me, link) == (0, 2) else whole(wire, me, link, key, after)
    )
    a.owned[A] = 7
    wire.changed(0)
    wire.run(GRACE_S / 2)
    assert c.owned.get(A, 0) == 0
    wire.run(GRACE_S)
    assert c.owned[A] == 7


def test_a_newer_life_of_an_owner_is_read_from_the_start() -> None:
    """Rows of another incarnation than ours are asked for from zero, and served so."""
    side = Side(A, owned={A: 0, C: 50})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    newer = Positions(Vectors({C: OwnedPosition(Incarnation(2, b"n" * 8), 9)}), whole=True)
    commands = side.exchange.received(1, newer, 10, 0, 0)
    pulls = [c.message for c in commands if isinstance(c, Send)]
    assert PullState(C, Incarnation(2, b"n" * 8), 0) in pulls
    commands = side.exchange.received(1, PullState(C, Incarnation(9, b"n" * 8), 40), 10, 0, 0)
    assert [c.after for c in commands if isinstance(c, Load)] == [0]


def test_a_batch_that_does_not_fit_is_asked_for_again() -> None:
    """When a follow-up of the owner begins beyond what we hold, we ask from our position."""
    side = Side(A, owned={A: 0, B: 5})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    side.exchange.received(1, Positions(Vectors(), whole=True), 10, 0, 0)
    apply = Apply(1, StateBatch(B, LIFE, 8, 9, 9, 9, ()), 10)
    commands = side.exchange.applied(apply, 0, used=False)
    assert PullState(B, LIFE, 5) in [c.message for c in commands if isinstance(c, Send)]


def test_somebody_elses_log_is_fetched_to_its_end() -> None:
    """Commits of a device that is away come from whoever holds them, and are asked for once."""
    feed = feed_id(C, LIFE)
    a, b = Side(A, feeds={feed: 250}), Side(B)
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    assert b.feeds[feed] == 250
    assert [message for message in wire.said if message == PullLog(feed, 0)] == [PullLog(feed, 0)]


def test_a_relayed_batch_that_does_not_fit_ends_its_fetch() -> None:
    """When our copy was dropped meanwhile, it is asked for anew from where we are now."""
    side = Side(A, owned={A: 0, C: 5})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    theirs = Positions(Vectors({C: OwnedPosition(LIFE, 9)}), whole=True)
    side.exchange.received(1, theirs, 10, 0, 0)
    apply = Apply(1, StateBatch(C, LIFE, 8, 9, 9, 9, ()), 10)
    side.exchange.applied(apply, 0, used=False)
    side.owned[C] = 0
    commands = side.exchange.ours_changed(side.holdings(), 1.0)
    asked = [c.message for c in commands if isinstance(c, Send)]
    assert PullState(C, LIFE, 0) in asked


def test_the_only_source_is_asked_again() -> None:
    """With nobody else to ask, a source that sends nothing is reminded after its time."""
    far = bytes([90]) * 16
    a, b = Side(A, owned={far: 500}), Side(B)
    wire = Wire(a, b)
    wire.load = lambda *_: None  # type: ignore[method-assign]
    wire.connect(0, 1)
    pull = PullState(far, LIFE, 0)
    wire.run(STALLED_S - 1)
    assert wire.said.count(pull) == 1
    wire.run(2)
    assert wire.said.count(pull) == 2


def test_the_fuller_of_two_sources_is_asked() -> None:
    """Of two that hold what is missing, the one that holds more is asked."""
    far = bytes([90]) * 16
    a, b, c = Side(A, owned={far: 400}), Side(B, owned={far: 500}), Side(C)
    wire = Wire(a, b, c)
    wire.connect(0, 1, 3)
    wire.cut(0, 3)
    wire.connect(0, 2, 1)
    wire.connect(1, 2, 2)
    wire.run()
    assert c.owned[far] == 500


def test_a_batch_that_was_asked_of_somebody_else_changes_no_plan() -> None:
    """What arrives late from a source that was passed over leaves the fetch as it is."""
    side = Side(A)
    fetching = Fetching(A)
    batch = StateBatch(C, LIFE, 0, 5, 5, 5, ())
    vectors = side.holdings().vectors
    assert fetching.arrived(1, batch, None, vectors, 0.0, used=True) == []


def _behind(side: Side, positions: Vectors) -> list[Command]:
    """Let a peer B that is ahead greet a side; return what the side does."""
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    return side.exchange.received(1, Positions(positions, whole=True), 10, 0, 0)


def test_an_answer_that_brings_nothing_further_is_not_asked_for_again_at_once() -> None:
    """A batch that is used and moves no position leads to a pause, not to a busy loop."""
    side = Side(A)
    feed = feed_id(C, LIFE)
    pull = PullLog(feed, 0)
    ahead = Vectors({}, {feed: FeedPosition(1, 1)})
    assert Send(1, pull) in _behind(side, ahead)
    batch = LogBatch(feed, 0, 1, (SignedCommit(b"", bytes(64), b""),))
    side.exchange.applied(Apply(1, batch, 10), 0.0, used=True)
    assert Send(1, pull) not in side.exchange.ours_changed(side.holdings(), 0.0)
    assert side.exchange.next_tick(0.0) <= STALLED_S
    assert Send(1, pull) in side.exchange.tick(STALLED_S)


def test_a_closed_feed_is_not_fetched() -> None:
    """Of a feed that forked nothing more is asked, whoever holds more of it."""
    side = Side(A)
    feed = feed_id(C, LIFE)
    side.shut = frozenset([feed])
    side.exchange.ours_changed(side.holdings(), 0.0)
    commands = _behind(side, Vectors({}, {feed: FeedPosition(1, 1)}))
    assert Send(1, PullLog(feed, 0)) not in commands


def test_a_feed_in_doubt_is_read_from_its_start() -> None:
    """Of whoever holds some of it, and of each only once in a while."""
    side = Side(A, feeds={feed_id(C, LIFE): 5})
    feed = feed_id(C, LIFE)
    holdings = replace(side.holdings(), doubted=frozenset([feed]))
    side.exchange.ours_changed(holdings, 0.0)
    again = Send(1, PullLog(feed, 0))
    assert again in _behind(side, Vectors({}, {feed: FeedPosition(5, 5)}))
    batch = LogBatch(feed, 0, 1, (SignedCommit(b"", bytes(64), b""),))
    side.exchange.applied(Apply(1, batch, 10), 0.0, used=True)
    assert again not in side.exchange.ours_changed(holdings, 1.0)
    assert again in side.exchange.tick(STALLED_S + 1)


def test_who_relayed_forged_rows_is_asked_for_them_no_more() -> None:
    """A copy that its owner had not signed is fetched from another source alone."""
    side = Side(A)
    side.exchange.distrust(B, C)
    assert Send(1, PullState(C, LIFE, 0)) not in _behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))


def test_what_others_know_of_us_and_we_do_not_is_asked_for_from_the_start() -> None:
    """Who was restored takes its rows back first, and its log in the incarnation after that."""
    mine, earlier = feed_id(A, LIFE), feed_id(A, Incarnation(0, b"n" * 8))
    side = Side(A, owned={A: 5}, feeds={mine: 3})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    feeds = {mine: FeedPosition(9, 9), earlier: FeedPosition(2, 2)}
    known = Positions(Vectors({A: OwnedPosition(LIFE, 8)}, feeds), whole=True)
    commands = side.exchange.received(1, known, 10, 0, 0)
    pulls = [c.message for c in commands if isinstance(c, Send)]
    assert PullState(A, LIFE, 0) in pulls
    assert not [pull for pull in pulls if isinstance(pull, PullLog) and pull.feed[:16] == A]
    side.owned[A] = 8
    commands = side.exchange.ours_changed(side.holdings(), 1.0)
    pulls = [c.message for c in commands if isinstance(c, Send)]
    assert PullLog(mine, 3) in pulls
    assert PullLog(earlier, 0) in pulls
