"""The simulator notices what is wrong: every planted bug is caught by the seed that is named for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.simulation.plan import plan_of
from scripts.simulation.world import simulate
from tests.simulation.planted import PLANTED, Bug


@pytest.mark.parametrize("bug", PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_bug_is_noticed(bug: Bug) -> None:
    """Its seed ends with a violation that is about it, and without the bug in none."""
    plan = plan_of(bug.seed, bug.steps, *bug.devices)
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        noticed = simulate(plan).violation
    assert noticed is not None
    assert bug.says in noticed
    assert simulate(plan).violation is None


def test_every_planted_bug_stands_in_the_docs_with_its_seed() -> None:
    """Whoever reads the list can run each of them."""
    text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    for name, bug in PLANTED.items():
        least, most = bug.devices
        assert f"| {name} | {bug.seed}, {bug.steps}, {least}-{most} |" in text
