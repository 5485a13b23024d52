"""One number that a benchmark has: its runs, those of its floor beside them, and the goal.

A floor is measured in the same run as what is held against it, since machines differ and are noisy:
only the ratio of two neighbours says something. Nothing here measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any, Final, NamedTuple

OPERATORS: Final = {True: "≤", False: "≥"}


class Goal(NamedTuple):
    """What a figure is to be: at most `limit` or at least; of its floor, or as it is."""

    limit: float
    is_most: bool
    of_floor: bool

    def holds(self, value: float) -> bool:
        """Return whether a value (a ratio, where it is of the floor) is what it is to be."""
        return value <= self.limit if self.is_most else value >= self.limit

    def __str__(self) -> str:
        times = " x floor" if self.of_floor else ""
        return f"{OPERATORS[self.is_most]} {self.limit:g}{times}"


def at_most(limit: float) -> Goal:
    """Return the goal of a value up to a limit, in the figure's unit."""
    return Goal(limit, is_most=True, of_floor=False)


def at_most_of_floor(limit: float) -> Goal:
    """Return the goal of a value up to so many times its floor."""
    return Goal(limit, is_most=True, of_floor=True)


def at_least_of_floor(limit: float) -> Goal:
    """Return the goal of a value from so many times its floor on."""
    return Goal(limit, is_most=False, of_floor=True)


@dataclass(frozen=True)
class Figure:
    """One number of a benchmark, of each counted run."""

    benchmark: str
    what: str
    unit: str
    values: tuple[float, ...]
    floors: tuple[float, ...] = ()
    """Measured next to each value, in the same unit; none where the goal is a plain number."""
    goals: tuple[Goal, ...] = ()
    size: int | None = None
    """The rows that there were, where the same is measured at several sizes."""

    @property
    def value(self) -> float:
        """Return the median of the runs."""
        return median(self.values)

    @property
    def floor(self) -> float | None:
        """Return the median of the floor's runs."""
        return median(self.floors) if self.floors else None

    @property
    def ratio(self) -> float | None:
        """Return the median of what each run is of the floor beside it."""
        if not self.floors:
            return None
        pairs = zip(self.values, self.floors, strict=True)
        return median(value / floor for value, floor in pairs)

    @property
    def spread(self) -> float:
        """Return how far the runs are apart, as a part of their median."""
        return (max(self.values) - min(self.values)) / self.value if self.value else 0.0

    def met(self, goal: Goal) -> bool:
        """Return whether this is as good as a goal asks."""
        ratio = self.ratio
        if goal.of_floor:
            return ratio is not None and goal.holds(ratio)
        return goal.holds(self.value)

    @property
    def all_met(self) -> bool:
        """Return whether every goal is met."""
        return all(map(self.met, self.goals))

    def as_json(self) -> dict[str, Any]:
        """Return all there is to know, for machines."""
        return {
            "benchmark": self.benchmark,
            "what": self.what,
            "unit": self.unit,
            "size": self.size,
            "value": self.value,
            "floor": self.floor,
            "ratio": self.ratio,
            "spread": self.spread,
            "values": list(self.values),
            "floors": list(self.floors),
            "goals": [{"goal": str(goal), "met": self.met(goal)} for goal in self.goals],
        }
