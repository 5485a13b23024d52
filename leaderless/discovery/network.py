"""Notices that the network changed, or that the machine slept: both mean that it is time to call.

The kernel says over netlink when links and addresses change. trio's timers stand still in suspend;
CLOCK_BOOTTIME running ahead of CLOCK_MONOTONIC shows it afterwards.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from leaderless.clock import Clock

SLEPT_S: Final = 5.0
LOOK_S: Final = 5.0
SETTLE_S: Final = 0.5
"""An interface that comes up changes several times within this."""
# Links, IPv4 addresses, IPv6 addresses: RTMGRP_… in rtnetlink(7).
_GROUPS: Final = 0x1 | 0x10 | 0x100


class SleepDetector:
    """Tells how long the machine slept since it was asked last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gap = self._current()

    def _current(self) -> float:
        return self._clock.boottime() - self._clock.monotonic()

    def slept_s(self) -> float:
        """Return the seconds of suspend since the last call, 0 if it was short."""
        gap = self._current()
        slept, self._gap = gap - self._gap, gap
        return slept if slept >= SLEPT_S else 0.0


@asynccontextmanager
async def open_network_watch(clock: Clock, on_change: Callable[[str], None]) -> AsyncIterator[bool]:
    """Call `on_change` with "network" or "wake"; yields whether the kernel tells of changes."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_sleep, SleepDetector(clock), on_change)
        try:
            stdlib = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            stdlib.bind((0, _GROUPS))
        except OSError:
            kernel = None
        else:
            stdlib.setblocking(False)
            kernel = stdlib
            nursery.start_soon(_watch_netlink, kernel, on_change)
        try:
            yield kernel is not None
        finally:
            nursery.cancel_scope.cancel()
            if kernel is not None:
                kernel.close()


async def _watch_sleep(detector: SleepDetector, on_change: Callable[[str], None]) -> None:
    while True:
        await trio.sleep(LOOK_S)
        if detector.slept_s():
            on_change("wake")


async def _watch_netlink(kernel: socket.socket, on_change: Callable[[str], None]) -> None:
    while True:
        await trio.lowlevel.wait_readable(kernel)
        await trio.sleep(SETTLE_S)
        try:
            while kernel.recv(65_536):
                pass
        except BlockingIOError:
            on_change("network")
        except OSError:
            # ENOBUFS: changes were lost, which is a change too.
            on_change("network")
