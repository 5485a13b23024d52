"""What is in doubt: feeds are read from their start, rows from who may have had no part in it."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol.commands import Apply, Key, Send, Stream
from leaderless.protocol.fetching import LEAST_REST_S, STALLED_S
from leaderless.protocol.messages import (
    FeedPosition,
    LogBatch,
    OwnedPosition,
    PullLog,
    PullState,
    SignedCommit,
    StateBatch,
    Vectors,
)
from registry.changes import feed_id
from tests.protocol.wire import LIFE, A, B, C, Side, asked_by, behind, greeted, until


def test_a_feed_in_doubt_is_read_from_its_start() -> None:
    """Of whoever holds some of it, and of each only once in a while."""
    side = Side(A, feeds={feed_id(C, LIFE): 5})
    feed = feed_id(C, LIFE)
    holdings = replace(side.holdings(), doubted=frozenset([feed]))
    side.exchange.ours_changed(holdings, 0.0)
    again = Send(1, PullLog(feed, 0))
    assert again in behind(side, Vectors({}, {feed: FeedPosition(5, 5)}))
    batch = LogBatch(feed, 0, 1, (SignedCommit(b"", bytes(64), b""),))
    side.exchange.applied(Apply(1, batch, 10), 0.0, used=True)
    assert again not in side.exchange.ours_changed(holdings, 1.0)
    assert again in side.exchange.tick(STALLED_S + 1)


def test_of_a_feed_in_doubt_who_holds_more_is_asked_first() -> None:
    """What does not follow from what is here came from there, and shows where the fork is."""
    feed = feed_id(bytes([90]) * 16, LIFE)
    side = Side(A, feeds={feed: 5})
    behind(side, Vectors({}, {feed: FeedPosition(5, 5)}))
    greeted(side, C, 2, Vectors({}, {feed: FeedPosition(6, 6)}))
    doubtful = replace(side.holdings(), doubted=frozenset([feed]))
    commands = side.exchange.ours_changed(doubtful, 0.1)
    assert Send(2, PullLog(feed, 0)) in commands
    assert Send(1, PullLog(feed, 0)) not in commands


def test_feeds_in_doubt_are_asked_for_in_one_order_in_every_process() -> None:
    """What a device says does not hang on how a process happens to order its sets."""
    feeds = [feed_id(bytes([at]) * 16, LIFE) for at in range(100, 120)]
    side = Side(A, feeds=dict.fromkeys(feeds, 5))
    behind(side, Vectors({}, dict.fromkeys(feeds, FeedPosition(5, 5))))
    doubtful = replace(side.holdings(), doubted=frozenset(feeds))
    commands = side.exchange.ours_changed(doubtful, 0.1)
    asked = [item for item in commands if isinstance(item, Send)]
    assert [item for item in asked if isinstance(item.message, PullLog)] == [
        Send(1, PullLog(feed, 0)) for feed in feeds
    ]


def test_who_had_no_other_word_is_asked_soon_once_it_is_a_suspect() -> None:
    """That it brought nothing new for what was here says nothing of what it has."""
    side, level = Side(A, owned={C: 9}), Vectors({C: OwnedPosition(LIFE, 9)})
    side.unproved, side.uncovered = {C: "no word"}, frozenset([C])
    side.exchange.ours_changed(side.holdings(), 0.0)
    behind(side, level)
    now, nothing = 0.0, Apply(1, StateBatch(C, LIFE, 9, 9, 9, 9, ()), 10)
    for _ in range(4):
        side.exchange.applied(nothing, now, used=False)
        now = side.exchange.next_tick(now)
        side.exchange.tick(now)
    side.uncovered, side.suspected, side.owned = frozenset(), frozenset([C]), {C: 0}
    side.suspect(B, Key(Stream.STATE, C), now)
    side.exchange.ours_changed(side.holdings(), now)
    assert asked_by(until(side, now + LEAST_REST_S, now)) == [PullState(C, LIFE, 0)]
