"""How long something that went wrong is left alone."""

from __future__ import annotations

import math

from leaderless.protocol.patience import FORGOTTEN_S, Rests


def test_pauses_double_up_to_the_longest() -> None:
    """Each of them begins when it went wrong."""
    rests: Rests[str] = Rests(1.0, 5.0)
    ends = []
    now = 100.0
    for _ in range(4):
        now = rests.add("a", now)
        ends.append(now)
    assert ends == [101.0, 103.0, 107.0, 112.0]
    assert (rests.until("a"), rests.length_s("a")) == (112.0, 5.0)


def test_what_went_well_begins_anew() -> None:
    """And what never went wrong does not rest."""
    rests: Rests[str] = Rests(1.0, 5.0)
    rests.add("a", 0.0)
    rests.clear("a")
    rests.clear("b")
    assert (rests.until("a"), rests.length_s("a")) == (-math.inf, 0.0)
    assert rests.add("a", 50.0) == 51.0


def test_what_is_long_over_is_forgotten() -> None:
    """A pause after a long time is the shortest; others have no part in it."""
    rests: Rests[str] = Rests(1.0, 5.0)
    rests.add("b", 0.0)
    rests.add("a", 0.0)
    rests.add("a", 1.0)
    assert rests.add("a", 3.0 + FORGOTTEN_S + 1.0) == FORGOTTEN_S + 5.0
    assert rests.length_s("b") == 1.0
