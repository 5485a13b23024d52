"""A device that is revoked in the middle of a plan."""

from __future__ import annotations

from dataclasses import replace

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


def test_what_the_revoked_device_alone_has_of_others_may_be_gone() -> None:
    """Ben is put back to a copy without a commit that only anna had heard of, and she is revoked."""
    kinds = [
        ("own", 1, 0),
        ("wait", 0, 0),
        ("partition", 0, 0b1100),
        ("backup", 1, 0),
        ("note", 1, 1),
        ("wait", 0, 0),
        ("partition", 0, 0b1110),
        ("restore", 1, 0),
        ("revoke", 1, 0),
    ]
    gaps = {"restore": 0}  # before anybody else hears of it
    steps = tuple(
        Step(gaps.get(kind, 3_000), kind, who, (number, 0, 0, 0)) for kind, who, number in kinds
    )
    plan = replace(plan_of(1, 0, 4, 4), late=(), latency_ms=(1, 5), clocks=((0, 1.0),) * 4)
    plan = replace(plan, edges=((0, 1), (1, 2), (2, 3)), unknowing=())
    result = simulate(plan.with_steps(steps))
    assert result.violation is None
    assert all(result.counts[kind] for kind in ("note", "restore", "revoke"))


def test_a_revoked_device_may_hold_a_life_of_another_of_which_nobody_hears() -> None:
    """Ben is put back to a copy from before what only anna had heard of, and deletes in its numbers."""
    kinds = [
        ("own", 1, (2, 0, 0, 3)),
        ("wait", 0, (0, 0, 0, 0)),
        ("partition", 0, (0b1100, 0, 0, 0)),
        ("backup", 1, (0, 0, 0, 0)),
        ("own", 1, (2, 0, 0, 6)),
        ("own", 1, (2, 0, 0, 9)),
        ("wait", 0, (0, 0, 0, 0)),
        ("partition", 0, (0b1110, 0, 0, 0)),
        ("restore", 1, (0, 0, 0, 0)),
        ("own", 1, (8, 1, 0, 3)),
        ("revoke", 1, (0, 0, 0, 0)),
    ]
    steps = tuple(Step(0 if kind == "restore" else 3_000, kind, *rest) for kind, *rest in kinds)
    plan = replace(plan_of(1, 0, 4, 4), late=(), latency_ms=(1, 5), clocks=((0, 1.0),) * 4)
    plan = replace(plan, edges=((0, 1), (1, 2), (2, 3)), unknowing=())
    result = simulate(plan.with_steps(steps), readable=True)
    assert result.violation is None
    assert not any("restored" in line for line in result.lines)
