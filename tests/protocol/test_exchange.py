"""Conversations between real exchanges over an imaginary wire."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.protocol.commands import (
    Apply,
    Close,
    Introduce,
    Key,
    Note,
    Read,
    Reconcile,
    Send,
    Stream,
)
from leaderless.protocol.exchange import CLONED, Exchange
from leaderless.protocol.fetching import STALLED_S
from leaderless.protocol.greeting import CROSSED_S
from leaderless.protocol.limits import MAX_STREAMS
from leaderless.protocol.meeting import ANSWERS
from leaderless.protocol.messages import (
    Bye,
    Compare,
    Compared,
    Credit,
    FeedPosition,
    Hello,
    Message,
    OwnedPosition,
    Ping,
    Pong,
    Positions,
    PullRecords,
    PullState,
    Records,
    StateBatch,
    Statements,
    Unknown,
    Vectors,
)
from leaderless.protocol.reconcile import Range
from leaderless.protocol.silence import ANSWER_S, HELLO_S, PING_S, SILENT_S
from leaderless.protocol.versions import QUIET_S, UPGRADE
from registry.changes import Incarnation, feed_id
from tests.protocol.wire import LIBRARY, LIFE, A, B, C, Side, Wire, greeted

NOWHERE = OwnedPosition(Incarnation(1, bytes(8)), 1)


def test_an_empty_device_is_filled_and_both_prove_it() -> None:
    """Rows and commits arrive in batches, and then both sides say that they are equal."""
    full, empty = Side(A, owned={A: 1_000}, feeds={feed_id(A, LIFE): 250}), Side(B)
    wire = Wire(full, empty)
    wire.connect(0, 1)
    wire.run()
    assert empty.owned[A] == 1_000
    assert empty.feeds[feed_id(A, LIFE)] == 250
    assert wire.proved(0)
    assert wire.proved(1)
    assert "proved" in full.notes


def test_statements_go_where_they_are_missing() -> None:
    """Unequal memberships are settled before rows, and a later change goes to everyone."""
    a, b = Side(A), Side(B, membership=b"x" * 32)
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    assert any(isinstance(message, Statements) for message in wire.said)
    wire.said.clear()
    a.membership = b"y" * 32
    wire.changed(0)
    assert any(isinstance(message, Statements) for message in wire.said)


def test_the_own_device_row_goes_to_everyone() -> None:
    """A change of the device row is introduced on every link."""
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1)
    wire.run()
    assert wire.sides[0].exchange.own_device_changed() == [Introduce(1)]


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (Hello((2, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x"), "incompatible"),
        (Hello((0, 9), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x"), "incompatible"),
        (Hello((1, 9), b"k" * 16, LIFE, {}, b"m" * 32, bytes(32), 0, "x"), "other_library"),
        (Ping(), "out_of_turn"),
    ],
)
def test_a_greeting_that_cannot_be_answered_ends_the_link(hello: Message, code: str) -> None:
    """Another major version, another library, a past that we forgot and no hello are named."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    commands = side.exchange.received(1, hello, 10, 0, 0)
    assert [c.code for c in commands if isinstance(c, Close)] == [code]


