"""A device whose membership is taken away while others do not reach each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from leaderless.catalogue.export import export_lines
from leaderless.daemon.members import admission, revocation
from leaderless.protocol import commits
from leaderless.store import log, meta, revocations
from leaderless.store.rebuild import rebuild
from leaderless.store.statements import take_statements
from leaderless.transport.memory import MemoryLink, memory_pair
from registry.changes import CommitKind, Create, Update
from tests.cluster import Cluster, Node, open_cluster, rows
from tests.forgery import own_feed
from tests.replicas import Replica, add_tree
from tests.store.passing import within

TAG = b"t" * 16


def exported(node: Node) -> bytes:
    """Return every synced record of a device."""
    return within(node.replica, lambda c: b"".join(export_lines(c, node.store.registry)))


async def revoke(by: Node, subject: Node) -> None:
    """Let an admin revoke a device, as its daemon does."""
    members = by.driver.applier.members
    said = revocation(by.replica.identity, members, subject.device, by.store.now_ms(), b"n" * 16)
    by.driver.applier.members = await by.store.write(lambda tx: take_statements(tx, [said]))
    await by.driver.members_changed()


async def edit(node: Node, **fields: Any) -> None:
    """Let a device change the tag."""
    await node.store.write(lambda tx: tx.commit("tag.set", [Update("tag", TAG, fields)]))


async def create(node: Node) -> None:
    """Let a device make the tag."""
    await node.store.write(lambda tx: tx.commit("tag.create", [Create("tag", TAG, {})]))


def tags(node: Node) -> list[tuple[Any, ...]]:
    """Return what a device shows of the tag."""
    return rows(node, "SELECT canonical_name, color, icon, description FROM tag")


async def part(cluster: Cluster) -> None:
    """End all connections."""
    for node in cluster.nodes:
        node.driver.reconnect()
    await cluster.until(lambda: not any(node.driver.exchange.peers for node in cluster.nodes))


async def test_a_revoked_device_is_seen_off_and_knows_why(tmp_path: Path) -> None:
    """Its connections end, it is told by which statement, and no call of it is taken."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        for pair in ((0, 1), (0, 2), (1, 2)):
            await cluster.connect(*pair)
        await cluster.until_in_sync((0, 1), (0, 2), (1, 2))
        await revoke(a, c)
        await cluster.until(lambda: not c.driver.exchange.peers)
        await cluster.until_in_sync((0, 1))
        assert within(c.replica, lambda conn: meta.get(conn, meta.REVOKED)) is not None
        assert not c.driver.applier.is_member(c.device)
        assert "member_revoked" in b.kinds()
        seen = len(b.told)
        await cluster.connect(2, 1)
        await cluster.until(lambda: "refused" in b.kinds()[seen:])
        await cluster.until(lambda: not c.driver.exchange.peers)


async def test_who_hears_that_it_is_revoked_ends_all_its_connections(tmp_path: Path) -> None:
    """Whichever of them told it, and ends by that itself, before the others do."""
    async with open_cluster(tmp_path, 4) as cluster:
        a, b, *others = cluster.nodes
        await revoke(a, b)
        async with trio.open_nursery() as nursery:
            ends = [_pair(b, other) for other in (a, *others)]
            for ours, _ in ends:
                nursery.start_soon(b.driver.run_link, ours)
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(a.driver.run_link, ends[0][1])
            await cluster.until(lambda: b.kinds().count("peer_disconnected") == 3)
            nursery.cancel_scope.cancel()
        ended = {data["device"]: data["why"] for kind, data in b.told if "why" in data}
        whys = [ended[other.device] for other in others]
        assert whys == ["one of these two devices is no member any more"] * 2


def _pair(dialer: Node, listener: Node) -> tuple[MemoryLink, MemoryLink]:
    keys = (node.replica.identity.public_key for node in (dialer, listener))
    return memory_pair(*keys)


