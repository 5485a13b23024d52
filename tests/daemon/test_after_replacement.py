"""How long a device whose database was replaced waits for others."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from leaderless.daemon.after_replacement import WAIT_S, wait_for_peers
from leaderless.store import meta, restoring
from leaderless.store.repair import Replaced
from tests.cluster import Cluster, Node, open_cluster
from tests.replicas import Replica, make_replicas, query_file
from tests.store.passing import within
from tests.sync.test_replaced import FILES, lived, opened

NONCE = b"new life"


def _replaced(folder: Path) -> list[Replica]:
    """Return two devices, of which the first has a database that has replaced another."""
    replicas = make_replicas(folder, 2)
    told = json.dumps(Replaced(1_000, "library.db.corrupt", 500, "bad", 5, NONCE.hex()))
    within(replicas[0], lambda c: meta.put(c, meta.REPLACED, told))
    replicas[0].store.write_here(restoring.after_replacement)
    return replicas


async def _wait(node: Node, wait_s: float = WAIT_S) -> None:
    await wait_for_peers(
        node.store,
        node.driver,
        lambda: node.driver.applier.members,
        lambda kind, data: node.told.append((kind, dict(data))),
        wait_s,
    )


async def _goes_on(cluster: Cluster, tmp_path: Path, wait_s: float = WAIT_S) -> None:
    a = cluster.nodes[0]
    with trio.fail_after(60):
        await _wait(a, wait_s)
    assert a.kinds().count("restored") == 1
    assert within(a.replica, restoring.life) == ""
    generations = "SELECT max(generation) FROM incarnation"
    assert query_file(tmp_path / "library0.db", generations) == [(6,)]


async def test_it_goes_on_once_all_members_have_said_that_they_know_no_more(
    tmp_path: Path,
) -> None:
    """Long before its time is over."""
    async with open_cluster(tmp_path, 2, _replaced(tmp_path)) as cluster:
        await cluster.connect(0, 1)
        await cluster.until(lambda: any(peer.known for peer in _peers(cluster)))
        began = trio.current_time()
        await _goes_on(cluster, tmp_path)
        assert trio.current_time() - began < WAIT_S / 2


def _peers(cluster: Cluster):  # noqa: ANN202
    return cluster.nodes[0].driver.exchange.peers.values()


async def test_it_goes_on_alone_when_its_time_is_over(tmp_path: Path) -> None:
    """Others may be away for ever."""
    async with open_cluster(tmp_path, 2, _replaced(tmp_path)) as cluster:
        await _goes_on(cluster, tmp_path, 0.0)


async def test_it_waits_for_one_that_knows_more(tmp_path: Path) -> None:
    """Its time being over, it has back what the other held, with the same ids."""
    files = await lived(tmp_path)
    async with open_cluster(tmp_path, 2, opened(tmp_path)) as cluster:
        a = cluster.nodes[0]
        await cluster.connect(0, 1)
        await cluster.until(lambda: any(peer.known for peer in _peers(cluster)))
        with trio.fail_after(60):
            await _wait(a, 0.0)
        await cluster.until(lambda: "restored" in a.kinds())
        assert query_file(a.store.path, FILES) == files


async def test_who_was_not_replaced_waits_for_nobody(tmp_path: Path) -> None:
    """It returns at once, and nothing is told."""
    async with open_cluster(tmp_path, 1) as cluster:
        await _wait(cluster.nodes[0])
        assert cluster.nodes[0].told == []
