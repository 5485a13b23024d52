"""Notices of a changed network and of a suspend; real sockets, clocks of the test's own."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from leaderless.discovery.network import (
    LOOK_S,
    SETTLE_S,
    SLEPT_S,
    SleepDetector,
    open_netlink,
    open_network_watch,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RTM_GETLINK = 18
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
NLM_F_REQUEST_DUMP = 0x1 | 0x300


class Machine:
    """A clock of a machine that can be suspended, and what was noticed there."""

    def __init__(self) -> None:
        self.awake_s = 100.0
        self.asleep_s = 50.0
        self.noticed: list[tuple[str, float]] = []
        self._news = trio.Event()

    def wall_ns(self) -> int:
        """Return any time: nothing here may depend on it."""
        return 0

    def monotonic(self) -> float:
        """Return the time awake."""
        return self.awake_s

    def boottime(self) -> float:
        """Return the time awake and asleep."""
        return self.awake_s + self.asleep_s

    def notice(self, kind: str) -> None:
        """Note what happened and when."""
        self.noticed.append((kind, trio.current_time()))
        self._news.set()
        self._news = trio.Event()

    async def until_noticed(self, count: int) -> list[str]:
        """Wait until so much was noticed; return all of it."""
        while len(self.noticed) < count:
            await self._news.wait()
        return [kind for kind, _ in self.noticed]


@pytest.fixture
def machine() -> Machine:
    """Return a machine that was suspended before, for 50 seconds."""
    return Machine()


# --- sleep ----------------------------------------------------------------------------------------


def test_time_awake_is_no_sleep(machine: Machine) -> None:
    """However long it runs, and whatever it slept before it was first asked."""
    detector = SleepDetector(machine)
    machine.awake_s += 1e6
    assert detector.slept_s() == 0.0


def test_a_suspend_is_told_with_its_length(machine: Machine) -> None:
    """Boot time running ahead of monotonic time is sleep."""
    detector = SleepDetector(machine)
    machine.awake_s += 10
    machine.asleep_s += 3600
    assert detector.slept_s() == 3600


def test_a_suspend_is_told_once(machine: Machine) -> None:
    """The next question is about the time since."""
    detector = SleepDetector(machine)
    machine.asleep_s += 3600
    detector.slept_s()
    assert detector.slept_s() == 0.0


@pytest.mark.parametrize(("slept", "told"), [(SLEPT_S - 0.5, 0.0), (SLEPT_S, SLEPT_S)])
def test_a_short_nap_is_none(machine: Machine, slept: float, told: float) -> None:
    """Connections outlive less than five seconds, and clocks drift a little."""
    detector = SleepDetector(machine)
    machine.asleep_s += slept
    assert detector.slept_s() == told


def test_the_socket_of_the_kernel_hears_of_changes() -> None:
    """It is bound to the groups of links and of addresses of both kinds."""
    with open_netlink() as kernel:
        assert kernel.getsockname()[1] == RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR


# --- the watch ------------------------------------------------------------------------------------


def nothing_to_hear() -> socket.socket:
    """Refuse a kernel socket, as a sandbox without AF_NETLINK does."""
    raise OSError("Address family not supported by protocol")


@asynccontextmanager
async def watching(machine: Machine) -> AsyncIterator[socket.socket]:
    """Watch a pair of sockets; yields the end at which the kernel would speak."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with kernels:
        async with open_network_watch(machine, machine.notice, lambda: ours) as hears:
            assert hears
            yield kernels


async def test_waking_up_is_noticed_within_five_seconds(
    machine: Machine, autojump_clock: MockClock
) -> None:
    """After a suspend everybody who cares is told, once."""
    async with open_network_watch(machine, machine.notice, nothing_to_hear):
        await trio.sleep(LOOK_S * 3.5)
        machine.asleep_s += 3600
        await trio.sleep(LOOK_S * 10)
    assert machine.noticed == [("wake", LOOK_S * 4)]


async def test_each_suspend_is_noticed(machine: Machine, autojump_clock: MockClock) -> None:
    """The second night counts like the first."""
    async with open_network_watch(machine, machine.notice, nothing_to_hear):
        for _ in range(2):
            machine.asleep_s += 3600
            await trio.sleep(LOOK_S * 2.5)
    assert [kind for kind, _ in machine.noticed] == ["wake", "wake"]


async def test_a_machine_that_stays_awake_is_left_in_peace(
    machine: Machine, autojump_clock: MockClock
) -> None:
    """A day without suspend or change brings no notice."""
    async with watching(machine):
        await trio.sleep(86_400)
    assert machine.noticed == []


async def test_a_burst_of_changes_is_one_notice(
    machine: Machine, autojump_clock: MockClock
) -> None:
    """An interface that comes up changes several times; we call once, when it has settled."""
    async with watching(machine) as kernel:
        for _ in range(10):
            kernel.send(b"change")
        await trio.sleep(LOOK_S)
    assert machine.noticed == [("network", SETTLE_S)]


async def test_a_later_change_is_another_notice(
    machine: Machine, autojump_clock: MockClock
) -> None:
    """Having noticed one change does not make deaf for the next."""
    async with watching(machine) as kernel:
        for _ in range(2):
            kernel.send(b"change")
            await trio.sleep(LOOK_S)
    assert [kind for kind, _ in machine.noticed] == ["network", "network"]


async def test_lost_changes_are_a_change(machine: Machine, autojump_clock: MockClock) -> None:
    """An error instead of news means that something was missed; a real error of a real socket."""
    ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        ours.connect(closed.getsockname())
    async with open_network_watch(machine, machine.notice, lambda: ours):
        ours.send(b"nobody listens")
        assert await machine.until_noticed(1) == ["network"]


async def test_the_kernel_can_be_heard_here(machine: Machine) -> None:
    """Without an argument the watch listens to the kernel itself, and says so."""
    async with open_network_watch(machine, machine.notice) as hears:
        assert hears


async def test_what_the_kernel_says_of_a_link_is_a_change(machine: Machine) -> None:
    """The kernel's own words about a link are noticed; they are asked for, so nothing changes."""
    kernel = open_netlink()
    request = struct.pack("=IHHIIB", 17, RTM_GETLINK, NLM_F_REQUEST_DUMP, 1, 0, socket.AF_UNSPEC)
    with trio.fail_after(30):
        async with open_network_watch(machine, machine.notice, lambda: kernel):
            kernel.send(request)
            assert (await machine.until_noticed(1))[0] == "network"


async def test_without_a_kernel_socket_sleep_is_noticed_all_the_same(
    machine: Machine, autojump_clock: MockClock
) -> None:
    """Where the sandbox forbids it the watch says that it hears nothing, and goes on."""
    async with open_network_watch(machine, machine.notice, nothing_to_hear) as hears:
        machine.asleep_s += 3600
        assert (hears, await machine.until_noticed(1)) == (False, ["wake"])


async def test_the_socket_is_closed_in_the_end(machine: Machine) -> None:
    """Nothing is left open when the watch ends."""
    ours = open_netlink()
    async with open_network_watch(machine, machine.notice, lambda: ours):
        pass
    assert ours.fileno() == -1
