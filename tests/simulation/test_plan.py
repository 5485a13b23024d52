"""What a seed means."""

from __future__ import annotations

from itertools import chain

import pytest

from scripts.simulation import plan
from scripts.simulation.faults import FAULTS
from scripts.simulation.plan import FORGETS_EVERY, SETTLE_EVERY, WEIGHTS, plan_of


def test_a_seed_means_one_plan() -> None:
    """The same seed is spelt out the same way."""
    assert plan_of(7, 50) == plan_of(7, 50) != plan_of(8, 50)


@pytest.mark.parametrize("seed", range(20))
def test_every_device_can_be_reached(seed: int) -> None:
    """Whatever the topology, calls lead from each device to each other one, over some steps."""
    plan = plan_of(seed, 0)
    assert 3 <= plan.devices <= 8
    reached = {0}
    for _ in range(plan.devices):
        reached |= set(chain(*(edge for edge in plan.edges if reached & set(edge))))
    assert reached == set(range(plan.devices))


def test_long_plans_heal_now_and_then() -> None:
    """So that a violation is not found only at the end."""
    kinds = [step.kind for step in plan_of(1, 2 * SETTLE_EVERY).steps]
    assert kinds.count("settle") == 2


def test_every_fault_is_drawn() -> None:
    """A fault that no plan asks for would prove nothing."""
    assert set(FAULTS) <= set(WEIGHTS)
    drawn = {step.kind for seed in range(10) for step in plan_of(seed, 200).steps}
    assert drawn >= set(WEIGHTS)


def test_directories_are_emptied_in_some_seeds_and_some_of_them_were_filled_for_it() -> None:
    """Of each kind of number there are steps: an odd one empties, an even one fills."""
    emptied = {
        seed: [step.numbers[0] % 2 for step in plan_of(seed, 200).steps if step.kind == "empty"]
        for seed in range(10)
    }
    assert {seed for seed, numbers in emptied.items() if numbers} == {0, 4, 8}
    assert all({0, 1} <= set(numbers) for numbers in emptied.values() if numbers)


def test_devices_forget_in_some_seeds_and_nothing_else_changes_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the other steps are does not hang on it."""
    forgets = {
        seed for seed in range(10) for step in plan_of(seed, 200).steps if step.kind == "forget"
    }
    assert forgets == {0, FORGETS_EVERY}
    steps = plan_of(FORGETS_EVERY, 200).steps
    others = [step for step in steps if step.kind != "forget"]
    assert (len(steps), len(others) < 200) == (200, True)
    monkeypatch.setattr(plan, "FORGETS_EVERY", 1_000)
    assert tuple(others) == plan_of(FORGETS_EVERY, 200).steps[: len(others)]
