"""A failing plan made small: steps are dropped as long as it still fails.

Delta debugging (Zeller & Hildebrandt 2002) on the list of steps: halves first, then quarters, down to
single ones. What is left names what it takes to fail; it may fail in other words than at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.simulation.plan import Plan, Step


def shrink(
    plan: Plan, taken: int, fails: Callable[[Plan], bool], may_go_on: Callable[[], bool]
) -> Plan:
    """Return a plan that fails with as few steps as were found while there was time.

    `taken` is how many steps the failing run had begun: those after it are not needed.
    """
    best = plan
    short = plan.with_steps(plan.steps[:taken])
    if may_go_on() and fails(short):
        best = short
    size = max(1, len(best.steps) // 2)
    while may_go_on():
        at, dropped = 0, False
        while at < len(best.steps) and may_go_on():
            fewer = best.with_steps(_without(best.steps, at, size))
            if fails(fewer):
                best, dropped = fewer, True
            else:
                at += size
        if size == 1 and not dropped:
            break
        size = max(1, size // 2)
    return best


def _without(steps: tuple[Step, ...], at: int, size: int) -> tuple[Step, ...]:
    """Return the steps without some of them; the time that these took goes by all the same."""
    kept = list(steps[at + size :])
    if kept:
        gap = sum(step.gap_ms for step in steps[at : at + size])
        kept[0] = kept[0]._replace(gap_ms=kept[0].gap_ms + gap)
    return (*steps[:at], *kept)
