"""A device whose membership is taken away, and of which two machines had run."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing

from leaderless.catalogue.export import export_lines
from leaderless.store.holdings import read_holdings
from leaderless.store.rebuild import rebuild
from tests.cluster import open_cluster
from tests.replicas import START_MS, open_replica
from tests.sync.test_forks import _meet
from tests.sync.test_restored import backup
from tests.sync.test_revoked import create, edit, part, revoke

TAG = "SELECT icon, description FROM tag"


@pytest.mark.parametrize("knows_one", [True, False])
async def test_both_branches_count_of_a_revoked_device_that_members_built_on(
    clock: trio.testing.MockClock, tmp_path: Path, knows_one: bool
) -> None:
    """Whoever learns of the revoke first, and of a branch later: nobody waits for ever."""
    async with open_cluster(tmp_path, 4) as cluster:
        *_, x = cluster.nodes
        await create(x)
        for pair in ((0, 3), (1, 3), (2, 3)):
            await cluster.connect(*pair)
        await cluster.until_in_sync((0, 3), (1, 3), (2, 3))
        backup(x.replica, tmp_path / "clone.db")
    later = START_MS + 60_000
    replicas = [open_replica(tmp_path, at, later) for at in range(4)]
    replicas.append(open_replica(tmp_path, 3, later, "clone.db"))
    async with open_cluster(tmp_path, 5, replicas) as cluster:
        a, b, c, x, twin = cluster.nodes
        await edit(x, color="red")
        await edit(x, color="green")
        await edit(twin, color="blue")
        await _meet(cluster, (1, 3))
        await _meet(cluster, (2, 4))
        await edit(b, icon="of b")
        await edit(c, description="of c")
        if knows_one:
            await part(cluster)
            await _meet(cluster, (0, 1))
        await part(cluster)
        await revoke(a, x)
        await _meet(cluster, (0, 1))
        await _meet(cluster, (0, 1), (1, 2))
        registry = a.store.registry
        shown = set()
        for node in (a, b, c):
            exported = await node.store.read(lambda n: b"".join(export_lines(n, registry)))
            said = await node.store.read(lambda n: n.exec_driver_sql(TAG).one())
            assert tuple(said) == ("of b", "of c")
            assert (await node.store.read(read_holdings)).unproved == {}
            again = await node.store.write(lambda tx: rebuild(tx.conn, registry, 0))
            assert again.differences == ()
            shown.add(exported)
        assert len(shown) == 1
