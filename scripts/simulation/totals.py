"""What many runs came to, for people and for machines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.simulation.faults import FAULTS

if TYPE_CHECKING:
    from scripts.simulation.world import Result

WORK = ("own", "share", "note", "undo", "rename")


@dataclass
class Totals:
    """Sums over seeds."""

    seeds: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    slowest_heal_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    violations: dict[int, str] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a run in."""
        self.seeds += 1
        self.steps += result.taken
        self.virtual_s += result.virtual_s
        self.slowest_heal_s = max(self.slowest_heal_s, result.slowest_heal_s)
        self.counts.update(result.counts)
        if result.violation is not None:
            self.violations[result.plan.seed] = result.violation

    def faults(self) -> dict[str, int]:
        """Return how often each fault happened."""
        return {kind: self.counts[kind] for kind in sorted(FAULTS)}

    def as_json(self, took_s: float) -> dict[str, Any]:
        """Return everything."""
        return {
            "schema": 1,
            "seeds": self.seeds,
            "steps": self.steps,
            "virtual_s": round(self.virtual_s, 3),
            "took_s": round(took_s, 3),
            "slowest_heal_s": round(self.slowest_heal_s, 3),
            "faults": self.faults(),
            "work": {kind: self.counts[kind] for kind in WORK},
            "refused": self.counts["refused"],
            "checks": self.counts["check"] + self.counts["settle"] + self.seeds,
            "commits": self.counts["commits"],
            "rows": self.counts["rows"],
            "messages": self.counts["messages"],
            "violations": [
                {"seed": seed, "what": what} for seed, what in sorted(self.violations.items())
            ],
        }

    def lines(self, took_s: float) -> list[str]:
        """Return the same in words."""
        faults = ", ".join(f"{kind} {count:,}" for kind, count in self.faults().items())
        work = ", ".join(f"{kind} {self.counts[kind]:,}" for kind in WORK)
        speed = self.seeds / took_s * 60 if took_s else 0.0
        return [
            f"{self.seeds:,} seeds, {self.steps:,} steps, {self.virtual_s / 3600:,.1f} virtual hours.",
            f"It took {took_s:,.0f} s: {speed:,.1f} seeds a minute.",
            f"Faults: {faults}.",
            f"Work: {work}; refused {self.counts['refused']:,}.",
            f"Held at the end: {self.counts['commits']:,} commits, {self.counts['rows']:,} records.",
            f"{self.counts['messages']:,} messages arrived.",
            f"The slowest heal took {self.slowest_heal_s:,.0f} virtual seconds.",
            f"Violations: {len(self.violations)}.",
        ]
