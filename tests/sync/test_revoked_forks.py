"""A device whose membership is taken away, and of which two machines had run."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing

from leaderless.catalogue.export import export_lines
from leaderless.protocol.messages import FeedPosition
from leaderless.store.holdings import read_holdings
from leaderless.store.rebuild import rebuild
from registry.changes import Dependency, FeedId
from tests.cluster import open_cluster
from tests.replicas import START_MS, open_replica
from tests.store.passing import chained, log_of, own_feed, signed_anew, store_commits, within
from tests.sync.test_forks import _meet
from tests.sync.test_restored import backup
from tests.sync.test_revoked import create, edit, part, revoke

COLOR = "SELECT color FROM tag"
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


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_branch_that_does_not_count_is_known_to_all(
    clock: trio.testing.MockClock, tmp_path: Path, is_known: bool
) -> None:
    """Who had one on the shelf when the device was revoked names positions by it: so do the others.

    Whether they know of a fork at that position anyway, or of none.
    """
    async with open_cluster(tmp_path, 4) as cluster:
        a, b, c, x = cluster.nodes
        await create(x)
        await edit(x, color="red")
        for pair in ((0, 3), (1, 3), (2, 3)):
            await cluster.connect(*pair)
        await cluster.until_in_sync((0, 3), (1, 3), (2, 3))
        await part(cluster)
        feed = own_feed(x.replica)
        _, last = log_of(x.replica, feed)
        if is_known:
            other = signed_anew(x.replica.identity, last, command="other")
            for node in (a, b, c):
                store_commits(node.replica, other)
        lost = Dependency(FeedId(c.device + feed[16:]), 5, b"h" * 32)
        late = signed_anew(x.replica.identity, last, command="late", dependencies=(lost,))
        behind = chained(x.replica.identity, late, last, last)
        store_commits(
            a.replica, *behind, signed_anew(x.replica.identity, behind[2], command="fork")
        )
        await revoke(a, x)
        await _meet(cluster, (0, 1), (1, 2))
        held = [within(node.replica, read_holdings) for node in (a, b, c)]
        assert len({holdings.vectors_digest() for holdings in held}) == 1
        shown = {of: at for of, at in held[0].vectors.feeds.items() if of.startswith(feed[:28])}
        assert shown[FeedId(feed[:28] + late.hash[:16])] == FeedPosition(2, 1)
        # Nothing of those that begin behind what does not count.
        assert {(at.received, at.applied) for at in shown.values()} <= {
            (1, 1),
            (2, 1),
            (2, 2),
            (0, 0),
        }
        for node in (a, b, c):
            assert await node.store.read(lambda n: n.exec_driver_sql(COLOR).scalar()) == "red"


@pytest.mark.parametrize("knows_one", [True, False])
async def test_nobody_has_to_know_of_a_fork_of_which_no_branch_counts(
    clock: trio.testing.MockClock, tmp_path: Path, knows_one: bool
) -> None:
    """Who had both on the shelf when the device was revoked is level with who had one, or none."""
    async with open_cluster(tmp_path, 4) as cluster:
        a, b, c, x = cluster.nodes
        await create(x)
        await edit(x, color="red")
        for pair in ((0, 3), (1, 3), (2, 3)):
            await cluster.connect(*pair)
        await cluster.until_in_sync((0, 3), (1, 3), (2, 3))
        await part(cluster)
        feed = own_feed(x.replica)
        _, last = log_of(x.replica, feed)
        lost = Dependency(FeedId(c.device + feed[16:]), 5, b"h" * 32)
        one, other = (
            chained(
                x.replica.identity,
                last,
                signed_anew(x.replica.identity, last, command=command, dependencies=(lost,)),
            )[1]
            for command in ("one", "other")
        )
        store_commits(a.replica, one, other)
        if knows_one:
            store_commits(b.replica, one)
        await revoke(a, x)
        await _meet(cluster, (0, 1), (1, 2))
        for node in (a, b, c):
            held = within(node.replica, read_holdings)
            shown = {of: at for of, at in held.vectors.feeds.items() if at.received}
            assert [at for of, at in shown.items() if of[:28] == feed[:28]] == [FeedPosition(2, 2)]
