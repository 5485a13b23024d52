"""A device that was put back after a restore, or cloned: which of the two it is, and the way on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from leaderless.store import restoring
from tests.cluster import Cluster, open_cluster
from tests.replicas import START_MS, Replica, add_tree, open_replica, query_file
from tests.store.passing import within
from tests.sync.test_restored import backup, live, meet

HOUR_MS = 3_600_000
FILES = "SELECT e.uuid FROM entry e JOIN incarnation i ON i.id = e.epoch ORDER BY 1"


def put_back(folder: Path, later_ms: int, file: str = "backup.db") -> list[Replica]:
    """Return a device that is put back to a copy of its file, and its peer."""
    shutil.copy(folder / file, folder / "library0.db")
    return [open_replica(folder, at, START_MS + later_ms) for at in range(2)]


def _newest(replica: Replica) -> tuple[int, ...]:
    """Return what a replica holds of the device at last: its generation and rev."""
    query = "SELECT generation, watermark FROM incarnation ORDER BY 1 DESC, 2 DESC LIMIT 1"
    return query_file(replica.store.path, query)[0]


async def meet_until(cluster: Cluster, what: Callable[[], bool]) -> None:
    """Let the first device meet the second, a few times: a new incarnation ends a link."""
    for _ in range(6):
        if what():
            return
        await meet(cluster, 0)
    assert what()


async def test_a_backup_of_a_restored_device_is_put_back_within_a_day(tmp_path: Path) -> None:
    """As often as somebody likes: it takes its rows back each time, and nobody takes it for a clone."""
    async with open_cluster(tmp_path, 2) as cluster:
        await live(cluster, "docs")
        backup(cluster.nodes[0].replica, tmp_path / "backup.db")
        add_tree(cluster.nodes[0].replica, 2, "photos")
        await cluster.nodes[0].driver.look_again()
        await cluster.until_in_sync((0, 1))
    for at, file in enumerate(("backup.db", "second.db", "second.db"), start=1):
        replicas = put_back(tmp_path, at * HOUR_MS, file)
        before = {*query_file(replicas[1].store.path, FILES)}
        async with open_cluster(tmp_path, 2, replicas) as cluster:
            a = cluster.nodes[0]
            await meet_until(cluster, lambda: "restored" in a.kinds())  # noqa: B023
            assert a.kinds().count("restored") == 1
            assert "cloned" not in a.kinds()
            assert {*query_file(replicas[0].store.path, FILES)} == before
            if at == 1:
                backup(a.replica, tmp_path / "second.db")
            add_tree(a.replica, 1, f"files{at}")
            await a.driver.look_again()
            await meet_until(cluster, lambda: _newest(replicas[1]) >= _newest(replicas[0]))  # noqa: B023


async def test_a_clone_that_is_claimed_keeps_the_ids_of_what_the_other_told(tmp_path: Path) -> None:
    """The other one has stopped; its files are there, and those that this one found alone."""
    async with open_cluster(tmp_path, 2) as cluster:
        await live(cluster, "docs")
        backup(cluster.nodes[0].replica, tmp_path / "clone.db")
    machines = [open_replica(tmp_path, 0, START_MS + HOUR_MS, file) for file in (None, "clone.db")]
    peer = open_replica(tmp_path, 1, START_MS + HOUR_MS)
    for name, machine in zip(("ours", "theirs"), machines, strict=True):
        add_tree(machine, 2, name)
    async with open_cluster(tmp_path, 3, [machines[0], peer, machines[1]]) as cluster:
        for at in (0, 2) * 8:
            await meet(cluster, at)
        (at,) = [at for at in (0, 2) if within(machines[at // 2], restoring.life)]
        stopped, other = machines[at // 2], machines[1 - at // 2]
        add_tree(other, 2, "since")
        await cluster.nodes[2 - at].driver.look_again()
        ends = await cluster.connect(2 - at, 1)
        await cluster.until_in_sync((2 - at, 1))
        for end in ends:
            await end.aclose()
        mine = {*query_file(stopped.store.path, FILES)}
        told = {*query_file(peer.store.path, FILES)}
        assert told - mine
        assert stopped.store.write_here(lambda tx: restoring.claim(tx, b"nonce--9")) is None
        me = cluster.nodes[at]
        await me.driver.look_again()
        await cluster.until(lambda: me.driver.exchange.ours.life == restoring.RESTORING)
        seen = len(me.told)
        await cluster.connect(at, 1)
        await cluster.until(lambda: "restored" in me.kinds()[seen:])
        assert {*query_file(stopped.store.path, FILES)} == mine | told
