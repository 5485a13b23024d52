"""The machine's clocks."""

from __future__ import annotations

import time

from leaderless.clock import SYSTEM_CLOCK, wall_ms
from tests.replicas import SteppedClock


def test_the_wall_clock_is_the_machines() -> None:
    """It counts nanoseconds since 1970."""
    before = time.time_ns()
    assert before <= SYSTEM_CLOCK.wall_ns() <= time.time_ns()


def test_monotonic_is_the_clock_that_sleeps_with_the_machine() -> None:
    """It counts the seconds of CLOCK_MONOTONIC."""
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert before <= SYSTEM_CLOCK.monotonic() <= time.clock_gettime(time.CLOCK_MONOTONIC)


def test_boottime_goes_on_while_the_machine_sleeps() -> None:
    """It counts the seconds of CLOCK_BOOTTIME."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= SYSTEM_CLOCK.boottime() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_milliseconds_are_whole_and_not_rounded_up() -> None:
    """A stamp never runs ahead of the wall clock."""

    class JustBefore(SteppedClock):
        def wall_ns(self) -> int:
            return 5_999_999

    assert wall_ms(JustBefore()) == 5
