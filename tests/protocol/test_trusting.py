"""Whom a device believes, over an imaginary wire."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol.commands import (
    Apply,
    Key,
    Send,
    Stream,
)
from leaderless.protocol.messages import (
    Credit,
    FeedPosition,
    OwnedPosition,
    Positions,
    PullLog,
    PullRecords,
    PullState,
    StateBatch,
    Vectors,
)
from leaderless.protocol.trusting import (
    LEAST_DISAGREED_S,
    LEAST_DISTRUST_S,
    MOST_DISAGREED_S,
    Trust,
)
from registry.changes import feed_id
from tests.protocol.wire import (
    LIFE,
    A,
    B,
    C,
    Side,
    asked_by,
    behind,
    greeted,
    until,
)

FAR = Key(Stream.STATE, C)


def test_who_relayed_forged_rows_is_asked_for_them_no_more() -> None:
    """A copy that its owner had not signed is fetched from another source alone."""
    side = Side(A)
    side.distrust(B, Key(Stream.STATE, C), "forged", 0.0)
    assert Send(1, PullState(C, LIFE, 0)) not in behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))


def test_forged_data_is_asked_for_again_over_a_new_connection_and_not_at_once() -> None:
    """As long as the connection lasts its sender is not asked again; on the next, after a pause."""
    side, ahead = Side(A), Vectors({C: OwnedPosition(LIFE, 9)})
    behind(side, ahead)
    for _ in range(2):
        side.distrust(B, FAR, "forged", 0.0)
    for now in (LEAST_DISTRUST_S + 1, 3_600.0):
        assert not asked_by(side.exchange.tick(now))
    side.exchange.link_down(1, 3_600.0)
    side.distrust(B, FAR, "forged", 3_600.0)
    greeted(side, B, 2, ahead, 3_601.0)
    assert not asked_by(until(side, 3_600.0 + LEAST_DISTRUST_S - 1, 3_601.0))
    asked = asked_by(until(side, 3_600.0 + LEAST_DISTRUST_S + 1, 3_601.0))
    assert asked == [PullState(C, LIFE, 0)]
    assert side.exchange.fetching.trust.distrusted == {}


def test_what_is_distrusted_is_not_looked_at() -> None:
    """Whoever forged rows of an owner can send more of them: they are credited and passed over."""
    side = Side(A)
    behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))
    batch = StateBatch(C, LIFE, 0, 9, 9, 9, ())
    assert side.exchange.received(1, batch, 10, 0.0, 0) == [Apply(1, batch, 10)]
    side.distrust(B, FAR, "forged", 0.0)
    assert side.exchange.received(1, batch, 10, 0.0, 0) == [Send(1, Credit(10))]


def test_what_did_not_fit_is_asked_for_again_after_a_while_on_the_same_link() -> None:
    """It may be that the relay was never told of a deletion: a whole copy from it shows that."""
    side = Side(A)
    behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))
    side.distrust(B, FAR, "unfit", 0.0, only_now=True)
    batch = StateBatch(C, LIFE, 0, 9, 9, 9, ())
    assert side.exchange.received(1, batch, 10, 1.0, 0) == [Send(1, Credit(10))]
    assert not asked_by(side.exchange.tick(LEAST_DISTRUST_S - 1))
    asked = asked_by(until(side, LEAST_DISTRUST_S + 1, LEAST_DISTRUST_S - 1))
    assert asked == [PullState(C, LIFE, 0)]


def test_what_may_have_been_forged_over_an_earlier_connection_is_asked_for_again() -> None:
    """Only who does it twice on this one is not asked again while that lasts."""
    side = Side(A, owned={C: 5})
    behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))
    side.distrust(B, FAR, "forged", 0.0)
    asked = asked_by(until(side, LEAST_DISTRUST_S + 1))
    assert asked == [PullState(C, LIFE, 5)]


def test_a_device_that_forged_its_own_rows_is_not_asked_for_them() -> None:
    """Its own streams are subscribed to like others': over a new connection, after a pause."""
    side = Side(A)
    side.distrust(B, Key(Stream.STATE, B), "forged", 0.0)
    commands = behind(side, Vectors({B: OwnedPosition(LIFE, 9)}))
    assert asked_by(commands) == [PullLog(feed_id(B, LIFE), 0)]
    assert PullState(B, LIFE, 0) in asked_by(until(side, LEAST_DISTRUST_S))


def test_a_suspect_is_heard_when_it_is_asked_until_a_copy_is_proved() -> None:
    """Then nobody is suspected of it any more."""
    side, trust = Side(A), Trust()
    behind(side, Vectors({C: OwnedPosition(LIFE, 9)}))
    sender = side.exchange.peers[1]
    trust.suspect(B, FAR)
    assert [trust.hears(sender, FAR, 0.0, asked=asked) for asked in (True, False)] == [True, False]
    trust.clear(lambda _: False)
    assert not trust.hears(sender, FAR, 0.0, asked=False)
    trust.clear(lambda key: key == FAR)
    assert trust.hears(sender, FAR, 0.0, asked=False)


def test_whose_state_does_not_fit_is_left_alone_for_longer_each_time() -> None:
    """What it says of anything else is taken as before."""
    trust = Trust()
    assert trust.hears_records_at(B) < 0
    trust.disagreed(B, 0.0)
    trust.disagreed(B, LEAST_DISAGREED_S)
    assert trust.hears_records_at(B) == 3 * LEAST_DISAGREED_S
    assert trust.distrusted == {}


def test_whose_state_was_altered_is_not_asked_for_it_for_an_hour() -> None:
    """Until when is told to people."""
    trust = Trust()
    trust.disagreed(B, 5.0)
    trust.altered_records(B, 5.0)
    assert trust.hears_records_at(B) == trust.altered[B] == 5.0 + MOST_DISAGREED_S


def test_that_there_is_no_more_is_not_heard_while_somebody_has_more() -> None:
    """A relay may show an old word of the owner, which would take the place of what is here."""
    side = Side(A, owned={C: 7}, short=frozenset((C,)))
    greeted(side, B, 1, Vectors({C: OwnedPosition(LIFE, 7)}), version=(1, 1))
    nothing = StateBatch(C, LIFE, 7, 7, 7, 7, (), b"word")
    apply = Apply(1, nothing, 5)
    assert side.exchange.received(1, nothing, 5, 0, 0) == [apply]
    greeted(side, C, 2, Vectors({C: OwnedPosition(LIFE, 8)}), version=(1, 1))
    assert side.exchange.received(1, nothing, 5, 0, 0) == [Send(1, Credit(5))]
    for other in (replace(nothing, hi=8), replace(nothing, owner=B)):
        assert side.exchange.received(1, other, 5, 0, 0) == [Apply(1, other, 5)]
    assert side.exchange.received(2, nothing, 5, 0, 0) == [Apply(2, nothing, 5)]


def test_who_told_what_cannot_be_of_records_is_not_asked_for_them() -> None:
    """For long: one memory says so for rows, commits and records."""
    side, feed = Side(A), b"f" * 44
    side.exchange.ours_changed(replace(side.holdings(), forgotten={feed: 1}), 0.0)
    side.exchange.fetching.trust.disagreed(B, 0)
    greeted(side, B, version=(1, 1))
    told = Positions(Vectors({}, {feed: FeedPosition(1, 1)}), whole=True)
    assert Send(1, PullRecords(b"")) not in side.exchange.received(1, told, 10, 0, 0)
