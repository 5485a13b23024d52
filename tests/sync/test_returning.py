"""A device goes on in a new incarnation when it is asked to, and only if it takes its rows back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio
import trio.testing

from leaderless.store import restoring
from leaderless.sync.returning import GoingOn
from registry.changes import Incarnation
from tests.limits import limited
from tests.replicas import Replica
from tests.store.passing import held

NONCE = b"nonce--8"
DEADLINE_S = 60.0


class Told:
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self._news = trio.Event()

    def __call__(self, kind: str, _: Mapping[str, object]) -> None:
        """Hear of something."""
        self.kinds.append(kind)
        self._news.set()

    async def more(self) -> None:
        """Wait until something is told."""
        with trio.fail_after(DEADLINE_S):
            await self._news.wait()
        self._news = trio.Event()


@asynccontextmanager
async def _kept(device: Replica, told: Told) -> AsyncIterator[GoingOn]:
    going_on = GoingOn(device.store, told, lambda: NONCE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(going_on.keep)
        yield going_on
        nursery.cancel_scope.cancel()


async def test_a_device_that_takes_its_rows_back_goes_on_when_it_is_asked(
    replicas: list[Replica],
) -> None:
    """Once, however often; and it says so."""
    device, told = replicas[0], Told()
    await device.store.write(restoring.begin)
    async with _kept(device, told) as going_on:
        going_on.ask()
        going_on.ask()
        await told.more()
        assert told.kinds == ["restored"]
    assert held(device, device).incarnation == Incarnation(2, NONCE)


async def test_a_device_that_was_not_restored_stays_in_its_incarnation(
    replicas: list[Replica],
) -> None:
    """It was asked too late, as a person had let it go on."""
    device, told = replicas[0], Told()
    async with _kept(device, told) as going_on:
        going_on.ask()
        await trio.testing.wait_all_tasks_blocked()
        assert await device.store.read(restoring.life) == ""
    assert told.kinds == []
    assert held(device, device).incarnation.generation == 1


async def test_a_disk_that_takes_nothing_is_told_of(replicas: list[Replica]) -> None:
    """It goes on when it is asked again, and there is room."""
    device, told = replicas[0], Told()
    await device.store.write(restoring.begin)
    async with _kept(device, told) as going_on:
        with limited(4_096):
            going_on.ask()
            await told.more()
        assert told.kinds == ["not_kept"]
        assert await device.store.heal()
        going_on.ask()
        await told.more()
    assert told.kinds == ["not_kept", "restored"]
