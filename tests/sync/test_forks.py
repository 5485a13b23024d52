"""Two commits at one position: both branches count, nobody waits for ever, and the author goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import trio.testing

from leaderless.catalogue.history import Filter, action_json, actions
from leaderless.store import log
from leaderless.store.holdings import read_holdings
from leaderless.store.rebuild import rebuild
from registry.changes import Create, Delete, Update
from tests.cluster import Cluster, Node, open_cluster
from tests.forgery import own_feed
from tests.replicas import START_MS, open_replica
from tests.sync.test_restored import backup, exported

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_T = TypeVar("_T")
TAG, OTHER = b"t" * 16, b"u" * 16


async def _edit(node: Node, record: bytes = TAG, **fields: Any) -> None:
    await node.store.write(lambda tx: tx.commit("tag.set", [Update("tag", record, fields)]))


async def _create(node: Node, record: bytes = TAG) -> None:
    await node.store.write(lambda tx: tx.commit("tag.create", [Create("tag", record, {})]))


async def _within(node: Node, work: Callable[[Connection], _T]) -> _T:
    """Do something with a node's database, in the turn of its writer."""
    return await node.store.write(lambda tx: work(tx.conn))


async def _check(*nodes: Node) -> None:
    """All show the same, and what a rebuild from the log would show; the history can be read."""
    first, *others = nodes
    for node in others:
        assert exported(node.replica) == exported(first.replica)
    for node in nodes:
        registry = node.store.registry
        found = await _within(node, lambda c: rebuild(c, registry, 0))  # noqa: B023
        assert found.differences == ()
        await _within(node, lambda c: [action_json(c, item) for item in actions(c, Filter())])


async def _tag(node: Node, record: bytes = TAG) -> dict[str, Any]:
    query = "SELECT color, icon, description FROM tag WHERE uuid = ?"

    def read(c: Any) -> dict[str, Any]:
        row = c.exec_driver_sql(query, (record,)).mappings().first()
        return {} if row is None else {k: v for k, v in row.items() if v is not None}

    return await _within(node, read)


async def _meet(cluster: Cluster, *pairs: tuple[int, int]) -> None:
    """Connect devices until all agree, dialling again whoever has lost its connection."""
    for _ in range(20):
        for a, b in pairs:
            if _is_apart(cluster, a, b):
                await trio.sleep(1)  # as one who dials does
                await cluster.connect(a, b)
        await trio.testing.wait_all_tasks_blocked()
        await cluster.until(
            lambda: _proved(cluster, pairs) or any(_is_apart(cluster, *pair) for pair in pairs)
        )
        if _proved(cluster, pairs):
            return
    pytest.fail("they never agree")


def _is_apart(cluster: Cluster, a: int, b: int) -> bool:
    """Return whether both sides know that there is no connection between them."""
    one, other = cluster.nodes[a], cluster.nodes[b]
    return not any(
        link.device == peer.device
        for node, peer in ((one, other), (other, one))
        for link in node.driver._links.values()
    )


def _proved(cluster: Cluster, pairs: tuple[tuple[int, int], ...]) -> bool:
    def one(a: int, b: int) -> bool:
        driver, other = cluster.nodes[a].driver, cluster.nodes[b].device
        return any(
            peer.device == other and driver.exchange.is_proved(peer)
            for peer in driver.exchange.peers.values()
        )

    return all(one(a, b) and one(b, a) for a, b in pairs)


@pytest.mark.parametrize("lost", [1, 3])
@pytest.mark.parametrize("again", [1, 2])
async def test_edits_of_a_restored_device_in_numbers_used_before_arrive(
    clock: trio.testing.MockClock, tmp_path: Path, lost: int, again: int
) -> None:
    """Whatever was written under a number, before the backup was needed or after: all of it counts."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, _ = cluster.nodes
        await _create(a)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        backup(a.replica, tmp_path / "backup.db")
        for at in range(lost):
            await _edit(a, color=f"blue{at}")
        await cluster.until_in_sync((0, 1))
    shutil.copy(tmp_path / "backup.db", tmp_path / "library0.db")
    replicas = [open_replica(tmp_path, at, START_MS + 60_000) for at in range(2)]
    async with open_cluster(tmp_path, 2, replicas) as cluster:
        a, b = cluster.nodes
        for at in range(again):
            await _edit(a, icon=f"sun{at}")
        await _edit(b, description="words")
        await _meet(cluster, (0, 1))
        wanted = {"color": f"blue{lost - 1}", "icon": f"sun{again - 1}", "description": "words"}
        assert await _tag(a) == wanted
        assert await _tag(b) == wanted
        assert "restored" in a.kinds()
        await _edit(a, icon="moon")
        await _meet(cluster, (0, 1))
        assert (await _tag(b))["icon"] == "moon"
        await _check(a, b)


async def test_both_branches_of_a_fork_count_for_those_who_built_on_either(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """A clone writes with one member, the device itself with another; then all meet."""
    async with open_cluster(tmp_path, 4) as cluster:
        a, b, c, d = cluster.nodes
        await _create(a)
        for pair in ((0, 1), (0, 2), (0, 3)):
            await cluster.connect(*pair)
        await cluster.until_in_sync((0, 1), (0, 2), (0, 3))
        backup(a.replica, tmp_path / "clone.db")
    later = START_MS + 60_000
    ours, clone = open_replica(tmp_path, 0, later), open_replica(tmp_path, 0, later, "clone.db")
    others = [open_replica(tmp_path, at, later) for at in (1, 2, 3)]
    feed = own_feed(ours)
    async with open_cluster(tmp_path, 5, [ours, *others, clone]) as cluster:
        a, b, c, d, twin = cluster.nodes
        # The same link, as it were, made on both sides at the same number, and deleted on one.
        await _create(a, OTHER)
        await _edit(a, color="red")
        await _create(twin, OTHER)
        await _edit(twin, color="blue")
        await _meet(cluster, (0, 1))
        await _meet(cluster, (4, 2))
        await _edit(b, icon="of b")
        await b.store.write(lambda tx: tx.commit("tag.delete", [Delete("tag", OTHER)]))
        await _edit(c, description="of c")
        await _meet(cluster, (0, 1))
        await _meet(cluster, (4, 2))
        for node in cluster.nodes:
            node.driver.reconnect()
        await cluster.until(lambda: not any(n.driver.exchange.peers for n in cluster.nodes))
        # b, c and d have no way to the two machines any more: they alone have to make sense of it.
        await _meet(cluster, (1, 2), (2, 3))
        await _check(b, c, d)
        shown = await _tag(d)
        assert (shown["icon"], shown["description"]) == ("of b", "of c")
        assert shown["color"] in ("red", "blue")
        trunk = await _within(d, lambda conn: log.feed_of_or_none(conn, feed))
        assert trunk is not None
        assert (trunk.received, trunk.applied, trunk.forked) == (1, 1, 2)
        assert (await _within(d, read_holdings)).unproved == {}
        # The dot of the branch that b had not seen is alive.
        assert (
            await _within(
                d,
                lambda conn: conn.exec_driver_sql("SELECT count(*) FROM tag").scalar(),
            )
            == 2
        )