def test_statements_ahead_of_a_hello_are_looked_at() -> None:
    """Who takes one of the two for no member says why before anything else."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=False)
    said = Statements(())
    assert side.exchange.received(1, said, 10, 0, 0) == [Apply(1, said, 10)]


def test_a_second_hello_ends_the_link() -> None:
    """Hello comes once."""
    side = Side(A)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    side.exchange.received(1, hello, 10, 0, 0)
    (close,) = side.exchange.received(1, hello, 10, 0, 0)
    assert isinstance(close, Close)


def test_words_from_a_gone_link_mean_nothing() -> None:
    """A message or an applied batch of a link that is down changes nothing."""
    side = Side(A)
    assert side.exchange.received(9, Ping(), 10, 0, 0) == []
    batch = StateBatch(B, LIFE, 0, 5, 5, 5, ())
    assert side.exchange.applied(Apply(9, batch, 10), 0, used=True) == []
    assert side.exchange.applied(Apply(9, Statements(()), 10), 0, used=True) == []


@pytest.mark.parametrize("message", [Compare((Range(b"", b""),)), Compared(())])
def test_comparisons_are_the_business_of_the_shell(message: Compare | Compared) -> None:
    """Nothing is decided here: they are handed on with their size."""
    side = Side(A)
    greeted(side, B)
    assert side.exchange.received(1, message, 7, 0, 0) == [Reconcile(1, message, 7)]


def test_a_goodbye_is_noted_and_a_pong_is_not() -> None:
    """Why a peer left can be read, but not if it is there; a pong only shows that it lives."""
    side = Side(A)
    greeted(side, B)
    assert side.exchange.received(1, Pong(), 10, 0, 0) == []
    (note,) = side.exchange.received(1, Bye("stop", "why"), 10, 0, 0)
    assert note == Note("peer_left", {"device": B, "why": "why"})
    (note,) = side.exchange.received(1, Bye("crossed", "why"), 10, 0, 0)
    assert note == Note("link_closed", {"device": B, "code": "crossed"})


def test_a_silent_peer_is_asked_and_then_left() -> None:
    """After a while of silence a ping goes out, after a longer one the link ends."""
    a, b = Side(A), Side(B)
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    wire.run(PING_S * 3)
    assert a.closed == []
    assert any(isinstance(message, Ping) for message in wire.said)
    wire.links.clear()
    wire.run(SILENT_S + 1)
    assert (1, "silent") in a.closed


def test_a_peer_without_a_hello_is_left() -> None:
    """Who proves a key and then says nothing has ten seconds."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=False)
    assert side.exchange.next_tick(0) == HELLO_S
    (close,) = side.exchange.tick(HELLO_S)
    assert isinstance(close, Close)


def test_of_two_crossed_links_both_sides_keep_the_same() -> None:
    """When both dial at once, the link that the lesser id dialled stays on both sides."""
    a, b = Side(A), Side(B)
    wire = Wire(a, b)
    wire.connect(1, 0, 1)
    wire.connect(0, 1, 2)
    assert list(a.exchange.peers) == list(b.exchange.peers) == [2]
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1, 1)
    wire.connect(1, 0, 2)
    assert list(wire.sides[0].exchange.peers) == list(wire.sides[1].exchange.peers) == [1]


def test_a_new_link_replaces_a_half_dead_one() -> None:
    """Long after the first, or from the same dialler, a second link means the first is dead."""
    for dialed, later in ((True, 0.0), (False, CROSSED_S + 1)):
        side = Side(B)
        side.exchange.link_up(1, A, "wire:1", 0, 0, dialed=True)
        side.exchange.link_up(2, A, "wire:1", later, 0, dialed=dialed)
        assert list(side.exchange.peers) == [2]


def test_an_exchange_without_holdings_is_our_own_bug() -> None:
    """What is held has to be told first."""
    with pytest.raises(RuntimeError):
        Exchange(A, LIBRARY, {}, "test").link_up(1, B, "wire:1", 0, 0, dialed=True)


def test_a_change_between_two_hellos_is_told() -> None:
    """What changed after our hello left, and before theirs came, is sent with all positions."""
    side = Side(A, owned={A: 1})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    sent = side.holdings().vectors_digest()
    side.owned[A] = 2
    side.exchange.ours_changed(side.holdings(), 0.0)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, sent, 0, "x")
    commands = side.exchange.received(1, hello, 10, 0, 0)
    told = [c.message for c in commands if isinstance(c, Send)]
    assert Positions(side.holdings().vectors, whole=True) in told


def test_who_says_what_it_has_heard_of_us_is_told_who_we_are_then() -> None:
    """Its answer, or the end of the time that it has for that, comes before our own row."""
    for answers in (True, False):
        side = Side(A, owned={A: 9})
        held = Vectors({A: OwnedPosition(LIFE, 5)})
        assert Introduce(1) not in greeted(side, B, 1, held, version=ANSWERS)
        batch = StateBatch(A, LIFE, 5, 5, 5, 5, ())
        if answers:
            commands = side.exchange.applied(Apply(1, batch, 10), 0.1, used=False)
        else:
            commands = side.exchange.tick(ANSWER_S)
        assert Introduce(1) in commands


def test_a_vanished_owner_is_no_news() -> None:
    """Positions that only lost an entry lead to no announcement, and to no busy loop."""
    side = Side(A, owned={A: 1, B: 1})
    side.exchange.tick(1.0)
    del side.owned[B]
    side.exchange.ours_changed(side.holdings(), 2.0)
    assert side.exchange.next_tick(2.0) == 2.0 + PING_S


