"""The only reader of the machine's clocks.

Everything that needs time takes a `Clock`; the composition root hands out `SYSTEM_CLOCK`, tests and
the simulator hand out their own.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Three clocks that differ in what they survive."""

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC; may step in either direction."""

    def monotonic(self) -> float:
        """Return seconds that never run back and stand still while the machine is suspended."""

    def boottime(self) -> float:
        """Return seconds that never run back and go on while the machine is suspended."""


class SystemClock:
    """The clocks of this machine."""

    def wall_ns(self) -> int:
        """Return the wall clock."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC."""
        return time.monotonic()

    def boottime(self) -> float:
        """Return CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


SYSTEM_CLOCK = SystemClock()


def wall_ms(clock: Clock) -> int:
    """Return the wall clock in whole milliseconds."""
    return clock.wall_ns() // 1_000_000
