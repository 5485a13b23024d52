"""Devices that are put back to an older copy of their files, and second machines that run as one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.store import since_backup
from scripts.simulation.plan import Plan, Step, plan_of
from scripts.simulation.world import Result, simulate


def _plan(*kinds: str) -> Plan:
    """Return a plan of three devices of which the first does these things, a second apart."""
    steps = [Step(1_000, kind, 0, (at, 3 * at, 5 * at, 7)) for at, kind in enumerate(kinds)]
    plan = replace(plan_of(1, 0, 3, 3), late=(), latency_ms=(1, 5), clocks=((0, 1.0),) * 3)
    return replace(plan, edges=((0, 1), (1, 2)), unknowing=()).with_steps(tuple(steps))


def _held(*kinds: str) -> Result:
    result = simulate(_plan(*kinds), readable=True)
    assert result.violation is None
    return result


def test_a_restored_device_takes_its_rows_back() -> None:
    """Its peers know better; in the end it holds what it had acknowledged after the copy, too."""
    result = _held("own", "own", "backup", "own", "own", "own", "wait", "restore", "wait", "own")
    assert result.counts["restore"] == 1
    assert any("anna: restored from anna, generation 2" in line for line in result.lines)


def test_a_copy_that_knows_all_is_put_back_unnoticed() -> None:
    """Nothing was written after it: there is nothing to take back, and no new incarnation."""
    result = _held("own", "wait", "backup", "wait", "restore", "wait")
    assert result.counts["restore"] == 1
    assert not any("restored" in line for line in result.lines)


def test_nothing_is_put_back_without_a_copy() -> None:
    """The step says that there was nothing to do."""
    assert _held("own", "restore").counts["restore (void)"] == 1


@pytest.mark.parametrize("end", ["wait", "clone"])
def test_a_clone_ends_and_all_agree(end: str) -> None:
    """Whichever of the two machines goes on, and whatever the person there did meanwhile."""
    result = _held("own", "own", "clone", "own", "own", "share", "wait", "own", end, "own")
    assert result.counts["clone"] >= 1


def test_a_year_goes_by_while_a_device_is_off() -> None:
    """It comes back with the heal, knows nothing of it, and is level with the others again."""
    result = _held("own", "away", "own", "share", "share")
    assert result.counts["away"] == 1


def test_what_is_written_at_a_restored_device_at_once_arrives_as_well() -> None:
    """Its numbers were used before: both commits of a number are everywhere in the end."""
    plan = _plan("share", "share", "backup", "share", "share", "wait", "restore", "share", "wait")
    steps = [step._replace(gap_ms=0) if step.kind == "share" else step for step in plan.steps]
    result = simulate(plan.with_steps(tuple(steps)), readable=True)
    assert result.violation is None
    assert any("forked" in line for line in result.lines)


def test_what_a_restored_device_writes_before_it_meets_anybody_is_there_in_the_end() -> None:
    """On top of what its peers held for it; the same seed notices where that is lost."""
    plan = _plan("own", "own", "backup", "own", "own", "wait", "restore", "own", "own", "wait")
    steps = list(plan.steps)
    for at in (7, 8):
        steps[at] = steps[at]._replace(gap_ms=0, numbers=(1, at, at, at))
    alone = plan.with_steps(tuple(steps))
    result = simulate(alone, readable=True)
    assert result.violation is None
    (line,) = [line for line in result.lines if "anna: restored from anna, generation 2" in line]
    assert "kept 0" not in line
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(since_backup, "_keep", lambda *_: None)
        violation = simulate(alone).violation
    assert "lost what it had written since it was put back" in str(violation)


def test_more_may_be_written_alone_than_is_taken_back() -> None:
    """All of it is there then, and so is what the peers held: the one is not taken for the other."""
    plan = _plan("backup", "own", "wait", "restore", "own", "own", "own", "wait")
    steps = list(plan.steps)
    steps[1] = steps[1]._replace(numbers=(1, 0, 0, 100))
    for at in (4, 5, 6):
        steps[at] = steps[at]._replace(gap_ms=0, numbers=(1, 0, 0, 3 * at + 1))
    result = simulate(plan.with_steps(tuple(steps)), readable=True)
    assert result.violation is None
    (line,) = [line for line in result.lines if "anna: restored from anna, generation 2" in line]
    assert "joined 0, left 0" in line


@pytest.mark.parametrize(("absent", "counted"), [("away", "restore (void)"), ("wait", "restore")])
def test_a_copy_that_takes_the_last_word_of_a_revoke_is_not_put_back(
    absent: str, counted: str
) -> None:
    """Nobody would know of it; where another member has heard of it the copy may be put back."""
    plan = _plan("own", "wait", "backup", absent, "revoke", "wait", "restore")
    steps = list(plan.steps)
    steps[3] = steps[3]._replace(who=1)
    steps[4] = steps[4]._replace(numbers=(2, 0, 0, 0))
    plan = replace(plan, edges=((0, 1), (1, 2), (0, 2))).with_steps(tuple(steps))
    result = simulate(plan)
    assert result.violation is None
    assert (result.counts["revoke"], result.counts[counted]) == (1, 1)
