"""What many runs came to, for people and for machines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.simulation.faults import FAULTS
from scripts.simulation.plan import WORK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.simulation.world import Result


SUMMED = ("refused", "commits", "rows", "messages")


@dataclass
class Totals:
    """Sums over seeds."""

    seeds: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    took_s: float = 0.0
    slowest_heal_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    checks: int = 0
    violations: dict[int, str] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a run in."""
        self.seeds += 1
        self.steps += result.taken
        self.virtual_s += result.virtual_s
        self.cpu_s += result.cpu_s
        self.slowest_heal_s = max(self.slowest_heal_s, result.slowest_heal_s)
        self.counts.update(result.counts)
        self.checks += result.counts["check"] + result.counts["settle"] + 1
        if result.violation is not None:
            self.violations[result.plan.seed] = result.violation

    def add_json(self, told: Mapping[str, Any]) -> None:
        """Count in what another session printed; raises KeyError if that was no totals."""
        self.seeds += told["seeds"]
        self.steps += told["steps"]
        self.virtual_s += told["virtual_s"]
        self.cpu_s += told["cpu_s"]
        self.took_s += told["took_s"]
        self.slowest_heal_s = max(self.slowest_heal_s, told["slowest_heal_s"])
        self.counts.update(told["faults"])
        self.counts.update(told["work"])
        for kind in SUMMED:
            self.counts[kind] += told[kind]
        self.checks += told["checks"]
        self.violations.update({item["seed"]: item["what"] for item in told["violations"]})

    def faults(self) -> dict[str, int]:
        """Return how often each fault happened."""
        return {kind: self.counts[kind] for kind in sorted(FAULTS)}

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "schema": 1,
            "seeds": self.seeds,
            "steps": self.steps,
            "virtual_s": round(self.virtual_s, 3),
            "took_s": round(self.took_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "cpu_s_per_seed": round(self.cpu_s / self.seeds, 3) if self.seeds else 0.0,
            "slowest_heal_s": round(self.slowest_heal_s, 3),
            "faults": self.faults(),
            "work": {kind: self.counts[kind] for kind in WORK},
            "checks": self.checks,
            **{kind: self.counts[kind] for kind in SUMMED},
            "violations": [
                {"seed": seed, "what": what} for seed, what in sorted(self.violations.items())
            ],
        }

    def lines(self) -> list[str]:
        """Return the same in words."""
        faults = ", ".join(f"{kind} {count:,}" for kind, count in self.faults().items())
        work = ", ".join(f"{kind} {self.counts[kind]:,}" for kind in WORK)
        each_s = self.cpu_s / self.seeds if self.seeds else 0.0
        return [
            f"{self.seeds:,} seeds, {self.steps:,} steps, {self.virtual_s / 3600:,.1f} virtual hours.",
            f"It took {self.took_s:,.0f} s, and {each_s:,.1f} s of a processor for each seed.",
            f"Faults: {faults}.",
            f"Work: {work}; refused {self.counts['refused']:,}.",
            f"Held at the end: {self.counts['commits']:,} commits, {self.counts['rows']:,} records.",
            f"{self.counts['messages']:,} messages arrived.",
            f"The slowest heal took {self.slowest_heal_s:,.0f} virtual seconds.",
            f"Violations: {len(self.violations)}.",
        ]
