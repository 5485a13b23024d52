"""Owners' floors on their way: signed, handed on, and what becomes of who was away meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leaderless.catalogue.export import export_lines
from leaderless.protocol import floor as floors
from leaderless.store import state_source
from leaderless.store.tombstones import drop_own
from leaderless.sync.apply import Applier
from tests.cluster import Cluster, open_cluster
from tests.replicas import Replica, add_tree, key_of, make_replicas, query_file
from tests.store.passing import batches, held, within
from tests.store.restored import Lives
from tests.sync.applying import refused

GONE = "SELECT uuid FROM entry WHERE name = CAST('file0' AS BLOB)"


def exported(replica: Replica) -> bytes:
    """Return every synced record of a device."""
    return within(replica, lambda c: b"".join(export_lines(c, replica.store.registry)))


async def drop_one(replica: Replica) -> None:
    """Delete a file, and forget that it was deleted: nobody else is waited for."""
    (uuid,) = query_file(replica.store.path, GONE)[0]
    await replica.store.write(lambda tx: tx.drop("entry", [uuid]))
    assert await replica.store.write(lambda tx: drop_own(tx, ())) == 1


async def _meet(cluster: Cluster, a: int, b: int) -> None:
    ends = await cluster.connect(a, b)
    await cluster.until_in_sync((a, b))
    await ends[0].aclose()


async def test_who_was_away_while_all_was_forgotten_holds_the_same_as_the_owner(
    tmp_path: Path,
) -> None:
    """What was deleted and dropped meanwhile is gone there, too, and both prove it."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        add_tree(a.replica, 5)
        await _meet(cluster, 0, 1)
        await drop_one(a.replica)
        await cluster.connect(1, 0)
        await cluster.until_in_sync((0, 1))
        assert query_file(b.store.path, GONE) == []
        assert exported(a.replica) == exported(b.replica)


async def test_a_relay_hands_the_floor_on(tmp_path: Path) -> None:
    """Who was away takes all rows anew from a device that is not their owner."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, _, c = cluster.nodes
        add_tree(a.replica, 5)
        await _meet(cluster, 0, 1)
        await _meet(cluster, 0, 2)
        await drop_one(a.replica)
        await _meet(cluster, 0, 1)
        await cluster.connect(2, 1)
        await cluster.until_in_sync((1, 2))
        assert query_file(c.store.path, GONE) == []
        assert exported(a.replica) == exported(c.replica)


@pytest.mark.parametrize("part", ["signature", "owner", "library", "incarnation"])
async def test_a_floor_that_its_owner_did_not_sign_is_refused(
    replicas: list[Replica], part: str
) -> None:
    """Nobody else makes a device drop what it holds."""
    owner, relay, receiver = replicas
    add_tree(owner, 2)
    await drop_one(owner)
    (batch,) = batches(owner, owner)
    said = floors.decode(batch.floor)
    if part == "signature":
        word = bytes(64) + batch.floor[64:]
    else:
        wrong = {
            "owner": replace(said, owner=relay.identity.device),
            "library": replace(said, library=bytes(16)),
            "incarnation": replace(said, incarnation=held(relay, relay).incarnation),
        }[part].encode()
        word = owner.identity.sign(floors.DOMAIN + wrong) + wrong
    assert (
        await refused(receiver, replace(batch, floor=word), relay.identity.device) == "unverified"
    )
    assert within(receiver, lambda c: state_source.copy_of(c, owner.identity.device)) is None


async def test_who_began_to_take_all_rows_anew_tells_their_owner_that_it_was_restored(
    tmp_path: Path,
) -> None:
    """It heard of a floor beyond the backup, so it would take nothing of the owner from then on."""
    lives = Lives(tmp_path, make_replicas(tmp_path, 2))
    owner, peer = lives.device, lives.peer
    add_tree(owner, 4)
    lives.tell()
    lives.back_up()
    before = held(owner, owner).watermark
    await drop_one(owner)
    applier = Applier(peer.store, await peer.store.membership(key_of))
    outcome = await applier.apply(next(batches(owner, owner, before)), owner.identity.device)
    assert (outcome.used, held(peer, owner).watermark) == (False, 0)
    lives.put_back()
    async with open_cluster(tmp_path, 2, [lives.device, peer]) as cluster:
        a = cluster.nodes[0]
        await cluster.connect(0, 1)
        await cluster.until(lambda: "restored" in a.kinds())
        await cluster.until(lambda: not a.driver.exchange.peers)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert exported(a.replica) == exported(peer)