async def test_what_one_side_had_of_it_reaches_the_other_and_no_more(tmp_path: Path) -> None:
    """Those who did not know go on taking its edits; all of them, and nothing later, arrive."""
    async with open_cluster(tmp_path, 4) as cluster:
        a, b, c, d = cluster.nodes
        for pair in ((0, 1), (1, 2), (2, 3)):
            await cluster.connect(*pair)
        await create(d)
        add_tree(d.replica, 3, "before")
        await d.driver.look_again()
        await cluster.until_in_sync((0, 1), (1, 2), (2, 3))
        await part(cluster)
        # d is revoked on one side; on the other it goes on with c.
        await cluster.connect(0, 1)
        await revoke(a, d)
        await cluster.until_in_sync((0, 1))
        await cluster.connect(2, 3)
        await edit(d, color="blue")
        add_tree(d.replica, 2, "between")
        await d.driver.look_again()
        await cluster.until_in_sync((2, 3))
        await part(cluster)
        await edit(d, icon="sun")
        add_tree(d.replica, 2, "after")
        await cluster.connect(1, 2)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1), (1, 2))
        assert tags(a) == tags(b) == tags(c) == [(None, "blue", None, None)]
        assert exported(a) == exported(b) == exported(c)
        names = "SELECT name FROM location ORDER BY name"
        assert rows(a, names) == [("before",), ("between",)]
        for node in (a, b, c):
            registry = node.store.registry
            assert within(node.replica, lambda c: rebuild(c, registry, 0)).differences == ()  # noqa: B023


async def test_who_was_away_brings_more_of_its_edits_in(tmp_path: Path) -> None:
    """A member that comes back later closes later, and names what it had applied alone."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        await cluster.connect(0, 1)
        await create(a)
        await cluster.until_in_sync((0, 1))
        await cluster.connect(1, 2)
        await cluster.until_in_sync((1, 2))
        await part(cluster)
        await cluster.connect(1, 2)
        await edit(c, color="red")
        await cluster.until_in_sync((1, 2))
        await part(cluster)
        await revoke(a, c)
        await cluster.connect(0, 1)
        named = "SELECT header FROM commit_log WHERE command = 'device.revoke'"
        # They are equal for a moment before the second has closed what it knows.
        await cluster.until(lambda: len(rows(a, named)) == 2)
        await cluster.until_in_sync((0, 1))
        assert tags(a) == tags(b) == [(None, "red", None, None)]
        kinds = [commits.decode_header(header).kind for (header,) in rows(a, named)]
        assert kinds == [CommitKind.CLOSING] * 2


async def test_an_edit_that_nobody_builds_on_is_shelved_and_handed_to_nobody(
    tmp_path: Path,
) -> None:
    """It was here and waited when its device was revoked: it waits for ever, and proves nothing."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        await create(c)
        await edit(c, color="red")
        feed = own_feed(c.replica)
        batch = within(c.replica, lambda conn: log.read_log(conn, feed, 0))
        assert batch is not None
        key = c.replica.identity.public_key
        for signed in batch.commits:
            received = a.driver.applier._commit(key, feed, signed)
            within(a.replica, lambda conn: log.receive(conn, received, 0))  # noqa: B023
        await revoke(a, c)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert within(a.replica, lambda conn: log.read_log(conn, feed, 0)) is None
        assert within(a.replica, revocations.left_behind) == {c.device: 2}
        assert within(b.replica, revocations.left_behind) == {}
        assert tags(a) == tags(b) == []


