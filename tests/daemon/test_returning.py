"""A device that was away for a year, while all that it knew was deleted and forgotten."""

from __future__ import annotations

from pathlib import Path

from leaderless.catalogue.export import export_lines
from leaderless.daemon.forgetting import DAY_MS, Forgetting
from leaderless.protocol.retention import LEASE_MS, Terms
from leaderless.store.inventory import shared_items
from registry.changes import Create, Delete, Edit, Update
from tests.cluster import Cluster, Node, open_cluster
from tests.replicas import START_MS, Replica, add_tree, make_replicas, query_file
from tests.store.passing import within

KEPT, GONE, OFFLINE = (bytes([at]) * 16 for at in (0x11, 0x22, 0x33))
YEAR_MS = 365 * DAY_MS
TERMS = Terms(30 * DAY_MS, 2, LEASE_MS, YEAR_MS)
FILES = "SELECT uuid FROM entry WHERE kind = 'file'"
TAGS = "SELECT uuid, color, icon FROM tag ORDER BY uuid"
BODIES = "SELECT count(*) FROM commit_log WHERE body IS NULL"


async def _edit(node: Node, *edits: Edit) -> None:
    node.replica.clock.ms += 1_000
    await node.store.write(lambda tx: tx.commit("test", edits))


async def _forget(*nodes: Node) -> None:
    """Let each of these make a pass, as one of two that see each other."""
    for node in nodes:
        devices = {other.device for other in nodes} - {node.device}
        away = query_file(node.store.path, "SELECT uuid FROM device WHERE name = 'device2'")
        others = devices | {uuid for (uuid,) in away}
        pass_ = Forgetting(
            node.store, TERMS, lambda o=others: o, lambda d=devices: d, lambda *_: None
        )
        await pass_.run(whole=True)


def _exported(replica: Replica) -> bytes:
    return within(replica, lambda c: b"".join(export_lines(c, replica.store.registry)))


def _told(node: Node, other: Node) -> bool:
    """Return whether it is written down that another has all of a device's own rows."""
    told = "SELECT device, watermark FROM owned_confirmation"
    own = "(SELECT value FROM meta WHERE name = 'own_epoch')"
    held = f"SELECT watermark FROM incarnation WHERE id = {own}"  # noqa: S608
    ((watermark,),) = query_file(node.store.path, held)
    return (other.device, watermark) in query_file(node.store.path, told)


async def _meet(cluster: Cluster, *pairs: tuple[int, int]) -> None:
    for a, b in pairs:
        await cluster.connect(a, b)
    await cluster.until_in_sync(*pairs)


async def test_a_device_that_returns_after_a_year_resurrects_nothing_and_loses_nothing(
    tmp_path: Path,
) -> None:
    """Files and tags that were deleted stay so everywhere; its own offline edits arrive."""
    replicas = make_replicas(tmp_path, 3)
    add_tree(replicas[0], 6)
    async with open_cluster(tmp_path, 3, replicas) as cluster:
        one, two, away = cluster.nodes
        await _edit(
            one, Create("tag", KEPT, {"color": "red"}), Create("tag", GONE, {"icon": "sun"})
        )
        ends = [*(await cluster.connect(2, 0)), *(await cluster.connect(2, 1))]
        await _meet(cluster, (0, 1))
        await cluster.until_in_sync((0, 2), (1, 2))
        for end in ends:
            await end.aclose()
        await _edit(
            away, Update("tag", GONE, {"icon": "moon"}), Update("tag", KEPT, {"icon": "sea"})
        )
        await _edit(away, Create("tag", OFFLINE, {"color": "blue"}))
        files = [uuid for (uuid,) in query_file(one.store.path, FILES)]
        await one.store.write(lambda tx: tx.drop("entry", files[:5]))
        await _edit(one, Delete("tag", GONE))
        for at in range(8):
            await _edit(two, Update("tag", KEPT, {"color": f"c{at}"}))
        await cluster.until_in_sync((0, 1))
        for node in (one, two, away):
            node.replica.clock.ms = START_MS + YEAR_MS
        await _edit(one, Update("tag", KEPT, {"description": "later"}))
        await cluster.until_in_sync((0, 1))
        await cluster.until(lambda: _told(one, two))
        await _forget(one, two)
        assert query_file(one.store.path, "SELECT count(*) FROM tombstone") == [(0,)]
        assert query_file(one.store.path, BODIES)[0][0] > 5
        await _meet(cluster, (2, 1))
        await _meet(cluster, (2, 0))
        await cluster.until_in_sync((0, 1), (0, 2), (1, 2))
        assert _exported(one.replica) == _exported(two.replica) == _exported(away.replica)
        assert query_file(away.store.path, FILES) == [(files[5],)]
        tags = query_file(one.store.path, TAGS)
        assert tags == [(KEPT, "c7", "sea"), (OFFLINE, "blue", None)]
        held = [within(node.replica, lambda c: set(shared_items(c))) for node in (one, two, away)]
        assert held[0] == held[1] == held[2]
        lost = query_file(away.store.path, "SELECT record, field FROM journal")
        assert lost == [(GONE, "icon")]
