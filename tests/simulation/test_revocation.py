"""A device that is revoked in the middle of a plan."""

from __future__ import annotations

import pytest

from scripts.simulation.plan import Step, plan_of
from scripts.simulation.revocation import with_revoke
from scripts.simulation.world import simulate


def test_some_plans_have_one_revoke() -> None:
    """Only where devices are to spare; the rest of the plan is what it would be."""
    steps = [Step(0, "own", 0, (0, 0, 0, 0))] * 100
    found = [with_revoke(steps, seed, 5) for seed in range(40)]
    counts = [sum(step.kind == "revoke" for step in changed) for changed in found]
    assert set(counts) == {0, 1}
    assert all(sum(a != b for a, b in zip(steps, made, strict=True)) <= 1 for made in found)
    assert with_revoke(steps, counts.index(1), 3) == steps


@pytest.mark.parametrize("seed", [12, 41])
def test_the_others_agree_after_a_revoke(seed: int) -> None:
    """Nothing is violated, and it happened."""
    result = simulate(plan_of(seed, 300))
    assert result.violation is None
    assert result.counts["revoke"] == 1