async def test_of_two_that_revoke_each_other_all_side_with_the_senior(tmp_path: Path) -> None:
    """The junior's word is void once both are known, and the senior's feed is open again."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        await create(a)
        await cluster.connect(0, 1)
        await cluster.connect(1, 2)
        await cluster.until_in_sync((0, 1), (1, 2))
        await part(cluster)
        await revoke(a, b)
        await revoke(b, a)
        await cluster.connect(1, 2)
        await cluster.until_in_sync((1, 2))
        assert not c.driver.applier.is_member(a.device)
        await edit(a, color="green")
        # Whoever brings the senior's word: here a stick, as neither takes the other's call.
        kept = within(
            a.replica, lambda conn: conn.exec_driver_sql("SELECT body FROM statement").all()
        )
        assert len(kept) == 4
        from leaderless.store.statements import statements  # noqa: PLC0415

        said = within(a.replica, statements)
        c.driver.applier.members = await c.store.write(lambda tx: take_statements(tx, said))
        await c.driver.members_changed()
        await cluster.connect(0, 2)
        await cluster.until_in_sync((0, 2))
        assert tags(a) == tags(c) == [(None, "green", None, None)]
        assert not a.driver.applier.is_member(b.device)
        assert a.driver.applier.is_member(a.device)


@pytest.mark.parametrize("proved", [True, False])
async def test_rows_of_a_revoked_device_are_those_that_somebody_can_prove(
    tmp_path: Path, proved: bool
) -> None:
    """Who holds a part of newer ones takes the older, whole ones; where nobody can, there are none."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        add_tree(c.replica, 3, "old")
        await c.driver.look_again()
        if proved:
            await cluster.connect(1, 2)
            await cluster.until_in_sync((1, 2))
            await part(cluster)
        add_tree(c.replica, 3, "new")
        _half(a.replica, c.replica)
        await revoke(a, c)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        names = "SELECT name FROM location ORDER BY name"
        assert exported(a) == exported(b)
        assert rows(a, names) == ([("old",)] if proved else [])


def _half(target: Replica, owner: Replica) -> None:
    """Let a device have the first of an owner's rows, and know that there are more."""
    from tests.store.passing import batches, take  # noqa: PLC0415

    take(target, next(batches(owner, owner, limit=7)))


async def test_a_revoked_device_is_admitted_anew(tmp_path: Path) -> None:
    """By an admin that knows of the revoke; it goes on in a later generation, as the others are."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        await create(a)
        await cluster.connect(0, 1)
        await cluster.connect(1, 2)
        await cluster.until_in_sync((0, 1), (1, 2))
        await part(cluster)
        await edit(c, color="black")
        add_tree(c.replica, 2, "files")
        await revoke(b, c)
        await cluster.connect(1, 2)
        await cluster.connect(0, 1)
        await cluster.until(lambda: not c.driver.applier.is_member(c.device))
        await cluster.until(lambda: not c.driver.exchange.peers)
        await cluster.until_in_sync((0, 1))
        await _admit_anew(a, c)
        # A new incarnation would end a link that is made meanwhile, and nobody dials again here.
        exchange = c.driver.exchange
        while exchange.ours.vectors.owned[c.device].incarnation.generation < 2:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await cluster.connect(0, 2)
        await cluster.until_in_sync((0, 1), (0, 2))
        assert tags(c) == [(None, None, None, None)]
        await edit(c, color="white")
        await cluster.until_in_sync((0, 1), (0, 2))
        assert exported(a) == exported(b) == exported(c)
        assert tags(b) == [(None, "white", None, None)]
        assert rows(b, "SELECT name FROM location") == [("files",)]


async def _admit_anew(host: Node, joiner: Node) -> None:
    """Do what pairing does on both sides."""
    from leaderless.store.joining import check_may_join, join_library  # noqa: PLC0415
    from leaderless.store.statements import statements  # noqa: PLC0415

    identity, members = joiner.replica.identity, host.driver.applier.members
    since = within(host.replica, lambda c: revocations.next_generation(c, joiner.device))
    said = admission(
        *(host.replica.identity, members, identity.certificate_der, "again"),
        *(host.store.now_ms(), b"m" * 16, since),
    )
    found = await host.store.write(lambda tx: take_statements(tx, [said]))
    host.driver.applier.members = found
    everything = within(host.replica, statements)
    within(joiner.replica, lambda c: check_may_join(c, 3))
    await joiner.store.write(
        lambda tx: join_library(tx, host.store.library, everything, b"newnonce", since)
    )
    joiner.driver.applier.members = found
