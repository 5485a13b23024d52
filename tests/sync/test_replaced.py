"""Devices whose database was replaced by a snapshot, and what their peers give back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leaderless.store import repair, restoring
from leaderless.store.snapshots import take
from registry.changes import Create, Update
from tests.cluster import Cluster, open_cluster
from tests.replicas import START_MS, Replica, add_tree, open_replica, query_file
from tests.store.damage import damage
from tests.store.passing import held, within
from tests.sync.test_restored import exported

TAG = b"t" * 16
NONCE = b"new life"
FILES = "SELECT uuid FROM entry ORDER BY uuid"
LATER_MS = START_MS + 60_000


async def lived(tmp_path: Path, *, met_later: bool = True) -> list[tuple[Any, ...]]:
    """Let a device have a snapshot and go on after it; return its files. Then damage its database."""
    async with open_cluster(tmp_path, 2) as cluster:
        a = cluster.nodes[0]
        add_tree(a.replica, 300, "early")
        await a.store.write(lambda tx: tx.commit("tag.create", [Create("tag", TAG, {})]))
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        take(a.store.path, START_MS, lambda: True)
        if met_later:
            add_tree(a.replica, 20, "late")
            edit = Update("tag", TAG, {"color": "blue"})
            await a.store.write(lambda tx: tx.commit("tag.set", [edit]))
            await cluster.until_in_sync((0, 1))
        files = query_file(a.store.path, FILES)
    path = tmp_path / "library0.db"
    damage(path)
    repair.suspect(path)
    assert repair.mend(path, LATER_MS, NONCE) is not None
    return files


def opened(tmp_path: Path) -> list[Replica]:
    """Open the two devices again, a minute later."""
    return [open_replica(tmp_path, at, LATER_MS) for at in range(2)]


async def _until_back(cluster: Cluster) -> None:
    """Let the two meet until the first has gone on in a new incarnation, and both agree."""
    a = cluster.nodes[0]
    await cluster.connect(0, 1)
    await cluster.until(lambda: "restored" in a.kinds())
    await cluster.until(lambda: not a.driver.exchange.peers)
    await cluster.connect(0, 1)
    await cluster.until_in_sync((0, 1))


async def test_rows_since_the_snapshot_come_back_with_their_ids(tmp_path: Path) -> None:
    """From a peer, as they were signed; what hangs on them hangs on them still."""
    files = await lived(tmp_path)
    replicas = opened(tmp_path)
    assert query_file(replicas[0].store.path, FILES) != files
    async with open_cluster(tmp_path, 2, replicas) as cluster:
        await _until_back(cluster)
        a, b = cluster.nodes
        assert query_file(a.store.path, FILES) == files
        assert query_file(a.store.path, "SELECT color FROM tag") == [("blue",)]
        assert exported(a.replica) == exported(b.replica)


async def test_it_goes_on_above_all_that_the_damaged_file_had_used(tmp_path: Path) -> None:
    """In a new incarnation, writes again, and is not taken for a clone when it is restored later."""
    await lived(tmp_path)
    async with open_cluster(tmp_path, 2, opened(tmp_path)) as cluster:
        a = cluster.nodes[0]
        replaced = within(a.replica, repair.to_leave)
        assert replaced is not None
        await _until_back(cluster)
        assert held(a.replica, a.replica).incarnation.generation > replaced.above
        assert within(a.replica, repair.to_leave) is None
        assert within(a.replica, restoring.life) == ""
        add_tree(a.replica, 1, "new")
        await cluster.until_in_sync((0, 1))
        assert a.store.write_here(restoring.begin) == restoring.RESTORING


async def test_a_peer_that_knows_no_more_gives_nothing(tmp_path: Path) -> None:
    """The device goes on with all that it has: nothing was dropped."""
    files = await lived(tmp_path, met_later=False)
    async with open_cluster(tmp_path, 2, opened(tmp_path)) as cluster:
        a = cluster.nodes[0]
        await cluster.connect(0, 1)
        await cluster.until(lambda: "restored" in a.kinds())
        assert "took_back" not in a.kinds()
        assert query_file(a.store.path, FILES) == files
        assert within(a.replica, restoring.life) == ""
