"""Finds the seeds of `planted.py` anew: `python -m tests.simulation.hunt [PART OF A NAME …]`.

What a seed means changes with the plans; then the seeds that are named there are others. Of those that
notice a bug in few seconds, by what it is said to violate, and end well without it the quickest is
printed, with what it says.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from scripts.simulation.plan import Plan, plan_of
from scripts.simulation.world import simulate
from tests.simulation.planted import PLANTED, Bug

SHORT_S = 1.0
MOST_S = 90.0
STEPS = (40, 60, 120, 300, 600)
SEEDS = range(250)
# What a planted bug sets talking without end talks less over slow lines.
LEAST_LATENCY_MS = 20


def _plans(bug: Bug) -> Iterator[tuple[int, int, Plan]]:
    for steps in STEPS:
        for seed in SEEDS:
            plan = plan_of(seed, steps, *bug.devices)
            if plan.latency_ms[0] >= LEAST_LATENCY_MS:
                yield seed, steps, plan


def hunt(bug: Bug) -> tuple[float, int, int, str] | None:
    """Return (seconds, seed, steps, violation) of the quickest run that notices a bug."""
    best: tuple[float, int, int, str] | None = None
    until = time.monotonic() + MOST_S
    for seed, steps, plan in _plans(bug):
        began = time.process_time()
        with pytest.MonkeyPatch.context() as patch:
            bug.plant(patch)
            violation = simulate(plan).violation
        took_s = time.process_time() - began
        is_noticed = violation is not None and bug.says in violation
        if is_noticed and (best is None or took_s < best[0]) and simulate(plan).violation is None:
            best = (took_s, seed, steps, violation)
        if time.monotonic() > until or (best is not None and best[0] < SHORT_S):
            break
    return best


def main(wanted: list[str]) -> None:
    """Print what was found of each planted bug whose name has one of these parts, or of all."""
    for name, bug in PLANTED.items():
        if not wanted or any(part in name for part in wanted):
            sys.stdout.write(f"{name}: {hunt(bug)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
