"""Whom a device asks for what, over an imaginary wire."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from leaderless.protocol.commands import Apply, Command, Key, Load, Note, Send, Stream
from leaderless.protocol.fetching import (
    GRACE_S,
    LEAST_REST_S,
    MOST_REST_S,
    STALLED_S,
    TOLD_S,
    Fetching,
)
from leaderless.protocol.messages import (
    Credit,
    FeedPosition,
    LogBatch,
    OwnedPosition,
    Positions,
    PullLog,
    PullState,
    SignedCommit,
    StateBatch,
    Vectors,
)
from leaderless.protocol.peer import Peer
from leaderless.protocol.trusting import LEAST_DISTRUST_S
from registry.changes import Incarnation, feed_id
from tests.protocol.wire import (
    LIFE,
    A,
    B,
    C,
    Side,
    Wire,
    asked_by,
    behind,
    greeted,
    until,
)


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


def test_an_owner_that_knows_less_of_itself_than_another_is_not_waited_for() -> None:
    """It was put back to a backup, say; what others hold of it is asked for after the same moment."""
    feed = feed_id(B, LIFE)
    side = Side(A, feeds={feed: 3})
    greeted(side, B, 1, Vectors({}, {feed: FeedPosition(3, 3)}))
    greeted(side, C, 2, Vectors({}, {feed: FeedPosition(5, 5)}))
    assert PullLog(feed, 3) not in asked_by(until(side, GRACE_S - 1))
    assert asked_by(until(side, GRACE_S)) == [PullLog(feed, 3)]


def test_a_source_that_drops_its_copy_is_not_waited_for() -> None:
    """It has nothing to answer; when it holds more again it is asked again, after a rest."""
    side = Side(A, owned={A: 0, C: 5})
    pull = PullState(C, LIFE, 5)
    assert pull in asked_by(behind(side, Vectors({C: OwnedPosition(LIFE, 9)})))
    for watermark in (0, 9):
        said = Positions(Vectors({C: OwnedPosition(LIFE, watermark)}))
        assert asked_by(side.exchange.received(1, said, 10, 1.0, 0)) == []
    assert asked_by(until(side, 1.0 + LEAST_REST_S, 1.0)) == [pull]


def test_a_newer_life_of_an_owner_is_read_from_the_start() -> None:
    """Rows of another incarnation than ours are asked for from zero, and served so."""
    side = Side(A, owned={A: 0, C: 50})
    commands = behind(side, Vectors({C: OwnedPosition(Incarnation(2, b"n" * 8), 9)}))
    pulls = [c.message for c in commands if isinstance(c, Send)]
    assert PullState(C, Incarnation(2, b"n" * 8), 0) in pulls
    commands = side.exchange.received(1, PullState(C, Incarnation(9, b"n" * 8), 40), 10, 0, 0)
    assert [c.after for c in commands if isinstance(c, Load)] == [0]


def test_a_batch_that_does_not_fit_is_asked_for_again() -> None:
    """When a follow-up of the owner begins beyond what we hold, we ask from where we are then."""
    side = Side(A, owned={A: 0, B: 5})
    behind(side, Vectors({B: OwnedPosition(LIFE, 5)}))
    side.exchange.applied(Apply(1, StateBatch(B, LIFE, 8, 9, 9, 9, ()), 10), 0, used=False)
    said = Positions(Vectors({B: OwnedPosition(LIFE, 9)}))
    commands = side.exchange.received(1, said, 10, 0, 0)
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
    behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))
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
    pull = PullState(C, LIFE, 0)
    assert Send(1, pull) in behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))
    batch = StateBatch(C, LIFE, 0, 5, 5, 5, ())
    side.exchange.applied(Apply(7, batch, 10), 0.0, used=True)
    assert not asked_by(side.exchange.tick(STALLED_S - 1))
    assert asked_by(until(side, STALLED_S + 1)) == [pull]


def test_an_answer_that_brings_nothing_further_is_not_asked_for_again_at_once() -> None:
    """A batch that is used and moves no position leads to a pause, not to a busy loop."""
    side = Side(A)
    feed = feed_id(C, LIFE)
    pull = PullLog(feed, 0)
    ahead = Vectors({}, {feed: FeedPosition(1, 1)})
    assert Send(1, pull) in behind(side, ahead)
    batch = LogBatch(feed, 0, 1, (SignedCommit(b"", bytes(64), b""),))
    side.exchange.applied(Apply(1, batch, 10), 0.0, used=True)
    assert Send(1, pull) not in side.exchange.ours_changed(side.holdings(), 0.0)
    assert asked_by(until(side, TOLD_S)) == []
    assert asked_by(until(side, TOLD_S + LEAST_REST_S, TOLD_S)) == [pull]


def test_a_closed_feed_is_not_fetched() -> None:
    """Of a feed that forked nothing more is asked, whoever holds more of it."""
    side = Side(A)
    feed = feed_id(C, LIFE)
    side.shut = frozenset([feed])
    side.exchange.ours_changed(side.holdings(), 0.0)
    commands = behind(side, Vectors({}, {feed: FeedPosition(1, 1)}))
    assert Send(1, PullLog(feed, 0)) not in commands


def test_a_feed_that_comes_into_doubt_on_the_way_is_read_from_its_start_at_once() -> None:
    """What was asked for from a later position does not have to end before."""
    feed = feed_id(C, LIFE)
    side = Side(A, feeds={feed: 5})
    assert Send(1, PullLog(feed, 5)) in behind(side, Vectors({}, {feed: FeedPosition(9, 9)}))
    doubtful = replace(side.holdings(), doubted=frozenset([feed]))
    assert Send(1, PullLog(feed, 0)) in side.exchange.ours_changed(doubtful, 0.1)


def test_what_others_know_of_us_and_we_do_not_is_asked_for_from_the_start() -> None:
    """Who was restored takes its rows from one peer, and its log beside them."""
    mine, earlier = feed_id(A, LIFE), feed_id(A, Incarnation(0, b"n" * 8))
    side = Side(A, owned={A: 5}, feeds={mine: 3})
    feeds = {mine: FeedPosition(9, 9), earlier: FeedPosition(2, 2)}
    asked = asked_by(behind(side, Vectors({A: OwnedPosition(LIFE, 8)}, feeds)))
    assert {PullState(A, LIFE, 0), PullLog(mine, 3), PullLog(earlier, 0)} <= {*asked}


def test_part_of_our_own_rows_does_not_end_the_rests_of_its_source() -> None:
    """Only all of them do: who breaks off again and again is counted on no more."""
    mine = Key(Stream.STATE, A)
    side = Side(A, owned={A: 5})
    behind(side, Vectors({A: OwnedPosition(LIFE, 8)}))
    (peer,) = side.exchange.peers.values()
    fetching, now = side.exchange.fetching, 0.0
    while fetching.may_bring(peer, mine, now):
        assert now < MOST_REST_S
        part = StateBatch(A, LIFE, 0, 7, 8, 8, ())
        side.exchange.applied(Apply(1, part, 10), now, used=True)
        side.exchange.applied(Apply(1, replace(part, lo=9), 10), now, used=False)
        now = side.exchange.next_tick(now)
        side.exchange.tick(now)
    assert (B, mine) in fetching.promises.spent


# --- who is not believed --------------------------------------------------------------------------


FAR = Key(Stream.STATE, C)


def test_suspects_are_believed_one_at_a_time() -> None:
    """What a suspect sends counts only while it is the one that is asked."""
    side, ahead = Side(A, owned={C: 5}), Vectors({C: OwnedPosition(LIFE, 9)})
    side.unproved, side.suspected = {C: "unproved"}, frozenset([C])
    side.exchange.ours_changed(side.holdings(), 0.0)
    behind(side, ahead)
    greeted(side, bytes([70]) * 16, 2, ahead)
    for device in (B, bytes([70]) * 16):
        side.suspect(device, FAR, 0.0)
    batch = StateBatch(C, LIFE, 0, 9, 9, 9, ())
    assert side.exchange.received(1, batch, 10, 0.0, 0) == [Send(1, Credit(10))]
    side.exchange.tick(0.0)
    assert Send(1, PullState(C, LIFE, 0)) in until(side, 2.0)
    assert side.exchange.received(1, batch, 10, 2.0, 0) == [Apply(1, batch, 10)]
    assert side.exchange.received(2, batch, 10, 2.0, 0) == [Send(2, Credit(10))]


def test_of_what_is_kept_aside_only_what_was_asked_for_is_taken() -> None:
    """Another source would begin it anew, again and again: the first would never come to its end."""
    other, ahead = bytes([70]) * 16, Vectors({C: OwnedPosition(LIFE, 9)})
    side = Side(A, owned={C: 5}, suspected=frozenset([C]))
    side.exchange.ours_changed(replace(side.holdings(), beside=frozenset([C])), 0.0)
    assert PullState(C, LIFE, 0) in asked_by(behind(side, ahead))
    greeted(side, other, 2, ahead)
    for owner in (C, A):
        batch = StateBatch(owner, LIFE, 0, 1, 9, 9, ())
        assert side.exchange.received(2, batch, 10, 0.0, 0) == [Send(2, Credit(10))]
    batch = StateBatch(C, LIFE, 0, 1, 9, 9, ())
    assert side.exchange.received(1, batch, 10, 0.0, 0) == [Apply(1, batch, 10)]


def test_of_a_suspects_rows_who_holds_most_is_waited_for() -> None:
    """The lesser copy would be in its way again; one that has failed often is waited for no more."""
    other = bytes([70]) * 16
    side = Side(A, owned={C: 0}, unproved={C: "unproved"}, suspected=frozenset([C]))
    side.exchange.ours_changed(side.holdings(), 0.0)
    behind(side, Vectors())
    greeted(side, other, 2, Vectors())
    side.suspect(B, FAR, 0.0)
    for link, rev in ((1, 9), (2, 7)):
        said = Positions(Vectors({C: OwnedPosition(LIFE, rev)}))
        assert asked_by(side.exchange.received(link, said, 10, 0.0, 0)) == []
    assert Send(1, PullState(C, LIFE, 0)) in until(side, 2.0)
    now = 2.0
    asked: list[Command] = []
    while Send(2, PullState(C, LIFE, 0)) not in asked and now < 60.0:
        side.exchange.applied(Apply(1, StateBatch(C, LIFE, 0, 0, 0, 0, ()), 10), now, used=False)
        now = side.exchange.next_tick(now)
        asked += side.exchange.tick(now)
    assert now < 60.0


def test_what_our_disk_did_not_take_is_asked_for_at_once_on_the_next_link() -> None:
    """No pause is left over from the link on which it was not kept."""
    side, ahead = Side(A), Vectors({C: OwnedPosition(LIFE, 9)})
    behind(side, ahead)
    side.exchange.fetching.promises.excuse(1)
    side.exchange.link_down(1, 1.0)
    greeted(side, B, 2, ahead, 1.0)
    assert side.exchange.fetching._pulls.on(FAR, 2) is not None


def test_who_promises_and_does_not_give_comes_after_all_others() -> None:
    """It is asked less and less often, and named; from then on others are asked first."""
    side = Side(A)
    behind(side, Vectors({C: OwnedPosition(LIFE, 1 << 50)}))
    told: list[Command] = []
    asked = []
    now = 0.0
    for _ in range(8):
        empty = Apply(1, StateBatch(C, LIFE, 0, 0, 0, 0, ()), 10)
        told += side.exchange.applied(empty, now, used=True)
        while not asked_by(commands := side.exchange.tick(now)):
            now = side.exchange.next_tick(now)
            told += commands
        told += commands
        asked.append(now)
    pauses = [later - sooner for sooner, later in pairwise(asked)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, MOST_REST_S]
    notes = [command for command in told if isinstance(command, Note)]
    assert notes == [Note("withholds", {"device": B, "of": C})]
    assert side.exchange.fetching.promises.withheld == {(B, FAR)}
    side.exchange.applied(Apply(1, StateBatch(C, LIFE, 0, 0, 0, 0, ()), 10), now, used=True)
    greeted(side, bytes([70]) * 16, 2, Vectors({C: OwnedPosition(LIFE, 5)}), now)
    assert side.exchange.fetching._pulls.on(FAR, 2) is not None


def test_empty_answers_do_not_keep_a_source_its_place() -> None:
    """A source that sends, and brings us no further, loses the job like one that is silent."""
    side, ahead = Side(A), Vectors({C: OwnedPosition(LIFE, 9)})
    behind(side, ahead)
    greeted(side, bytes([70]) * 16, 2, ahead)
    for now in range(0, int(STALLED_S), 5):
        empty = StateBatch(C, LIFE, 0, 0, 9, 9, ())
        side.exchange.applied(Apply(1, empty, 10), float(now), used=True)
    commands = until(side, STALLED_S, STALLED_S - 1)
    assert [c.link for c in commands if isinstance(c, Send) and asked_by([c])] == [2]


@pytest.mark.parametrize("why", ["uncovered", "short"])
def test_a_copy_that_is_not_proved_is_asked_for_a_word(why: str) -> None:
    """Of those that stand where we do, too: one may have what proves it, or that nothing more comes."""
    side = Side(A, owned={C: 9})
    setattr(side, why, frozenset([C]))
    side.exchange.ours_changed(side.holdings(), 0.0)
    assert PullState(C, LIFE, 9) in asked_by(behind(side, Vectors({C: OwnedPosition(LIFE, 9)})))


def test_what_comes_from_a_link_that_is_gone_is_counted_for_nobody() -> None:
    """It is durable, and whoever brought it is asked anew when it is back."""
    fetching, side = Fetching(A), Side(A)
    peer = Peer(1, B, True, "wire:1", 0.0, 0.0, Vectors(), known=True)
    peer.owned[C] = OwnedPosition(LIFE, 9)
    (asked,) = fetching.plan([peer], side.holdings(), 0.0)
    assert asked == Send(1, PullState(C, LIFE, 0))
    fetching.arrived(1, StateBatch(C, LIFE, 0, 5, 9, 9, ()), None, 0.0, used=True)
    fetching.lost(1)
    peer.link = 2
    fetching.plan([peer], side.holdings(), 60.0)
    assert fetching.plan([peer], side.holdings(), 61.0) == [Send(2, PullState(C, LIFE, 0))]


def test_who_forged_is_asked_again_when_its_pause_is_over_and_not_before() -> None:
    """What was on its way from it is waited for no more."""
    side = Side(A)
    behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))
    side.distrust(B, FAR, "forged", 0.0)
    assert side.exchange.fetching._pulls.of(FAR) is None
    assert asked_by(side.exchange.tick(1.0)) == []
    assert side.exchange.next_tick(1.0) == LEAST_DISTRUST_S
    assert asked_by(side.exchange.tick(LEAST_DISTRUST_S)) == [PullState(C, LIFE, 0)]
