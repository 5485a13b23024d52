"""Devices that were restored from a backup, or cloned, and the peers that know better."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from leaderless.catalogue.export import export_lines
from leaderless.protocol.messages import StateBatch
from leaderless.store import given_back, restoring, state_source
from leaderless.store.bare import Kept
from leaderless.store.engine import reader_engine
from leaderless.store.rebuild import rebuild
from leaderless.sync.apply import Applier
from leaderless.sync.signed import UnverifiedError
from registry.changes import Create, StateChange, Update
from tests.cluster import Cluster, open_cluster
from tests.liar import with_changes
from tests.replicas import (
    START_MS,
    Replica,
    add_tree,
    key_of,
    make_replicas,
    open_replica,
    query_file,
)
from tests.store.passing import batches, dump, held, pull, within

TAG = b"t" * 16
LATER_MS = START_MS + 60_000


def backup(replica: Replica, target: Path) -> None:
    """Copy the file of a device as it is now."""
    with (
        closing(sqlite3.connect(replica.store.path)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


def exported(replica: Replica) -> bytes:
    """Return every synced record of a device."""
    reader = Kept(reader_engine(replica.store.path))
    try:
        with reader.begin() as connection:
            return b"".join(export_lines(connection, replica.store.registry))
    finally:
        reader.dispose()


async def live(cluster: Cluster, tree: str, color: str | None = None) -> None:
    """Let the first device have files and a tag, and the second hear of them."""
    a = cluster.nodes[0]
    add_tree(a.replica, 3, tree)
    if color is not None:
        edit = Update("tag", TAG, {"color": color}) if color != "red" else Create("tag", TAG, {})
        await a.store.write(lambda tx: tx.commit("tag.set", [edit]))
    await a.driver.look_again()
    await cluster.connect(0, 1)
    await cluster.until_in_sync((0, 1))


async def test_a_restored_device_gets_its_rows_and_its_edits_back(tmp_path: Path) -> None:
    """With their ids, from a peer; it goes on in a new incarnation, and all agree."""
    async with open_cluster(tmp_path, 2) as cluster:
        await live(cluster, "docs", "red")
        backup(cluster.nodes[0].replica, tmp_path / "backup.db")
    replicas = [open_replica(tmp_path, at, LATER_MS) for at in range(2)]
    async with open_cluster(tmp_path, 2, replicas) as cluster:
        await live(cluster, "photos", "blue")
        before = exported(cluster.nodes[1].replica)
    shutil.copy(tmp_path / "backup.db", tmp_path / "library0.db")
    replicas = [open_replica(tmp_path, at, 2 * LATER_MS - START_MS) for at in range(2)]
    assert exported(replicas[0]) != before
    async with open_cluster(tmp_path, 2, replicas) as cluster:
        a, b = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until(lambda: "restored" in a.kinds())
        await cluster.until(lambda: not a.driver.exchange.peers)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert held(a.replica, a.replica).incarnation.generation == 2
        names = "SELECT name FROM location ORDER BY name"
        found = within(b.replica, lambda c: c.exec_driver_sql(names).scalars().all())
        assert found == ["docs", "photos"]
        assert exported(a.replica) == exported(b.replica)
        add_tree(a.replica, 1, "music")
        edit = Update("tag", TAG, {"color": "green"})
        await a.store.write(lambda tx: tx.commit("tag.set", [edit]))
        await cluster.until_in_sync((0, 1))
        assert exported(a.replica) == exported(b.replica)
        for node in (a, b):
            registry = node.store.registry
            assert within(node.replica, lambda c: rebuild(c, registry, 0)).differences == ()  # noqa: B023


async def test_a_device_that_forgot_edits_alone_uses_no_number_twice(tmp_path: Path) -> None:
    """Its rows are as they were; its commits come back, and the next is of a new feed."""
    async with open_cluster(tmp_path, 2) as cluster:
        await live(cluster, "docs", "red")
        backup(cluster.nodes[0].replica, tmp_path / "backup.db")
        a = cluster.nodes[0]
        edit = Update("tag", TAG, {"color": "blue"})
        await a.store.write(lambda tx: tx.commit("tag.set", [edit]))
        await cluster.until_in_sync((0, 1))
    shutil.copy(tmp_path / "backup.db", tmp_path / "library0.db")
    replicas = [open_replica(tmp_path, at, LATER_MS) for at in range(2)]
    async with open_cluster(tmp_path, 2, replicas) as cluster:
        a, b = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until(lambda: "restored" in a.kinds())
        edit = Update("tag", TAG, {"icon": "sun"})
        await a.store.write(lambda tx: tx.commit("tag.set", [edit]))
        await cluster.until(lambda: not a.driver.exchange.peers)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        query = "SELECT color, icon FROM tag"
        for node in (a, b):
            found = within(node.replica, lambda c: c.exec_driver_sql(query).all())
            assert found == [("blue", "sun")]


async def test_of_two_machines_with_one_key_one_stops_and_says_so(tmp_path: Path) -> None:
    """Each takes back what the other did, once; then it is clear what they are."""
    async with open_cluster(tmp_path, 2) as cluster:
        await live(cluster, "docs", "red")
        backup(cluster.nodes[0].replica, tmp_path / "clone.db")
    ours = open_replica(tmp_path, 0, LATER_MS)
    clone = open_replica(tmp_path, 0, LATER_MS, "clone.db")
    peer = open_replica(tmp_path, 1, LATER_MS)
    add_tree(ours, 1, "ours")
    async with open_cluster(tmp_path, 3, [ours, peer, clone]) as cluster:
        for _ in range(8):
            for at in (0, 2):
                await meet(cluster, at)
            if within(ours, restoring.life) == "":
                add_tree(ours, 1, "more")
        lives = sorted(within(replica, restoring.life) for replica in (ours, clone))
        assert lives == ["", restoring.CLONED]
        assert sum("cloned" in cluster.nodes[at].kinds() for at in (0, 2)) == 1


async def meet(cluster: Cluster, at: int) -> None:
    """Connect a device with the peer until something came of it, unless it has stopped.

    A new incarnation ends the link, and may end the next one: nobody dials again here.
    """
    me, words = cluster.nodes[at], {"proved", "restored", "cloned", "peer_disconnected"}
    if "cloned" in me.kinds():
        return
    seen = len(me.told)
    ends = await cluster.connect(at, 1)
    await cluster.until(lambda: not words.isdisjoint(me.kinds()[seen:]))
    if "restoring" in me.kinds()[seen:]:
        await cluster.until(lambda: "restored" in me.kinds()[seen:])
    for end in ends:
        await end.aclose()
    await cluster.until(lambda: not any(node.driver.exchange.peers for node in cluster.nodes))


@pytest.mark.parametrize("unsigned", [True, False])
async def test_nobody_makes_a_device_believe_that_it_was_restored(
    replicas: list[Replica], unsigned: bool
) -> None:
    """Rows that it has not signed are refused, rows that it knows are passed over."""
    owner, relay = replicas[0], replicas[1]
    registry = owner.store.registry
    batch = within(
        owner, lambda c: state_source.read_batch(c, registry, owner.identity.device, 0, set())
    )
    assert isinstance(batch, StateBatch)
    applier = Applier(owner.store, await owner.store.membership(key_of))
    if unsigned:
        forged = batch.checkpoint[:-1] + bytes([batch.checkpoint[-1] ^ 1])
        batch = StateBatch(
            *(batch.owner, batch.incarnation, batch.lo, batch.hi, batch.head, batch.as_of),
            batch.changes,
            forged,
        )
        with pytest.raises(UnverifiedError):
            await applier.apply(batch, relay.identity.device)
    else:
        outcome = await applier.apply(batch, relay.identity.device)
        assert outcome.used is False
    assert within(owner, restoring.life) == ""


def _own_rows(path: Path, more: int = 0) -> tuple[Replica, list[Replica]]:
    """Return a device that was put back to when it had nothing, and two that hold its rows.

    The first of them holds `more`.
    """
    owner, *others = make_replicas(path, 3)
    backup(owner, path / "backup.db")
    add_tree(owner, 4)
    for other in others:
        pull(owner, other, owner)
    if more:
        add_tree(owner, more, "more")
        pull(owner, others[0], owner)
    owner.store.close()
    shutil.copy(path / "backup.db", path / "library0.db")
    return open_replica(path, 0), others


def _batch_of(replica: Replica, owner: Replica) -> StateBatch:
    device, registry = owner.identity.device, owner.store.registry
    found = within(replica, lambda c: state_source.read_batch(c, registry, device, 0, set()))
    assert isinstance(found, StateBatch)
    return found


async def test_what_one_peer_invented_does_not_keep_a_device_from_its_rows(tmp_path: Path) -> None:
    """Each peer gives all of it: who gave what was never signed is named, and nothing is kept."""
    owner, (liar, honest) = _own_rows(tmp_path)
    applier = Applier(owner.store, await owner.store.membership(key_of))
    true = _batch_of(honest, owner)
    before = dump(owner)
    lie = with_changes(true, lambda change: replace(change, rows=change.rows[:1]))
    outcome = await applier.apply(lie, liar.identity.device)
    assert outcome.distrusted == ((owner.identity.device, liar.identity.device),)
    assert [kind for kind, _ in outcome.notes] == ["restoring", "state_differs"]
    assert within(owner, restoring.life) == restoring.RESTORING
    assert dump(owner) == before
    outcome = await applier.apply(true, honest.identity.device)
    assert [kind for kind, _ in outcome.notes] == ["took_back"]
    for replica in (owner, liar, honest):
        replica.store.close()


async def test_ids_of_ours_that_somebody_invented_elsewhere_do_not_cost_us_the_rows(
    tmp_path: Path,
) -> None:
    """What holds them and was never proved goes, and who brought that is suspected, not who gives."""
    owner, (honest, liar) = _own_rows(tmp_path)
    add_tree(honest, 4, "theirs")
    true, copied = _batch_of(honest, owner), _batch_of(honest, honest)
    stolen = [row[0] for change in true.changes for row in change.rows if change.model == "entry"]

    def with_ids_of_ours(change: StateChange) -> StateChange:
        if change.model != "entry":
            return change
        (uuid, *fields), *rest = reversed(change.rows)
        assert uuid not in stolen
        return replace(change, rows=[*reversed(rest), (stolen[-1], *fields)])

    lie = with_changes(replace(copied, hi=copied.hi - 1), with_ids_of_ours)
    applier = Applier(owner.store, await owner.store.membership(key_of))
    assert (await applier.apply(lie, liar.identity.device)).used
    outcome = await applier.apply(true, honest.identity.device)
    assert [kind for kind, _ in outcome.notes] == ["restoring", "took_back", "state_differs"]
    assert outcome.suspects == ((honest.identity.device, liar.identity.device),)
    assert held(owner, owner).watermark == true.head
    for replica in (owner, honest, liar):
        replica.store.close()


async def test_the_best_of_what_is_given_back_is_kept(tmp_path: Path) -> None:
    """Older rows first, then newer ones; then the older ones are not wanted any more."""
    owner, (most, some) = _own_rows(tmp_path, more=2)
    applier = Applier(owner.store, await owner.store.membership(key_of))
    older, newer = _batch_of(some, owner), _batch_of(most, owner)
    assert newer.head > older.head
    for batch, source, used in [(older, some, True), (newer, most, True), (older, some, False)]:
        assert (await applier.apply(batch, source.identity.device)).used is used
    assert held(owner, owner).watermark == newer.head
    assert within(owner, restoring.life) == restoring.RESTORING
    for replica in (owner, most, some):
        replica.store.close()


async def test_who_knows_more_than_what_was_taken_is_asked_whatever_was_written_since(
    tmp_path: Path,
) -> None:
    """Of rows that use the same revs, the best that anybody gives who is there; ours come on top."""
    owner, (most, some) = _own_rows(tmp_path, more=2)
    add_tree(owner, 20, "since")
    rows = "SELECT uuid, rev FROM entry ORDER BY uuid"
    before = {*query_file(most.store.path, rows)}
    ours = {uuid for uuid, _ in query_file(owner.store.path, rows)}
    async with open_cluster(tmp_path, 3, [owner, most, some]) as cluster:
        a = cluster.nodes[0]
        await cluster.connect(0, 2)
        await cluster.until(lambda: "took_back" in a.kinds())
        await cluster.connect(0, 1)
        await cluster.until(lambda: "restored" in a.kinds())
        assert a.kinds().count("took_back") == 2
        after = {*query_file(owner.store.path, rows)}
        assert after >= before
        assert {uuid for uuid, _ in after - before} == ours


@pytest.mark.parametrize("whole", [True, False])
async def test_a_device_that_is_put_back_while_it_takes_its_rows_back_begins_again(
    tmp_path: Path, whole: bool
) -> None:
    """Whether all of them were taken, or some were aside; whoever gave them then."""
    owner, (most, some) = _own_rows(tmp_path)
    rows = "SELECT uuid, rev FROM entry ORDER BY uuid"
    before = query_file(most.store.path, rows)
    applier = Applier(owner.store, await owner.store.membership(key_of))
    for batch in list(batches(some, owner, limit=3))[: None if whole else 2]:
        assert (await applier.apply(batch, some.identity.device)).used
    backup(owner, tmp_path / "backup.db")
    owner.store.close()
    shutil.copy(tmp_path / "backup.db", tmp_path / "library0.db")
    owner = open_replica(tmp_path, 0)
    assert within(owner, restoring.life) == restoring.RESTORING
    assert (within(owner, given_back.given) is None) is whole
    async with open_cluster(tmp_path, 3, [owner, most, some]) as cluster:
        a = cluster.nodes[0]
        await cluster.connect(0, 1)
        await cluster.connect(0, 2)
        await cluster.until(lambda: "restored" in a.kinds())
        assert ("took_back" in a.kinds()) is not whole
        assert query_file(owner.store.path, rows) == before
        newest = "SELECT max(generation) FROM incarnation"
        assert query_file(owner.store.path, newest) == [(2,)]


async def _went_on_alone(tmp_path: Path, more: int) -> tuple[list[Replica], bytes]:
    """Let a device be put back, and write `more` files before it meets anybody.

    Return it and its peer, and what the peer showed of it.
    """
    async with open_cluster(tmp_path, 2) as cluster:
        await live(cluster, "docs")
        backup(cluster.nodes[0].replica, tmp_path / "backup.db")
        add_tree(cluster.nodes[0].replica, 2, "photos")
        await cluster.nodes[0].driver.look_again()
        await cluster.until_in_sync((0, 1))
        before = exported(cluster.nodes[1].replica)
    shutil.copy(tmp_path / "backup.db", tmp_path / "library0.db")
    replicas = [open_replica(tmp_path, at, LATER_MS) for at in range(2)]
    add_tree(replicas[0], more, "since")
    return replicas, before


@pytest.mark.parametrize("more", [0, 2, 20])
async def test_rows_that_were_written_since_the_backup_do_not_cost_those_from_before(
    tmp_path: Path, more: int
) -> None:
    """Whether they use the same revs as those or later ones; they are there beside them, everywhere."""
    replicas, before = await _went_on_alone(tmp_path, more)
    async with open_cluster(tmp_path, 2, replicas) as cluster:
        a = cluster.nodes[0]
        await cluster.connect(0, 1)
        await cluster.until(lambda: "restored" in a.kinds())
        await cluster.until(lambda: not a.driver.exchange.peers)
        assert "took_back" in a.kinds()
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        after = exported(a.replica)
        assert after == exported(cluster.nodes[1].replica)
        lines = {*after.splitlines()}
        assert lines >= {*before.splitlines()}
        assert len(lines) - len(before.splitlines()) == more + 2
        newest = "SELECT max(generation) FROM incarnation"
        assert query_file(a.store.path, newest) == [(2,)]


async def test_a_device_that_was_never_restored_stays_what_it_is(tmp_path: Path) -> None:
    """However often it meets others, and whatever it wrote while it was alone."""
    async with open_cluster(tmp_path, 2) as cluster:
        await live(cluster, "docs", "red")
    for more in ("photos", "music"):
        replicas = [open_replica(tmp_path, at, LATER_MS) for at in range(2)]
        add_tree(replicas[0], 2, more)
        async with open_cluster(tmp_path, 2, replicas) as cluster:
            await cluster.connect(0, 1)
            await cluster.until_in_sync((0, 1))
            assert not {"restoring", "restored"} & {*cluster.nodes[0].kinds()}
