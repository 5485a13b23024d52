"""What a peer is asked before it is told anything new of us."""

from __future__ import annotations

import pytest

from leaderless.protocol.checkpoint import Checkpoint, name_of
from leaderless.protocol.commands import Apply, GoOn, Introduce, Load, Note, Send
from leaderless.protocol.fetching import STALLED_S
from leaderless.protocol.meeting import ANSWERS
from leaderless.protocol.messages import Credit, Pong, PullState, StateBatch, Vectors
from leaderless.protocol.promising import TIMES
from leaderless.protocol.returning import RESTORING, WAIT_S
from leaderless.protocol.silence import ANSWER_S, PING_S
from registry.changes import Incarnation, StateChange
from tests.protocol.test_returning import at, restoring
from tests.protocol.wire import LIBRARY, LIFE, A, B, C, Side, asked_by, greeted, until


def heard(rev: int) -> Apply:
    """Return what carries the word of A on a rev, from B."""
    return Apply(1, StateBatch(A, LIFE, rev, rev, rev, rev, ()), 10)


def test_who_holds_rows_of_ours_says_first_what_it_has_heard_of_us() -> None:
    """Until then it is not told who we are, nor given any row of ours."""
    side = Side(A, owned={A: 9})
    commands = greeted(side, B, 1, at(5), version=ANSWERS)
    assert PullState(A, LIFE, 5) in asked_by(commands)
    assert Introduce(1) not in commands
    assert side.exchange.own_device_changed() == []
    commands = side.exchange.received(1, PullState(A, LIFE, 5), 10, 0.0, 0)
    assert not [command for command in commands if isinstance(command, Load)]
    commands = side.exchange.applied(heard(5), 0.1, used=False)
    assert Introduce(1) in commands
    assert [command.after for command in commands if isinstance(command, Load)] == [5]
    assert side.exchange.own_device_changed() == [Introduce(1)]


def test_who_holds_all_of_ours_is_not_told_who_we_are() -> None:
    """That is among it; of what comes later it is told."""
    side = Side(A, owned={A: 5})
    commands = greeted(side, B, 1, at(5), version=ANSWERS)
    commands += side.exchange.applied(heard(5), 0.1, used=False)
    assert Introduce(1) not in commands
    assert side.exchange.own_device_changed() == [Introduce(1)]


def test_rows_of_others_are_handed_on_meanwhile() -> None:
    """What a peer has heard of us says nothing of them."""
    side = Side(A, owned={A: 9, C: 7})
    assert Introduce(1) not in greeted(side, B, 1, at(5), version=ANSWERS)
    commands = side.exchange.received(1, PullState(C, LIFE, 0), 10, 0.0, 0)
    assert [command.key.of for command in commands if isinstance(command, Load)] == [C]


def test_who_takes_our_rows_anew_says_what_it_has_heard_of_us_as_well() -> None:
    """It holds no row of this life of ours, and may know our word on more than we remember."""
    side = Side(A, owned={A: 9})
    commands = greeted(side, B, 1, at(0), version=ANSWERS)
    assert PullState(A, LIFE, 0) in asked_by(commands)
    assert Introduce(1) not in commands
    answer = StateBatch(A, LIFE, 0, 0, 0, 0, ())
    assert side.exchange.received(1, answer, 10, 0.1, 0) == [Apply(1, answer, 10)]
    assert Introduce(1) in side.exchange.applied(Apply(1, answer, 10), 0.1, used=False)


def test_who_knows_nothing_of_us_is_told_at_once() -> None:
    """And so is who knows of an earlier life of ours alone, or cannot answer."""
    for positions, version in [(Vectors(), ANSWERS), (at(0), (1, 0)), (at(5), (1, 0))]:
        side = Side(A, owned={A: 9})
        commands = greeted(side, B, 1, positions, version=version)
        assert Introduce(1) in commands
    side = Side(A, owned={A: 9})
    commands = greeted(side, B, 1, at(5, Incarnation(0, b"n" * 8)), version=ANSWERS)
    assert Introduce(1) in commands


def test_who_may_know_nothing_of_us_is_told_at_once_where_nothing_was_written() -> None:
    """Equal digests of positions leave out who is at the start: the peer may not be able to answer."""
    side = Side(A, owned={A: 0})
    assert Introduce(1) in greeted(side, B, 1, at(0), version=ANSWERS)


def test_who_does_not_answer_is_told_after_a_moment() -> None:
    """A peer that is busy, or was never taught to."""
    side = Side(A, owned={A: 9})
    greeted(side, B, 1, at(5), version=ANSWERS)
    assert Introduce(1) not in until(side, ANSWER_S - 0.01)
    assert Introduce(1) not in side.exchange.tick(ANSWER_S - 0.01)
    assert Introduce(1) in until(side, ANSWER_S + 0.01, ANSWER_S - 0.01)


