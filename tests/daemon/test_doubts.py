"""Whose doubts are looked into, and when."""

from __future__ import annotations

import math

from leaderless.daemon.doubts import MOST_PATIENCE_S, PATIENCE_S, Doubts

A, B = b"a" * 16, b"b" * 16


def test_a_first_doubt_is_looked_into_at_once() -> None:
    """Of all that doubt together, and once."""
    doubts = Doubts()
    assert doubts.next_due() == math.inf
    doubts.add(A)
    doubts.add(None)
    assert doubts.next_due() <= 0.0
    assert (doubts.take(0.0), doubts.take(0.0)) == ({A, None}, frozenset())


def test_who_doubts_without_reason_is_heard_half_as_often_each_time() -> None:
    """Down to once a day; the doubt itself waits and is not dropped."""
    doubts, now, waits = Doubts(), 0.0, []
    for _ in range(10):
        doubts.add(A)
        due = max(now, doubts.next_due())
        waits.append(due - now)
        now = due
        assert doubts.take(now - 1.0) == (frozenset() if waits[-1] else {A})
        doubts.take(now)
        doubts.judge([A], now, were_right=False)
    assert waits[:4] == [0.0, PATIENCE_S, 2 * PATIENCE_S, 4 * PATIENCE_S]
    assert waits[-1] == MOST_PATIENCE_S


def test_others_are_heard_meanwhile() -> None:
    """One peer that is wrong all the time does not make the rest wait."""
    doubts = Doubts()
    doubts.judge([A], 0.0, were_right=False)
    doubts.add(A)
    doubts.add(B)
    assert doubts.take(1.0) == {B}
    assert doubts.next_due() == PATIENCE_S


def test_who_was_right_is_heard_at_once_again() -> None:
    """However often it was wrong before."""
    doubts = Doubts()
    for _ in range(3):
        doubts.judge([A], 0.0, were_right=False)
    doubts.judge([A], 0.0, were_right=True)
    doubts.add(A)
    assert doubts.take(1.0) == {A}
