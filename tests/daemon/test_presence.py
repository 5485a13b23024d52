"""Who was seen is written down, late and seldom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from leaderless.daemon.presence import WRITE_S, Presence
from tests.replicas import START_MS, Replica, query_file

PEER = b"p" * 16
_SEEN = "SELECT device, last_seen_at FROM presence"


@asynccontextmanager
async def keeping(replica: Replica) -> AsyncIterator[tuple[Presence, list[None]]]:
    """Keep presence in a store; the list has an item for every write."""
    presence, writes = Presence(), list[None]()
    replica.store.listen(lambda: writes.append(None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(presence.keep, replica.store)
        yield presence, writes
        nursery.cancel_scope.cancel()


async def _written(writes: list[None], count: int) -> None:
    while len(writes) < count:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("kind", ["peer_connected", "peer_disconnected", "proved"])
async def test_a_sighting_is_written_with_its_time(
    replica: Replica, mock_clock: trio.testing.MockClock, kind: str
) -> None:
    """What shows that a device is there is remembered over a restart."""
    async with keeping(replica) as (presence, writes):
        presence.heard(kind, PEER)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(WRITE_S)
        await _written(writes, 1)
    assert query_file(replica.store.path, _SEEN) == [(PEER, START_MS)]


async def test_many_sightings_are_one_write(
    replica: Replica, mock_clock: trio.testing.MockClock
) -> None:
    """Devices that come and go within seconds cost one transaction, and none is lost."""
    async with keeping(replica) as (presence, writes):
        for number in range(100):
            presence.heard("peer_connected", bytes([number % 3]) * 16)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(WRITE_S)
        await _written(writes, 1)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(10 * WRITE_S)
        await trio.testing.wait_all_tasks_blocked()
        assert len(writes) == 1
    assert len(query_file(replica.store.path, _SEEN)) == 3


async def test_a_later_sighting_takes_the_place_of_the_one_before(
    replica: Replica, mock_clock: trio.testing.MockClock
) -> None:
    """A device was last seen when it was last seen."""
    async with keeping(replica) as (presence, writes):
        for count in (1, 2):
            presence.heard("proved", PEER)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(WRITE_S)
            await _written(writes, count)
            replica.clock.ms += 1_000
    assert query_file(replica.store.path, _SEEN) == [(PEER, START_MS + 1_000)]


async def test_other_events_are_no_sighting(
    replica: Replica, mock_clock: trio.testing.MockClock
) -> None:
    """That a device's clock is wrong, or its rows differ, does not mean that it is there."""
    async with keeping(replica) as (presence, writes):
        presence.heard("future_stamp", PEER)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(10 * WRITE_S)
        await trio.testing.wait_all_tasks_blocked()
        assert writes == []
