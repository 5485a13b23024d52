"""Who has what of the log, as history shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from leaderless.catalogue.history import Filter, actions, confirmed_by
from leaderless.protocol.messages import FeedPosition
from leaderless.sync.confirmations import Confirmations
from registry.changes import Create
from tests.cluster import open_cluster
from tests.replicas import Replica, query_file

FEED, PEER = b"f" * 44, b"p" * 16
MANY = 2_000
"""More feeds than the free pages of a new file have room for."""
HELD = "SELECT device, feed, received, applied FROM confirmation"


@pytest.fixture
def autojump_clock() -> MockClock:
    """Let time jump to what comes next."""
    return MockClock(autojump_threshold=0.01)


async def test_what_a_peer_says_it_has_is_written_down(
    replicas: list[Replica], autojump_clock: MockClock
) -> None:
    """Many words in a row make one line for each feed, a little later."""
    replica = replicas[0]
    written = trio.Event()
    replica.store.listen(written.set)
    kept = Confirmations(replica.store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        for applied in (1, 2, 3):
            kept.heard(PEER, {FEED: FeedPosition(3, applied)})
        await written.wait()
        nursery.cancel_scope.cancel()
    assert query_file(replica.store.path, HELD) == [(PEER, FEED, 3, 3)]


async def test_an_action_is_confirmed_by_who_has_applied_it(tmp_path: Path) -> None:
    """After two devices have met, the author can see that the other has it."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        uuid = a.store.ids.new()
        edit = Create("tag", uuid, {"canonical_name": "trip"})
        await a.store.write(lambda tx: tx.commit("tag.create", [edit]))
        await cluster.connect(1, 0)
        await cluster.until_in_sync((0, 1))
        action = await a.store.read(lambda c: next(actions(c, Filter())))

        def confirmed() -> bool:
            held = query_file(a.store.path, "SELECT device FROM confirmation WHERE applied > 0")
            return (b.device,) in held

        await cluster.until(confirmed)
        assert await a.store.read(lambda c: confirmed_by(c, action)) == [b.device]


async def test_a_full_disk_ends_nothing(replicas: list[Replica], autojump_clock: MockClock) -> None:
    """What cannot be written down is tried again when a peer says more."""
    store = replicas[0].store
    await store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count = 1"))
    feeds = {at.to_bytes(44): FeedPosition(1, 1) for at in range(MANY)}
    feeds[FEED] = FeedPosition(1, 1)
    written = trio.Event()
    kept = Confirmations(store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep)
        kept.heard(PEER, feeds)
        await trio.sleep(10)
        await store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count = 99999"))
        store.listen(written.set)
        kept.heard(PEER, {FEED: FeedPosition(2, 2)})
        await written.wait()
        nursery.cancel_scope.cancel()
    held = query_file(store.path, "SELECT count(*), sum(received) FROM confirmation")
    assert held == [(MANY + 1, MANY + 2)]
