"""Devices that talk: the driver over real stores, with the network in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.changes import Create, Delete, Update
from tests.cluster import open_cluster, rows
from tests.replicas import add_tree

if TYPE_CHECKING:
    from pathlib import Path

_ENTRIES = "SELECT uuid, rev, name FROM entry WHERE dead = 0 ORDER BY uuid"
_TAGS = "SELECT uuid, display_name, color FROM tag ORDER BY uuid"


async def test_two_devices_sync_a_location(tmp_path: Path) -> None:
    """What one device indexed is on the other, and both prove it."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        add_tree(a.replica, 10_000)
        a.driver.on_store_change()
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert rows(b, _ENTRIES) == rows(a, _ENTRIES)


async def test_a_local_transaction_is_broadcast(tmp_path: Path) -> None:
    """A tag that is made while devices are connected arrives without being asked for."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        tag = a.store.ids.new()
        await a.store.write(
            lambda tx: tx.commit("tag.create", [Create("tag", tag, {"display_name": "Trip"})])
        )
        await cluster.until(lambda: rows(b, _TAGS) == [(tag, "Trip", None)])
        await cluster.until_in_sync((0, 1))


async def test_edits_of_different_fields_both_survive(tmp_path: Path) -> None:
    """Two offline edits of one tag, each of another field, are both there after the meeting."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        tag = a.store.ids.new()
        await a.store.write(lambda tx: tx.commit("tag.create", [Create("tag", tag, {})]))
        first = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in first:
            await end.aclose()
        await cluster.until(lambda: not a.driver.exchange.peers and not b.driver.exchange.peers)
        for node, field in ((a, {"display_name": "Trip"}), (b, {"color": "red"})):
            edit = Update("tag", tag, field)
            await node.store.write(lambda tx, edit=edit: tx.commit("tag.set", [edit]))
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert rows(a, _TAGS) == rows(b, _TAGS) == [(tag, "Trip", "red")]


async def test_the_later_of_two_edits_wins_and_the_other_is_in_the_journal(tmp_path: Path) -> None:
    """Two offline edits of one field leave the later value on both, the earlier in the journal."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        tag = a.store.ids.new()
        await a.store.write(
            lambda tx: tx.commit("tag.create", [Create("tag", tag, {"color": "blue"})])
        )
        first = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in first:
            await end.aclose()
        await cluster.until(lambda: not a.driver.exchange.peers and not b.driver.exchange.peers)
        b.replica.clock.ms += 1_000
        for node, value in ((a, "red"), (b, "green")):
            edit = Update("tag", tag, {"color": value})
            await node.store.write(lambda tx, edit=edit: tx.commit("tag.set", [edit]))
        await cluster.connect(1, 0)
        await cluster.until_in_sync((0, 1))
        journal = "SELECT field, value, cause FROM journal"
        assert rows(a, _TAGS) == rows(b, _TAGS) == [(tag, None, "green")]
        assert rows(a, journal) == rows(b, journal) == [("color", b"\xa3red", "overwritten")]


async def test_a_third_device_gets_everything_from_the_one_it_meets(tmp_path: Path) -> None:
    """In a line a-b-c, c gets a's rows and tags from b while a is away."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        add_tree(a.replica, 5_000)
        tag = a.store.ids.new()
        await a.store.write(lambda tx: tx.commit("tag.create", [Create("tag", tag, {})]))
        first = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in first:
            await end.aclose()
        await cluster.connect(1, 2)
        await cluster.until_in_sync((1, 2))
        assert rows(c, _ENTRIES) == rows(a, _ENTRIES)
        assert rows(c, _TAGS) == rows(a, _TAGS)
        await b.store.write(lambda tx: tx.commit("tag.delete", [Delete("tag", tag)]))
        await cluster.until(lambda: rows(c, _TAGS) == [])
