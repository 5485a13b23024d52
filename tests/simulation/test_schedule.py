"""The same seed is the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.simulation.plan import plan_of
from scripts.simulation.world import simulate

ROOT = Path(__file__).parents[2]
ASK = (
    "from scripts.simulation.plan import plan_of\n"
    "from scripts.simulation.world import simulate\n"
    "print(simulate(plan_of(5, 150, 3, 5)).digest)"
)


def _digest(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    return done.stdout.decode()


def test_the_same_seed_gives_the_same_transcript() -> None:
    """Byte for byte, in one process as in others that order their sets in other ways."""
    one, other = _digest("1"), _digest("2")
    assert one == other
    assert simulate(plan_of(5, 150, 3, 5)).digest == one.strip()


def test_a_readable_transcript_changes_nothing() -> None:
    """Whoever looks closer sees the same run."""
    plan = plan_of(6, 60, 3, 4)
    shown = simulate(plan, readable=True)
    assert shown.digest == simulate(plan).digest
    assert any("log of" in line for line in shown.lines)


@pytest.mark.parametrize("seed", range(6))
def test_a_small_fixed_set_of_seeds_holds(seed: int) -> None:
    """All faults, a few devices, a hundred steps: no violation."""
    result = simulate(plan_of(seed, 100, 3, 5))
    assert result.violation is None
    assert result.taken == 100
    assert result.counts["commits"] > 0
