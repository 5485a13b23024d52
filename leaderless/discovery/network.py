"""Notices that the network changed, or that the machine slept: both mean that it is time to call.

The kernel says over netlink when links and addresses change. trio's timers stand still in suspend;
CLOCK_BOOTTIME running ahead of CLOCK_MONOTONIC shows it afterwards.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager, nullcontext, suppress
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


def open_netlink() -> socket.socket:
    """Return a socket that hears of changes of links and addresses; raises OSError."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    kernel.bind((0, _GROUPS))
    return kernel


@asynccontextmanager
async def open_network_watch(
    clock: Clock,
    on_change: Callable[[str], None],
    open_kernel: Callable[[], socket.socket] = open_netlink,
) -> AsyncIterator[bool]:
    """Call `on_change` with "network" or "wake"; yields whether the kernel tells of changes.

    `open_kernel` returns a socket on which each datagram is news; raises OSError if there is none.
    """
    kernel = None
    with suppress(OSError):
        kernel = open_kernel()
    # The socket is closed after its reader has ended: a closed one cannot be waited for.
    with kernel or nullcontext():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch_sleep, SleepDetector(clock), on_change)
            if kernel is not None:
                kernel.setblocking(False)
                nursery.start_soon(_watch_netlink, kernel, on_change)
            try:
                yield kernel is not None
            finally:
                nursery.cancel_scope.cancel()


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
            while True:
                kernel.recv(65_536)
        except OSError:
            # Read empty, or ENOBUFS: changes were lost, which is a change too.
            on_change("network")
