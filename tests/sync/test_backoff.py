"""When an address is called again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.sync.backoff import Backoff


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_outside_its_bounds(failures: int, chance: float) -> None:
    """However often a call failed, it comes after half the least wait and before the most."""
    assert 0.5 <= Backoff(1.0, 300.0).wait_s(failures, chance) <= 300.0


@pytest.mark.parametrize(("failures", "wait_s"), [(0, 1), (1, 2), (3, 8), (8, 256), (9, 300)])
def test_waits_double_up_to_the_most(failures: int, wait_s: float) -> None:
    """Each failure in a row doubles the wait, until the longest is reached."""
    assert Backoff(1.0, 300.0).wait_s(failures, 1.0) == wait_s


@pytest.mark.parametrize(("chance", "wait_s"), [(0.0, 4), (0.5, 6), (1.0, 8)])
def test_chance_spreads_a_wait_over_its_upper_half(chance: float, wait_s: float) -> None:
    """Devices that lost each other at one moment do not call again at one moment."""
    assert Backoff(1.0, 300.0).wait_s(3, chance) == wait_s
