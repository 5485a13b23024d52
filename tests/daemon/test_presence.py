"""Who was seen is written down, late and seldom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from leaderless.daemon.presence import WRITE_S, Presence, Sighting, open_presence
from tests.replicas import START_MS, Replica, query_file

PEER = b"p" * 16
MANY = 2_000
"""More devices than the free pages of a new file have room for."""
_SEEN = "SELECT device, last_seen_at FROM presence"


@asynccontextmanager
async def keeping(replica: Replica) -> AsyncIterator[tuple[Presence, list[None]]]:
    """Keep presence in a store; the list has an item for every write."""
    presence, writes = Presence(replica.store.now_ms), list[None]()
    replica.store.listen(lambda: writes.append(None))
    async with open_presence(presence, replica.store):
        yield presence, writes


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


async def _seen(replica: Replica) -> Presence:
    """Return what is known after a restart."""
    presence = Presence(replica.store.now_ms)
    await presence.load(replica.store)
    return presence


async def test_what_was_seen_is_known_at_once(replica: Replica) -> None:
    """Nobody has to wait for the database."""
    async with keeping(replica) as (presence, _):
        presence.heard("peer_connected", PEER)
        assert presence.of(PEER) == Sighting(START_MS)


async def test_nothing_is_known_of_who_was_never_seen(replica: Replica) -> None:
    """A new member has no time and no address."""
    assert (await _seen(replica)).of(PEER) == Sighting()


async def test_a_restart_forgets_nothing(replica: Replica) -> None:
    """Seen, answered and proved moments before the end: all of it is there afterwards."""
    async with keeping(replica) as (presence, _):
        presence.heard("proved", PEER)
        presence.reached(PEER, "b:1")
        replica.clock.ms += 1_000
        presence.heard("peer_disconnected", PEER)
    known = (await _seen(replica)).of(PEER)
    assert known == Sighting(START_MS + 1_000, "b:1", START_MS)


async def test_an_end_that_is_not_asked_for_forgets_nothing(replica: Replica) -> None:
    """A daemon that is cancelled still writes."""
    async with trio.open_nursery() as nursery, keeping(replica) as (presence, _):
        presence.heard("proved", PEER)
        nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint()
    assert (await _seen(replica)).of(PEER).proved_ms == START_MS


async def test_what_was_known_before_stays_with_what_is_new(replica: Replica) -> None:
    """A device that is seen again keeps its address and when it was proved."""
    for kind in ("proved", "peer_connected"):
        async with keeping(replica) as (presence, _):
            presence.heard(kind, PEER)
            if kind == "proved":
                presence.reached(PEER, "b:1")
        replica.clock.ms += 1_000
    assert (await _seen(replica)).of(PEER) == Sighting(START_MS + 1_000, "b:1", START_MS)


async def test_addresses_are_those_where_somebody_answered(replica: Replica) -> None:
    """Who called us has none of those; who moved has the newest alone."""
    async with keeping(replica) as (presence, _):
        presence.heard("peer_connected", b"q" * 16)
        for address in ("b:1", "b:2"):
            presence.reached(PEER, address)
    assert (await _seen(replica)).addresses() == [(PEER, "b:2")]


async def test_a_write_that_was_cut_off_is_done_again(replica: Replica) -> None:
    """Sightings wait for a database that is busy."""
    presence = Presence(replica.store.now_ms)
    presence.heard("proved", PEER)
    async with replica.store._write_lock:
        with trio.move_on_after(0):
            await presence.write(replica.store)
    await presence.write(replica.store)
    assert query_file(replica.store.path, _SEEN) == [(PEER, START_MS)]


async def test_a_full_disk_ends_nothing(
    replica: Replica, mock_clock: trio.testing.MockClock
) -> None:
    """Who was seen meanwhile is written down with the next one who is seen."""
    await replica.store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count = 1"))
    async with keeping(replica) as (presence, writes):
        for at in range(1, MANY):
            presence.heard("proved", at.to_bytes(16))
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(WRITE_S)
        while presence._unwritten:
            await trio.lowlevel.checkpoint()  # until it is tried
        while not presence._unwritten:
            await trio.lowlevel.checkpoint()  # until it has failed
        await replica.store.write(
            lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count = 99999")
        )
        presence.heard("proved", PEER)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(WRITE_S)
        await _written(writes, 2)
    assert len(query_file(replica.store.path, _SEEN)) == MANY


async def test_a_full_disk_does_not_keep_it_from_closing(replica: Replica) -> None:
    """What was seen last is lost then; it costs a call at an old address."""
    async with keeping(replica) as (presence, _):
        for at in range(200):
            presence.reached(bytes([at]) * 16, "x" * 9_999)
        await replica.store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count = 1"))
    assert query_file(replica.store.path, _SEEN) == []
    await replica.store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count = 99999"))
