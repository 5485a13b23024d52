"""Devices that talk while the disk of one is full: nothing is acknowledged, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from leaderless.protocol.promising import TIMES
from registry.changes import Create
from tests.cluster import Node, open_cluster, rows
from tests.replicas import add_tree

_COUNT = "SELECT count(*) FROM entry WHERE dead = 0"
_TAGS = "SELECT count(*) FROM tag"


async def _has_room(node: Node, pages: int) -> None:
    """Let a device's database grow by so many pages, and no further."""
    (held,) = rows(node, "PRAGMA page_count")[0]
    most = f"PRAGMA max_page_count = {held + pages}"
    await node.store.write(lambda tx: tx.conn.exec_driver_sql(most))


async def test_what_a_full_disk_does_not_take_is_asked_for_again(tmp_path: Path) -> None:
    """The link stays, the cursor too; when there is room all of it comes and is proved."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        add_tree(a.replica, 20_000)
        await a.driver.look_again()
        await _has_room(b, 200)
        await cluster.connect(0, 1)
        await cluster.until(lambda: "not_kept" in b.kinds())
        assert b.store.disk.trouble is not None
        assert rows(b, _COUNT)[0][0] < 20_000
        assert b.driver.connected() != {}
        assert not any(
            a.driver.exchange.is_proved(peer) for peer in a.driver.exchange.peers.values()
        )
        await _has_room(b, 1_000_000)
        assert await b.store.heal()
        b.driver.reconnect()
        await cluster.until(lambda: not a.driver.exchange.peers and not b.driver.exchange.peers)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert rows(b, _COUNT) == rows(a, _COUNT)


async def test_a_device_with_a_full_disk_still_gives(tmp_path: Path) -> None:
    """What it holds goes on being sent to others while it takes nothing."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        add_tree(a.replica, 20_000)
        await a.driver.look_again()
        await b.store.write(lambda tx: tx.commit("tag.create", [Create("tag", bytes(16), {})]))
        await _has_room(b, 40)
        await cluster.connect(0, 1)
        await cluster.until(lambda: "not_kept" in b.kinds())
        await cluster.until(lambda: rows(a, _TAGS) == [(1,)])
        tag = b.store.ids.new()
        await b.store.write(lambda tx: tx.commit("tag.create", [Create("tag", tag, {})]))
        await cluster.until(lambda: rows(a, _TAGS) == [(2,)])


async def test_what_a_full_disk_does_not_take_is_held_against_nobody(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """However often it is asked for meanwhile, its source is not said to withhold it."""
    async with open_cluster(tmp_path, 3, batch_rows=500) as cluster:
        a, b, _ = cluster.nodes
        add_tree(a.replica, 20_000)
        await a.driver.look_again()
        await cluster.connect(0, 2)
        await cluster.until_in_sync((0, 2))
        await _has_room(b, 40)
        await cluster.connect(2, 1)
        await cluster.connect(0, 1)
        await trio.sleep(300)
        assert b.kinds().count("not_kept") > TIMES
        assert "withholds" not in b.kinds()