def test_an_answer_that_is_not_durable_yet_is_waited_for() -> None:
    """However long our disk takes, or the write before it; rows of others are no answer."""
    for owner, waits in [(A, True), (C, False)]:
        side = Side(A, owned={A: 9})
        greeted(side, B, 1, at(5), version=ANSWERS)
        batch = StateBatch(owner, LIFE, 5, 5, 5, 5, ())
        assert side.exchange.received(1, batch, 10, 0.1, 0) == [Apply(1, batch, 10)]
        assert (Introduce(1) not in until(side, PING_S - 1)) is waits
        side.exchange.received(1, Pong(), 10, PING_S, 0)
        assert (Introduce(1) in side.exchange.applied(heard(5), PING_S, used=False)) is waits


def test_what_was_not_asked_is_no_answer() -> None:
    """Rows of ours from the start are asked of one peer at a time; nor does anybody answer twice."""
    side = Side(A, owned={A: 9})
    greeted(side, B, 1, at(5), version=ANSWERS)
    unasked, answer = StateBatch(A, LIFE, 0, 5, 5, 5, ()), StateBatch(A, LIFE, 5, 5, 5, 5, ())
    assert side.exchange.received(1, unasked, 10, 0.1, 0) == [Send(1, Credit(10))]
    assert side.exchange.received(1, answer, 10, 0.1, 0) == [Apply(1, answer, 10)]
    side.exchange.applied(Apply(1, answer, 10), 0.1, used=False)
    assert side.exchange.received(1, answer, 10, 0.2, 0) == [Send(1, Credit(10))]


def test_who_holds_more_of_us_than_we_do_is_asked_for_all_of_it_instead() -> None:
    """However long it takes: what we would tell it might take the place of that."""
    side = Side(A, owned={A: 5})
    commands = greeted(side, B, 1, at(9), version=ANSWERS)
    assert [pull for pull in asked_by(commands) if pull == PullState(A, LIFE, 9)] == []
    assert PullState(A, LIFE, 0) in asked_by(commands)
    assert Introduce(1) not in until(side, PING_S - 1)


@pytest.mark.parametrize("version", [(1, 0), ANSWERS])
def test_who_never_answers_a_restored_device_is_not_waited_for_without_end(
    version: tuple[int, int],
) -> None:
    """One that was never taught to: it hears in the end who we are, and people hear of it."""
    side = Side(A, owned={A: 5}, others=frozenset([B]))
    restoring(side)
    done = greeted(side, B, 1, at(9), version=version)
    now = 0.0
    while GoOn() not in done and now < 10 * STALLED_S:
        now = side.exchange.next_tick(now)
        done += side.exchange.tick(now)
        side.exchange.received(1, Pong(), 10, now, 0)
    assert now < (TIMES + 1) * STALLED_S + WAIT_S
    assert Introduce(1) in done
    assert Note("withholds", {"device": B, "of": A}) in done


def named(side: Side) -> bytes:
    """Return the name of the word of A on what it holds."""
    held = side.holdings()
    (incarnation, rev), proof = held.vectors.owned[A], held.owned[A]
    return name_of(Checkpoint(LIBRARY, A, incarnation, rev, *proof).encode())


def test_who_stands_where_we_do_needs_not_repeat_our_word() -> None:
    """It is told what that is, and an empty answer says that it has the same; nothing is written."""
    side = Side(A, owned={A: 5})
    known = named(side)
    assert PullState(A, LIFE, 5, known) in asked_by(greeted(side, B, 1, at(5), version=ANSWERS))
    commands = side.exchange.received(1, StateBatch(A, LIFE, 5, 5, 5, 5, ()), 10, 0.1, 0)
    assert Send(1, Credit(10)) in commands
    assert not [command for command in commands if isinstance(command, Apply)]
    assert side.exchange.own_device_changed() == [Introduce(1)]


@pytest.mark.parametrize(
    "answer",
    [
        StateBatch(A, LIFE, 5, 5, 5, 5, (), b"word"),
        StateBatch(A, LIFE, 5, 6, 6, 6, ()),
        StateBatch(A, LIFE, 5, 5, 5, 5, (StateChange("tag", A, LIFE, ()),)),
    ],
)
def test_an_answer_that_says_anything_is_looked_at(answer: StateBatch) -> None:
    """Whatever we have asked for."""
    side = Side(A, owned={A: 5})
    greeted(side, B, 1, at(5), version=ANSWERS)
    assert side.exchange.received(1, answer, 10, 0.1, 0) == [Apply(1, answer, 10)]


def test_who_stands_elsewhere_says_our_word_itself() -> None:
    """What it has is another than ours of now; so is an answer without one looked at, and refused."""
    side = Side(A, owned={A: 9})
    assert PullState(A, LIFE, 5) in asked_by(greeted(side, B, 1, at(5), version=ANSWERS))
    answer = StateBatch(A, LIFE, 5, 5, 5, 5, ())
    assert side.exchange.received(1, answer, 10, 0.1, 0) == [Apply(1, answer, 10)]


@pytest.mark.parametrize(("life", "disputed"), [(RESTORING, None), ("", 3)])
def test_who_may_not_know_its_own_word_has_it_said(life: str, disputed: int | None) -> None:
    """Who takes its rows back, and who was told of other rows of its own."""
    side = Side(A, owned={A: 5}, life=life, disputed=disputed)
    assert PullState(A, LIFE, 5) in asked_by(greeted(side, B, 1, at(5), version=ANSWERS))
