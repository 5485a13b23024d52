"""What is asked of others about this device's own rows, after a restore."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol.commands import Apply, Key, Note, Stream
from leaderless.protocol.messages import (
    OwnedPosition,
    Pong,
    Positions,
    PullState,
    StateBatch,
    Vectors,
)
from leaderless.protocol.returning import CLONED, RESTORING
from tests.protocol.wire import LIFE, A, B, Side, asked_by, greeted


def test_who_holds_no_more_than_we_do_is_not_named_for_giving_nothing() -> None:
    """That it may have the rows of another life is a guess; it is not waited for without end."""
    side, key, done = Side(A, owned={A: 5}, life=RESTORING, disputed=5), Key(Stream.STATE, A), []
    side.exchange.ours_changed(side.holdings(), 0.0)
    done += greeted(side, B, 1, Vectors({A: OwnedPosition(LIFE, 5)}))
    assert PullState(A, LIFE, 0) in asked_by(done)
    (peer,) = side.exchange.peers.values()
    now = 0.0
    while now < 90.0:
        answer = Apply(1, StateBatch(A, LIFE, 0, 5, 5, 5, ()), 10)
        done += side.exchange.applied(answer, now, used=False)
        side.exchange.received(1, Pong(), 10, now, 0)
        now = side.exchange.next_tick(now)
        done += side.exchange.tick(now)
    assert not side.exchange.fetching.may_bring(peer, key, now)
    assert Note("withholds", {"device": B, "of": A}) not in done


def test_a_clone_asks_nobody_for_rows_that_it_would_not_take() -> None:
    """On a connection that is there still: who gives them in vain would be said to withhold them."""
    side = Side(A, owned={A: 5})
    greeted(side, B, 1, Vectors({A: OwnedPosition(LIFE, 5)}))
    side.exchange.ours_changed(replace(side.holdings(), life=CLONED), 1.0)
    ahead = Positions(Vectors({A: OwnedPosition(LIFE, 9)}), whole=True)
    assert PullState(A, LIFE, 0) not in asked_by(side.exchange.received(1, ahead, 10, 1.0, 0))
