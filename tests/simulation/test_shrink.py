"""Failing plans become small ones."""

from __future__ import annotations

from scripts.simulation.plan import Plan, plan_of
from scripts.simulation.shrink import shrink

PLAN = plan_of(1, 64)
NEEDED = {PLAN.steps[at].numbers for at in (3, 17, 40)}


def _fails(plan: Plan) -> bool:
    """Pretend that three steps together are what it takes."""
    return {step.numbers for step in plan.steps} >= NEEDED


def test_what_does_not_matter_is_dropped() -> None:
    """What is left is what it takes to fail, and no step more."""
    small = shrink(PLAN, 50, _fails, lambda: True)
    assert {step.numbers for step in small.steps} == NEEDED


def test_time_goes_by_as_before() -> None:
    """A step that is dropped leaves its waiting behind."""
    small = shrink(PLAN, 50, _fails, lambda: True)
    assert sum(step.gap_ms for step in small.steps) == sum(step.gap_ms for step in PLAN.steps[:41])


def test_without_time_a_plan_stays_as_it_is() -> None:
    """What was found until then is returned."""
    assert shrink(PLAN, 64, _fails, lambda: False) == PLAN
