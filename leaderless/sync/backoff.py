"""When to call an address again: pure, with the randomness handed in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Waits that double from `least_s` up to `most_s`, each spread over its upper half.

    The spread keeps devices that lost each other at the same moment from calling in step.
    """

    least_s: float = 1.0
    most_s: float = 300.0

    def wait_s(self, failures: int, chance: float) -> float:
        """Return the wait after so many failures in a row; `chance` is in [0, 1)."""
        full = min(self.most_s, self.least_s * 2.0 ** min(failures, 32))
        return full * (0.5 + chance / 2)
