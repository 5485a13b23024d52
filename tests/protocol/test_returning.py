"""When a device that was restored goes on."""

from __future__ import annotations

from leaderless.protocol.commands import Apply, Command, GoOn, Key, Send, Stream
from leaderless.protocol.messages import OwnedPosition, PullState, StateBatch, Vectors
from leaderless.protocol.returning import RESTORING, WAIT_S
from registry.changes import Incarnation
from tests.protocol.wire import LIFE, A, B, C, Side, asked_by, behind, greeted, until

LATER = Incarnation(2, b"n" * 8)


def at(rev: int, life: Incarnation = LIFE) -> Vectors:
    """Return the positions of who holds the rows of A up to a rev."""
    return Vectors({A: OwnedPosition(life, rev)})


def restoring(side: Side, now: float = 0.0) -> list[Command]:
    """Let a side take its rows back; return what it does."""
    side.life = RESTORING
    return side.exchange.ours_changed(side.holdings(), now)


def test_a_device_that_was_not_restored_does_not_go_on() -> None:
    """It has never stopped."""
    side = Side(A, owned={A: 5})
    assert GoOn() not in side.exchange.ours_changed(side.holdings(), 0.0)


def test_it_goes_on_once_all_members_have_said_that_they_know_no_more() -> None:
    """Those that are connected and have not said what they hold are waited for, and who is away."""
    side = Side(A, owned={A: 5}, others=frozenset([B, C]))
    assert GoOn() not in restoring(side)
    greeted(side, B, 1)
    assert GoOn() not in greeted(side, C, 2, at(5))
    assert GoOn() in greeted(side, B, 3, at(5), now=20.0)


def test_it_waits_for_who_is_away_only_so_long() -> None:
    """And is told of it in time."""
    side = Side(A, owned={A: 5}, others=frozenset([B]))
    assert GoOn() not in restoring(side)
    assert GoOn() not in until(side, WAIT_S - 0.01)
    assert GoOn() in until(side, WAIT_S + 0.01, WAIT_S - 0.01)


def test_it_waits_for_who_knows_more_and_a_while_longer() -> None:
    """Its source may be gone for a moment in the middle."""
    side = Side(A, owned={A: 5}, others=frozenset([B, C]))
    restoring(side)
    commands = greeted(side, B, 1, at(9))
    assert PullState(A, LIFE, 0) in asked_by(commands)
    now = WAIT_S - 1.0
    assert GoOn() not in side.exchange.tick(now)
    side.exchange.link_down(1, now)
    assert GoOn() not in until(side, now + WAIT_S - 0.01, now)
    assert GoOn() in until(side, now + WAIT_S + 0.01, now + WAIT_S - 0.01)


def test_a_later_life_is_more_and_an_earlier_one_is_not() -> None:
    """Whatever its revs are."""
    for life, more in [(LATER, True), (Incarnation(0, b"n" * 8), False)]:
        side = Side(A, owned={A: 5}, others=frozenset([B]))
        restoring(side)
        assert (GoOn() not in greeted(side, B, 1, at(9, life))) is more


def test_who_was_found_to_give_nothing_is_not_waited_for() -> None:
    """What it says of itself counts no more."""
    side = Side(A, owned={A: 5}, others=frozenset([B]))
    restoring(side)
    greeted(side, B, 1, at(9))
    done: list[Command] = []
    now = 0.0
    while GoOn() not in done and now < 3 * WAIT_S:
        empty = StateBatch(A, LIFE, 0, 0, 0, 0, ())
        side.exchange.applied(Apply(1, empty, 10), now, used=False)
        now = side.exchange.next_tick(now)
        done += side.exchange.tick(now)
    assert GoOn() in done


def test_who_gives_nothing_and_connects_again_and_again_is_not_waited_for_without_end() -> None:
    """What it was found to do is remembered whatever the link."""
    side = Side(A, owned={A: 5}, others=frozenset([B]))
    restoring(side)
    done: list[Command] = []
    now, link = 0.0, 0
    while GoOn() not in done and now < 10 * WAIT_S:
        link += 1
        done += greeted(side, B, link, at(9), now=now)
        done += until(side, now + WAIT_S - 1.0, now)
        now += WAIT_S - 1.0
        done += side.exchange.link_down(link, now)
    assert GoOn() in done


def test_a_device_whose_own_row_is_not_known_asks_nothing() -> None:
    """Nobody can know more of it than that."""
    side = Side(A)
    del side.owned[A]
    side.life = RESTORING
    assert GoOn() in side.exchange.ours_changed(side.holdings(), 0.0)
    side.owned[A] = 0
    side.exchange.ours_changed(side.holdings(), 0.0)
    assert not [
        command
        for command in greeted(side, B, 1, at(0))
        if isinstance(command, Send) and command.message == PullState(A, LIFE, 0)
    ]


# --- whom it asks --------------------------------------------------------------------------------


def test_rows_at_a_rev_of_ours_that_was_used_again_are_asked_for() -> None:
    """Of who is level with that rev, and not of who holds more."""
    side = Side(A, owned={A: 8}, life=RESTORING, disputed=5)
    side.exchange.ours_changed(side.holdings(), 0.0)
    assert PullState(A, LIFE, 0) not in asked_by(behind(side, Vectors({A: OwnedPosition(LIFE, 8)})))
    found = asked_by(greeted(side, C, 2, Vectors({A: OwnedPosition(LIFE, 5)})))
    assert PullState(A, LIFE, 0) in found


def test_who_gives_nothing_of_what_it_says_it_knows_of_us_is_counted_on_no_more() -> None:
    """After some questions in vain."""
    side, key = Side(A, owned={A: 5}), Key(Stream.STATE, A)
    behind(side, Vectors({A: OwnedPosition(Incarnation(9, bytes(8)), 8)}))
    (peer,) = side.exchange.peers.values()
    assert side.exchange.fetching.may_bring(peer, key, 0.0)
    now = 0.0
    while side.exchange.fetching.may_bring(peer, key, now) and now < 60.0:
        batch = StateBatch(A, Incarnation(9, bytes(8)), 0, 0, 0, 0, ())
        side.exchange.applied(Apply(1, batch, 10), now, used=False)
        now = side.exchange.next_tick(now)
        side.exchange.tick(now)
    assert now < 60.0


def test_parts_of_our_own_rows_are_no_sign_that_all_of_them_come() -> None:
    """Only that we hold more then: who gives parts again and again is counted on no more."""
    side, key = Side(A, owned={A: 5}), Key(Stream.STATE, A)
    behind(side, Vectors({A: OwnedPosition(LIFE, 8)}))
    (peer,) = side.exchange.peers.values()
    now = 0.0
    while side.exchange.fetching.may_bring(peer, key, now) and now < 60.0:
        batch = StateBatch(A, LIFE, 0, 8, 8, 8, ())
        side.exchange.applied(Apply(1, batch, 10), now, used=True)
        now = side.exchange.next_tick(now)
        side.exchange.tick(now)
    assert now < 60.0


def test_who_forged_rows_of_ours_is_not_counted_on() -> None:
    """On this connection it is not asked again."""
    side, key = Side(A, owned={A: 5}), Key(Stream.STATE, A)
    behind(side, Vectors({A: OwnedPosition(LIFE, 8)}))
    (peer,) = side.exchange.peers.values()
    side.distrust(B, key, "forged", 0.0)
    assert not side.exchange.fetching.may_bring(peer, key, 1.0)