def test_a_peer_that_was_told_to_go_is_left_alone() -> None:
    """After a close nothing more is asked of a peer, nor heard, while its link still stands."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    side.exchange.tick(HELLO_S)
    assert side.exchange.tick(HELLO_S * 2) == []
    assert side.exchange.received(1, Ping(), 10, HELLO_S * 2, 0) == []
    assert side.exchange.next_tick(HELLO_S * 2) == HELLO_S * 2 + PING_S


def test_a_batch_that_was_read_for_a_gone_link_is_forgotten() -> None:
    """A read that ends after its link did sends nothing."""
    assert Side(A).exchange.loaded(1, Key(Stream.STATE, A), Read(5, 5, b"frame", 5)) == []


def test_a_new_link_has_time_for_its_hello() -> None:
    """Before its ten seconds are over nothing is said of a missing hello."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=False)
    assert side.exchange.tick(HELLO_S / 2) == []


def test_who_relayed_what_its_owner_never_signed_is_asked_no_more() -> None:
    """Rows of an owner are not fetched from a device that forged them."""
    side = Side(A)
    greeted(side, B)
    side.distrust(B, Key(Stream.STATE, C), "forged", 0.0)
    ahead = Positions(Vectors({C: OwnedPosition(LIFE, 9)}), whole=True)
    commands = side.exchange.received(1, ahead, 10, 0, 0)
    assert Send(1, PullState(C, LIFE, 0)) not in commands


def test_a_relay_that_has_no_more_is_not_heard_where_others_have() -> None:
    """What it sent is credited, and not looked at."""
    side = Side(A, owned={C: 7}, short=frozenset((C,)))
    greeted(side, B, 1, Vectors({C: OwnedPosition(LIFE, 7)}))
    greeted(side, C, 2, Vectors({C: OwnedPosition(LIFE, 8)}))
    nothing = StateBatch(C, LIFE, 7, 7, 7, 7, (), b"word")
    assert side.exchange.received(1, nothing, 5, 0, 0) == [Send(1, Credit(5))]


@pytest.mark.parametrize(
    "message",
    [
        Credit(1),
        Positions(Vectors({at.to_bytes(16, "big"): NOWHERE for at in range(65_537)})),
        Positions(Vectors({at.to_bytes(16, "big"): NOWHERE for at in range(65_536)}), whole=True),
    ],
)
def test_who_makes_us_hold_what_was_never_sent_is_left(message: Message) -> None:
    """More credits than frames, or more positions than devices can have, or had, end the link."""
    side = Side(A)
    greeted(side, B)
    side.exchange.received(1, Positions(Vectors({C: NOWHERE}), whole=True), 10, 0, 0)
    (close,) = side.exchange.received(1, message, 10, 0, 0)
    assert isinstance(close, Close)


def test_a_peer_may_not_ask_for_streams_without_end() -> None:
    """More streams than a library can have end the link."""
    side = Side(A)
    side.owned |= {at.to_bytes(16, "big"): 1 for at in range(MAX_STREAMS)}
    side.exchange.ours_changed(side.holdings(), 0.0)
    greeted(side, B)
    for at in range(MAX_STREAMS):
        side.exchange.received(1, PullState(at.to_bytes(16, "big"), LIFE, 0), 10, 0, 0)
    (close,) = side.exchange.received(1, PullState(A, LIFE, 0), 10, 0, 0)
    assert isinstance(close, Close)


def test_a_device_that_was_cloned_talks_with_nobody() -> None:
    """Its link ends with the reason, before a word is said."""
    side = Side(A)
    side.exchange.ours_changed(replace(side.holdings(), life=CLONED), 0.0)
    (close,) = side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    assert isinstance(close, Close)
    assert close.code == "cloned"
    assert side.exchange.peers == {}


def test_a_new_incarnation_of_ours_is_another_life() -> None:
    """The shell tells peers of it from the beginning of a session on."""
    side = Side(A)
    same = side.holdings()
    assert side.exchange.lives_on(same)
    newer = OwnedPosition(Incarnation(2, b"n" * 8), 0)
    later = replace(same, vectors=Vectors({A: newer}, {}))
    assert not side.exchange.lives_on(later)
    assert side.exchange.lives_on(replace(same, vectors=Vectors({}, {})))
    assert Exchange(A, LIBRARY, {}, "x").lives_on(later)


