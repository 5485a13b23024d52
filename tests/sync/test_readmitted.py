"""A device that was revoked and admitted anew, and then put back to a backup from before that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import trio.testing

from tests.cluster import Cluster, open_cluster, rows
from tests.replicas import START_MS, Replica, add_tree, open_replica
from tests.sync.test_restored import backup
from tests.sync.test_revoked import _admit_anew, create, edit, exported, part, revoke, tags

LATER_MS = START_MS + 60_000


async def readmit(cluster: Cluster, *, meets: bool = True) -> None:
    """Let the first device revoke the second, which hears of it, and admit it anew."""
    g, h = cluster.nodes[:2]
    await revoke(g, h)
    await cluster.until(lambda: not h.driver.applier.is_member(h.device))
    await cluster.until(lambda: not h.driver.exchange.peers)
    before = h.driver.exchange.ours.vectors.owned[h.device].incarnation
    await _admit_anew(g, h)
    # A new incarnation would end a link that is made meanwhile, and nobody dials again here.
    while h.driver.exchange.ours.vectors.owned[h.device].incarnation == before:
        await trio.testing.wait_all_tasks_blocked(0.01)
    if meets:
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))


def put_back(path: Path, count: int, ms: int = LATER_MS) -> list[Replica]:
    """Return all devices as they are now, and the second as it was at its backup."""
    shutil.copy(path / "backup.db", path / "library1.db")
    return [open_replica(path, at, ms) for at in range(count)]


async def go_on(cluster: Cluster) -> None:
    """Let the second device meet the first, take its rows back, and meet all of them again."""
    h, others = cluster.nodes[1], [at for at in range(len(cluster.nodes)) if at != 1]
    for at in others:
        await cluster.connect(at, 1)
    await cluster.until(lambda: "restored" in h.kinds())
    await part(cluster)
    for at in others:
        await cluster.connect(at, 1)
    await cluster.until_in_sync(*((at, 1) for at in others))


@pytest.mark.parametrize("since", ["nothing", "before the revoke", "after it was admitted"])
async def test_what_it_wrote_alone_reaches_the_others(tmp_path: Path, since: str) -> None:
    """Its feed of then is closed, so it names it in the one in which it goes on, without an edit."""
    async with open_cluster(tmp_path, 3) as cluster:
        g, h, _ = cluster.nodes
        await create(g)
        add_tree(h.replica, 3, "docs")
        await cluster.connect(0, 1)
        await cluster.connect(0, 2)
        await cluster.until_in_sync((0, 1), (0, 2))
        await edit(h, color="red")
        await cluster.until_in_sync((0, 1), (0, 2))
        backup(h.replica, tmp_path / "backup.db")
        if since == "before the revoke":
            await edit(h, icon="sun")
            await cluster.until_in_sync((0, 1), (0, 2))
        await readmit(cluster)
        if since == "after it was admitted":
            await edit(h, icon="sun")
        await cluster.until_in_sync((0, 1), (0, 2))
    async with open_cluster(tmp_path, 3, put_back(tmp_path, 3)) as cluster:
        g, h, i = cluster.nodes
        await edit(h, description="alone")
        await go_on(cluster)
        icon = None if since == "nothing" else "sun"
        assert tags(g) == tags(h) == tags(i) == [(None, "red", icon, "alone")]
        assert exported(g) == exported(h) == exported(i)
        query = "SELECT command FROM commit_log WHERE command = 'device.restore'"
        assert [len(rows(node, query)) for node in (g, h, i)] == [1, 1, 1]


async def test_its_own_later_life_is_no_second_machine(tmp_path: Path) -> None:
    """Also of a backup that was made just after another restore: a person had it join in between."""
    async with open_cluster(tmp_path, 2) as cluster:
        await cluster.connect(0, 1)
        add_tree(cluster.nodes[1].replica, 3, "docs")
        await cluster.nodes[1].driver.look_again()
        await cluster.until_in_sync((0, 1))
        backup(cluster.nodes[1].replica, tmp_path / "backup.db")
        await readmit(cluster)
    async with open_cluster(tmp_path, 2, put_back(tmp_path, 2)) as cluster:
        await go_on(cluster)
        backup(cluster.nodes[1].replica, tmp_path / "backup.db")
        await readmit(cluster)
    async with open_cluster(tmp_path, 2, put_back(tmp_path, 2, LATER_MS + 60_000)) as cluster:
        g, h = cluster.nodes
        await go_on(cluster)
        assert "cloned" not in h.kinds()
        assert exported(g) == exported(h)


async def test_who_hears_of_it_alone_goes_on_where_its_edits_count(tmp_path: Path) -> None:
    """Nobody had met it since it was admitted anew, so nobody holds anything of a later life of it."""
    async with open_cluster(tmp_path, 2) as cluster:
        g, h = cluster.nodes
        await create(g)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        backup(h.replica, tmp_path / "backup.db")
        await readmit(cluster, meets=False)
    async with open_cluster(tmp_path, 2, put_back(tmp_path, 2)) as cluster:
        g, h = cluster.nodes
        await edit(h, color="red")
        await go_on(cluster)
        await edit(h, icon="sun")
        await cluster.until_in_sync((0, 1))
        assert tags(g) == tags(h) == [(None, "red", "sun", None)]
