"""Lines between simulated devices keep the promises of a connection, and break as they are told."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from leaderless.transport.base import ConnectionLostError, DialError, SelfDialError
from scripts.simulation import schedule
from scripts.simulation.network import End, Network
from scripts.simulation.transcript import Transcript


class Ground:
    """Two devices that only answer calls."""

    def __init__(self) -> None:
        self.network = Network(random.Random(1), (10, 50), Transcript({}, readable=False))
        self.answered: list[End] = []
        self.devices: list[Any] = [
            SimpleNamespace(
                index=at,
                name=f"d{at}",
                up=True,
                identity=SimpleNamespace(public_key=bytes([at]) * 32),
                answer=self.answered.append,
            )
            for at in range(2)
        ]
        self.network.devices = self.devices

    async def connected(self) -> tuple[End, End]:
        """Return the caller's end of a new line and the other one."""
        end = await self.network.dial(self.devices[0], 1)
        return end, self.answered[-1]


def test_messages_arrive_in_order_after_their_delay() -> None:
    """However the delays differ, none overtakes another on one line."""

    async def work() -> None:
        near, far = await Ground().connected()
        began = trio.current_time()
        for at in range(9):
            await near.send(b"%d" % at)
        assert [await far.receive() for _ in range(9)] == [b"%d" % at for at in range(9)]
        assert 0.01 <= trio.current_time() - began <= 0.05

    schedule.run(work, 1)


def test_a_cut_loses_what_is_under_way() -> None:
    """Both sides notice at once."""

    async def work() -> None:
        near, far = await Ground().connected()
        await near.send(b"lost")
        near.line.cut()
        for end in (near, far):
            with pytest.raises(ConnectionLostError):
                await end.receive()

    schedule.run(work, 1)


def test_an_end_comes_after_what_was_sent_before_it() -> None:
    """Who closes does not take back what it has said."""

    async def work() -> None:
        near, far = await Ground().connected()
        await near.send(b"last")
        await near.aclose()
        assert await far.receive() == b"last"
        with pytest.raises(ConnectionLostError):
            await far.receive()

    schedule.run(work, 1)


def test_a_partition_holds_everything_up() -> None:
    """Messages and ends arrive once it is over; calls meanwhile are not answered."""

    async def work() -> None:
        ground = Ground()
        near, far = await ground.connected()
        ground.network.partition({0: 1})
        await near.send(b"late")
        with trio.move_on_after(100) as scope:
            await far.receive()
        assert scope.cancelled_caught
        with pytest.raises(DialError):
            await ground.connected()
        ground.network.partition({})
        assert await far.receive() == b"late"

    schedule.run(work, 1)


def test_a_device_that_lost_its_power_is_silent_until_it_is_back() -> None:
    """Then the other side learns that the line is gone."""

    async def work() -> None:
        ground = Ground()
        near, _ = await ground.connected()
        ground.network.lost_power(ground.devices[1])
        with trio.move_on_after(100) as scope:
            await near.receive()
        assert scope.cancelled_caught
        ground.network.came_back(ground.devices[1])
        with pytest.raises(ConnectionLostError):
            await near.receive()

    schedule.run(work, 1)


def test_a_full_line_holds_its_sender_up() -> None:
    """Nothing is buffered without bound."""

    async def work() -> None:
        near, far = await Ground().connected()
        with trio.move_on_after(10) as scope:
            for _ in range(100):
                await near.send(b"x")
        assert scope.cancelled_caught
        assert len(far.inbox) == 16

    schedule.run(work, 1)


def test_who_calls_itself_is_told() -> None:
    """As on every road."""

    async def work() -> None:
        ground = Ground()
        with pytest.raises(SelfDialError):
            await ground.network.dial(ground.devices[0], 0)

    schedule.run(work, 1)