def test_who_breaks_a_rule_is_not_heard_again_at_once() -> None:
    """Its next connection ends before anything is said, for longer each time; others are heard."""
    side = Side(A)
    hello = side.exchange.link_up(1, B, "wire:1", 0.0, 0, dialed=False)
    assert [type(command) for command in hello] == [Send]
    side.exchange.link_down(1, 0.0)
    side.exchange.broke_a_rule(B, 0.0)
    (refused,) = side.exchange.link_up(2, B, "wire:1", 0.5, 0, dialed=False)
    assert isinstance(refused, Close)
    assert refused.code == "resting"
    assert isinstance(side.exchange.link_up(3, C, "wire:1", 0.5, 0, dialed=False)[0], Send)
    assert isinstance(side.exchange.link_up(4, B, "wire:1", 1.0, 0, dialed=False)[0], Send)


def test_what_is_held_against_peers_can_be_shown() -> None:
    """Who forged something, and who says that it holds more than it gives; suspects are no liars."""
    side = Side(A)
    greeted(side, B)
    side.suspect(B, Key(Stream.STATE, A), 0.0)
    side.distrust(B, Key(Stream.STATE, C), "forged", 0.0)
    ((about, found),) = side.exchange.fetching.trust.distrusted.items()
    assert (about, found.why) == ((B, Key(Stream.STATE, C)), "forged")
    assert side.exchange.fetching.promises.withheld == set()
    batch = StateBatch(C, LIFE, 0, 1, 1, 1, ())
    assert side.exchange.received(1, batch, 10, 0.0, 0) == [Send(1, Credit(10))]


def test_the_state_of_records_is_asked_for_where_the_log_cannot_go_on() -> None:
    """What was asked for is applied, and credited; what was not is credited alone."""
    side, feed = Side(A), b"f" * 44
    side.exchange.ours_changed(replace(side.holdings(), forgotten={feed: 1}), 0.0)
    greeted(side, B, version=(1, 1))
    told = Positions(Vectors({}, {feed: FeedPosition(1, 1)}), whole=True)
    assert Send(1, PullRecords(b"")) in side.exchange.received(1, told, 10, 0, 0)
    other = Records(b"u" * 16 + b"tag", {}, (), done=True)
    assert side.exchange.received(1, other, 7, 0, 0) == [Send(1, Credit(7))]
    batch = Records(b"", {feed: 1}, (), done=True)
    (apply,) = side.exchange.received(1, batch, 9, 0, 0)
    assert apply == Apply(1, batch, 9)
    assert isinstance(apply, Apply)
    assert side.exchange.applied(apply, 0, used=True) == [Send(1, Credit(9))]
    assert side.exchange.applied(apply, 0, used=False) == [Send(1, Credit(9))]
    gone = replace(apply, link=2)
    assert side.exchange.applied(gone, 0, used=False) == []
    side.exchange.tick(1.0)
    assert side.exchange.next_tick(1.0) <= STALLED_S


def test_a_message_of_a_later_version_is_noted_alone() -> None:
    """Neither an answer nor an end."""
    side = Side(A)
    greeted(side, B, version=(1, 9))
    about = {"device": B, "kind": 99, "count": 1}
    assert side.exchange.received(1, Unknown(99), 10, 0.0, 0) == [Note("unknown_message", about)]


def test_who_is_too_old_for_something_is_told_when_all_else_is_done() -> None:
    """By the last message on its link, as that alone has words."""
    side = Side(A)
    greeted(side, B)
    side.exchange.peers[1].beyond.add(Key(Stream.LOG, b"f" * 44))
    assert side.exchange.next_tick(0.0) == QUIET_S
    assert side.exchange.tick(1.0) == [Close(1, "upgrade_needed", UPGRADE)]


def test_a_peer_that_repeats_our_word_by_its_name_is_answered_at_once() -> None:
    """What it was sent is acknowledged, and it is told what is new of us from then on."""
    side, answer = Side(A, owned={A: 5}), StateBatch(A, LIFE, 5, 5, 5, 5, ())
    greeted(side, B, 1, Vectors({A: OwnedPosition(LIFE, 5)}), version=ANSWERS)
    assert Send(1, Credit(10)) in side.exchange.received(1, answer, 10, 0.1, 0)
    assert side.exchange.own_device_changed() == [Introduce(1)]
