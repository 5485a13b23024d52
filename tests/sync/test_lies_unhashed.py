"""A relay that lies about what no hash covers, or says nothing of a revoke: who notices, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from leaderless.protocol.majority import CALM_S
from leaderless.protocol.membership import StatementKind, decode
from leaderless.protocol.messages import Message, Records, StateBatch, Statements
from registry.changes import Create
from tests.cluster import Cluster, Node, open_cluster, rows
from tests.liar import Lying, gone, of_owner, with_changes
from tests.merge.devices import edit
from tests.replicas import add_tree
from tests.sync.scene import ENTRIES, HEALED_WITHIN_S
from tests.sync.test_forgotten import many_forgotten
from tests.sync.test_revoked import revoke

OWNER, LIAR, VICTIM, OTHER = range(4)
NAMES = "SELECT canonical_name FROM tag ORDER BY uuid"


async def _passes(what: Callable[[], bool]) -> None:
    with trio.fail_after(HEALED_WITHIN_S):
        while not what():  # noqa: ASYNC110 - time is virtual, and nobody tells
            await trio.sleep(0.5)


def _proves(a: Node, b: Node) -> bool:
    """Return whether a says that it is in sync with b."""
    peers = a.driver.exchange.peers.values()
    return any(peer.device == b.device and a.driver.exchange.is_proved(peer) for peer in peers)


async def _meet(cluster: Cluster, *others: int) -> None:
    """Let some meet the owner, and leave."""
    ends = [end for other in others for end in await cluster.connect(OWNER, other)]
    await cluster.until_in_sync(*((OWNER, other) for other in others))
    await gone(*ends)
    await cluster.until(lambda: not any(node.driver.exchange.peers for node in cluster.nodes))


def _dated(batch: StateBatch) -> list[Message]:
    """Say of all deletions that they were the first thing that their owner did."""
    first = batch.lo + 1
    return [
        with_changes(
            batch,
            lambda change: replace(change, removed=[(uuid, first) for uuid, _ in change.removed]),
        )
    ]


async def test_a_deletion_of_another_time_is_found_by_who_misses_it(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """It changes nothing for who is lied to; whom that one leaves it out for reads all of it anew."""
    async with open_cluster(tmp_path, 4) as cluster, trio.open_nursery() as nursery:
        owner, liar, victim, other = cluster.nodes
        add_tree(owner.replica, 6, "docs")
        await _meet(cluster, LIAR, OTHER)
        uuids = [
            uuid for (uuid,) in rows(owner, "SELECT uuid FROM entry WHERE name = x'66696c6530'")
        ]
        await owner.store.write(lambda tx: tx.drop("entry", uuids))
        await _meet(cluster, LIAR)
        nursery.start_soon(Lying(liar, victim, of_owner(owner.device, _dated)).run)
        await _passes(lambda: _proves(victim, liar))
        assert rows(victim, ENTRIES) == rows(owner, ENTRIES) != rows(other, ENTRIES)
        await cluster.connect(OTHER, VICTIM)
        await _passes(lambda: _proves(other, victim) and _proves(victim, other))
        assert rows(other, ENTRIES) == rows(owner, ENTRIES)
        assert "state_differs" in other.kinds()
        nursery.cancel_scope.cancel()


def _without_revokes(message: Message) -> list[Message]:
    if not isinstance(message, Statements):
        return [message]
    kept = [
        said for said in message.statements if decode(said.body).kind is not StatementKind.REVOKE
    ]
    return [Statements(tuple(kept))]


def _without_statements(message: Message) -> list[Message]:
    return [] if isinstance(message, Statements) else [message]


@pytest.mark.parametrize("lie", [_without_revokes, _without_statements])
async def test_who_hides_a_revoke_is_not_in_sync_and_the_next_one_tells(
    tmp_path: Path, clock: trio.testing.MockClock, lie: Callable[[Message], list[Message]]
) -> None:
    """The digests of membership differ; whoever knows of the revoke brings it as it was signed."""
    async with open_cluster(tmp_path, 4) as cluster, trio.open_nursery() as nursery:
        admin, liar, victim, subject = cluster.nodes
        for node in cluster.nodes:
            add_tree(node.replica, 2, "own")
        await _meet(cluster, LIAR, VICTIM, OTHER)
        await revoke(admin, subject)
        await _meet(cluster, LIAR)
        nursery.start_soon(Lying(liar, victim, lie).run)
        await trio.sleep(HEALED_WITHIN_S)
        assert victim.driver.applier.is_member(subject.device)
        assert not _proves(victim, liar)
        assert not _proves(liar, victim)
        assert {data["device"] for kind, data in victim.told if kind == "differs"} == {liar.device}
        await cluster.connect(OWNER, VICTIM)
        await _passes(lambda: _proves(victim, admin) and _proves(admin, victim))
        assert not victim.driver.applier.is_member(subject.device)
        nursery.cancel_scope.cancel()


def _renamed(message: Message) -> list[Message]:
    """Hand on the state of a tag with another name: no signature is on what was forgotten."""
    if not isinstance(message, Records):
        return [message]
    return [replace(message, records=tuple(r.replace(b"tag 9", b"bad 9") for r in message.records))]


async def test_a_state_with_other_values_gives_way_to_what_the_others_agree_about(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """What was written meanwhile stays; who gave the state is named, and not asked for it again."""
    replicas = many_forgotten(tmp_path, 3)
    async with open_cluster(tmp_path, 3, replicas) as cluster, trio.open_nursery() as nursery:
        liar, honest, victim = cluster.nodes
        nursery.start_soon(Lying(liar, victim, _renamed).run)
        await _passes(lambda: "took_records" in victim.kinds())
        edit(victim.replica, Create("tag", b"late" * 4, {"canonical_name": "written meanwhile"}))
        await victim.driver.look_again()
        await cluster.connect(1, 2)
        await cluster.connect(0, 1)
        await _passes(lambda: _proves(victim, honest) and _proves(honest, victim))
        assert rows(victim, NAMES) == rows(honest, NAMES) == rows(liar, NAMES)
        assert "written meanwhile" in {name for (name,) in rows(victim, NAMES)}
        altered = [data["device"] for kind, data in victim.told if kind == "records_altered"]
        assert altered == [liar.device]
        trust = victim.driver.exchange.fetching.trust
        assert trust.hears_records_at(liar.device) > trio.current_time() + 3_000.0
        assert {"records_doubted", "records_altered"} & {*honest.kinds(), *liar.kinds()} == set()
        nursery.cancel_scope.cancel()


async def test_a_state_with_other_values_is_in_sync_with_nobody_while_one_stands_against_one(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """Nobody signed what would tell the two apart: nothing changes, and both say that they differ."""
    replicas = many_forgotten(tmp_path, 3)
    async with open_cluster(tmp_path, 3, replicas) as cluster:
        liar, honest, victim = cluster.nodes
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Lying(liar, victim, _renamed).run)
            await _passes(lambda: "took_records" in victim.kinds())
            nursery.cancel_scope.cancel()
        await cluster.connect(1, 2)
        await _passes(lambda: "differs" in victim.kinds() and "differs" in honest.kinds())
        await trio.sleep(4 * CALM_S)
        assert "records_doubted" not in victim.kinds()
        assert not _proves(victim, honest)
        assert not _proves(honest, victim)
