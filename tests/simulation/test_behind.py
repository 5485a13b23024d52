"""A device that runs an older version for a while."""

from __future__ import annotations

from dataclasses import replace

from scripts.simulation.plan import Plan, Step, plan_of
from scripts.simulation.world import Result, simulate


def _plan(*steps: tuple[str, int]) -> Plan:
    """Return a plan of three devices in a line: what happens, and at which of them."""
    plan = replace(plan_of(1, 0, 3, 3), late=(), latency_ms=(1, 5), clocks=((0, 1.0),) * 3)
    taken = [
        Step(1_000, kind, who, (at, 3 * at, 5 * at, 7)) for at, (kind, who) in enumerate(steps)
    ]
    return replace(plan, edges=((0, 1), (1, 2)), unknowing=()).with_steps(tuple(taken))


def _held(*steps: tuple[str, int]) -> Result:
    result = simulate(_plan(*steps), readable=True)
    assert result.violation is None
    return result


def test_a_device_that_is_behind_takes_part_and_is_upgraded_in_the_end() -> None:
    """It relays between the two others; what it wrote is there after the heal."""
    result = _held(("behind", 1), ("own", 0), ("share", 1), ("own", 2), ("share", 2), ("wait", 0))
    assert result.counts["behind"] == 1
    assert any("ben: proved device cleo" in line for line in result.lines)


def test_a_device_that_has_forgotten_something_cannot_be_an_older_version() -> None:
    """No such version would have written its file."""
    work = [*[("share", 0)] * 4, ("wait", 0)]
    result = _held(*work, *[("forget", 0)] * 3, ("behind", 0))
    assert (result.counts["forget"] >= 1, result.counts["behind"]) == (True, 0)
