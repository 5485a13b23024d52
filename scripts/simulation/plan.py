"""What a seed means: which devices there are, how they reach each other, and what happens to them.

A plan is data, made before anything runs. Steps name what they are about by numbers that are taken
modulo what there is, so a plan from which steps were dropped is a plan as well.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import NamedTuple

from scripts.simulation.revocation import with_revoke

WEIGHTS = {
    "own": 30,
    "share": 40,
    "note": 4,
    "undo": 2,
    "rename": 1,
    "check": 3,
    "cut": 3,
    "partition": 1,
    "mend": 2,
    "slow": 1,
    "redial": 2,
    "crash": 3,
    "revive": 5,
    "clock": 2,
    "full": 1,
    "space": 2,
    "upgrade": 1,
    "lie": 2,
    "backup": 2,
    "restore": 1,
    "clone": 1,
    "away": 1,
    "wait": 2,
    "forget": 0,
    "empty": 0,
    "job": 0,
    "behind": 0,
    "revoke": 0,
}
"""How often each kind of step comes, of a hundred or so; some come in some seeds alone, and a revoke
once in some plans."""
FORGETS_EVERY = 5
"""In each so-manieth seed, every twentieth step or so is that a device forgets old commits."""
EMPTIES_EVERY = 4
"""The same of directories that are emptied and deleted."""
JOBS_EVERY = 9
"""The same of rows of a model that some devices do not know."""
BEHIND_EVERY = 3
"""In each so-manieth seed, every hundredth step or so is that a device runs an older version."""
WORK = ("own", "share", "note", "undo", "rename", "empty", "job")
MENDING = ("mend", "revive", "space")
SETTLE_EVERY = 500
TOPOLOGIES = ("mesh", "line", "ring", "star", "tree")


class Step(NamedTuple):
    """One thing that happens, `gap_ms` of virtual time after the one before."""

    gap_ms: int
    kind: str
    who: int
    numbers: tuple[int, int, int, int]

    def __str__(self) -> str:
        shown = " ".join(str(number) for number in self.numbers)
        return f"+{self.gap_ms} ms {self.kind} {self.who} ({shown})"


@dataclass(frozen=True)
class Plan:
    """A seed spelt out."""

    seed: int
    devices: int
    edges: tuple[tuple[int, int], ...]
    """Who dials whom."""
    latency_ms: tuple[int, int]
    batch_rows: int
    unknowing: tuple[int, ...]
    """Devices that do not know some models."""
    late: tuple[int, ...]
    """Devices that are started for the first time when one is revived, or everything healed."""
    clocks: tuple[tuple[int, float], ...]
    """Of each device how many ms its clock is off, and how fast it runs."""
    steps: tuple[Step, ...]

    def with_steps(self, steps: tuple[Step, ...]) -> Plan:
        """Return the plan in which only these happen."""
        return replace(self, steps=steps)


def plan_of(seed: int, steps: int, least: int = 3, most: int = 8) -> Plan:
    """Return the plan of a seed with that many steps and `least` to `most` devices."""
    chance = random.Random(f"plan/{seed}")
    # Most of what goes wrong takes few devices, and what a seed costs grows with their square.
    sizes = range(least, most + 1)
    devices = chance.choices(sizes, [1 / (2 + size - least) for size in sizes])[0]
    topology = chance.choice(TOPOLOGIES)
    low = chance.choice((0, 1, 5, 20, 80))
    return Plan(
        seed,
        devices,
        _edges(topology, devices, chance),
        (low, low + chance.choice((0, 2, 10, 60, 400))),
        chance.choice((2, 3, 5, 20, 500)),
        tuple(at for at in range(devices) if chance.random() < 0.15),
        tuple(at for at in range(1, devices) if chance.random() < 0.25),
        tuple(_clock(chance) for _ in range(devices)),
        tuple(_seldom(seed, with_revoke(_steps(chance, steps, devices), seed, devices), devices)),
    )


def _edges(topology: str, devices: int, chance: random.Random) -> tuple[tuple[int, int], ...]:
    line = [(at, at + 1) for at in range(devices - 1)]
    match topology:
        case "mesh":
            pairs = [(a, b) for a in range(devices) for b in range(a + 1, devices)]
        case "ring" if devices > 2:
            pairs = [*line, (0, devices - 1)]
        case "star":
            pairs = [(0, at) for at in range(1, devices)]
        case "tree":
            pairs = [(chance.randrange(at), at) for at in range(1, devices)]
        case _:
            pairs = line
    turned = [pair if chance.random() < 0.5 else pair[::-1] for pair in pairs]
    # Where both sides know each other's address both dial, and calls cross.
    both = [pair[::-1] for pair in turned if chance.random() < 0.3]
    return tuple(turned + both)


def _clock(chance: random.Random) -> tuple[int, float]:
    offset = chance.choice(
        (0, 0, 0, chance.randint(-5_000, 5_000), chance.randint(-(10**7), 10**7))
    )
    return offset, chance.choice((1.0, 1.0, 1.0, 0.99, 1.01))


def _steps(chance: random.Random, count: int, devices: int) -> list[Step]:
    # In some seeds things are mended at once, in others hardly before the next heal.
    patience = chance.choice((0.1, 0.4, 1.0))
    kinds = list(WEIGHTS)
    weights = [weight * (patience if kind in MENDING else 1) for kind, weight in WEIGHTS.items()]
    found = []
    for at in range(1, count + 1):
        kind = "settle" if at % SETTLE_EVERY == 0 else chance.choices(kinds, weights)[0]
        gap = chance.choice((0, 0, 0, 0, 0, 1, 5, 20, 60))
        if kind == "wait":
            gap = chance.choice((1_000, 3_000, 12_000, 50_000))
        a, b, c, d = (chance.randrange(1 << 16) for _ in range(4))
        found.append(Step(gap, kind, chance.randrange(devices), (a, b, c, d)))
    return found


def _seldom(seed: int, steps: list[Step], devices: int) -> list[Step]:
    """Return the steps of a seed, with those in between that come in some seeds alone."""
    for kind, every, often in (
        ("forget", FORGETS_EVERY, 0.05),
        ("empty", EMPTIES_EVERY, 0.05),
        ("job", JOBS_EVERY, 0.05),
        ("behind", BEHIND_EVERY, 0.01),
    ):
        if seed % every == 0:
            steps = _with_more(kind, often, seed, steps, devices)
    return steps


def _with_more(kind: str, often: float, seed: int, steps: list[Step], devices: int) -> list[Step]:
    """Return steps with more of one kind in between: drawn apart from all else."""
    chance = random.Random(f"{kind}/{seed}")
    found = []
    for step in steps:
        if chance.random() < often:
            numbers = (chance.randrange(1 << 16), 0, 0, 0)
            found.append(Step(0, kind, chance.randrange(devices), numbers))
        found.append(step)
    return found[: len(steps)]
