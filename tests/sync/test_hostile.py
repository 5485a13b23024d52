"""A member that sends what it must not: its connection ends with a named error, and only that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from leaderless.protocol import codec
from leaderless.protocol.membership import Signed
from leaderless.protocol.messages import (
    Bye,
    LogBatch,
    Message,
    Ping,
    Positions,
    PullState,
    StateBatch,
    Statements,
    Vectors,
)
from leaderless.store.state_source import read_batch
from leaderless.sync.outbox import MOST_BYTES, NOT_READING_S
from leaderless.transport.base import ConnectionLostError
from leaderless.transport.memory import memory_pair
from registry.changes import Create, Incarnation, Update
from registry.hlc import CEILING_MS, Stamp
from tests.cluster import Cluster, Node, open_cluster, rows
from tests.forgery import TAG, log_batch, own_feed, signed_commit
from tests.replicas import add_tree
from tests.sync.applying import hello

if TYPE_CHECKING:
    from pathlib import Path

_LARGE = bytes(512 << 10)
_STORED = "SELECT (SELECT count(*) FROM commit_log), (SELECT count(*) FROM incarnation)"


async def say(victim: Node, attacker: Node, *messages: Message) -> Bye | None:
    """Send messages to a device as a member, and return its last word once it has left."""
    ours, theirs = memory_pair(
        attacker.replica.identity.public_key, victim.replica.identity.public_key
    )
    last: Bye | None = None

    async def use() -> None:
        await victim.driver.run_link(theirs)
        await theirs.aclose()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            try:
                for message in messages:
                    await ours.send(codec.encode(message))
                while True:
                    said = codec.decode(await ours.receive())
                    last = said if isinstance(said, Bye) else last
            except ConnectionLostError:
                await ours.aclose()
    return last


async def still_in_sync(cluster: Cluster, victim: Node, other: Node) -> None:
    """Show that a peer that was connected all the time still gets what is new."""
    tag = victim.store.ids.new()
    await victim.store.write(lambda tx: tx.commit("tag.create", [Create("tag", tag, {})]))
    await cluster.until(lambda: (tag,) in rows(other, "SELECT uuid FROM tag"))


async def _unsigned_rows(owner: Node) -> StateBatch:
    """Return rows of a device as somebody relays them who leaves its word out."""
    store = owner.store
    device = store.own_device
    batch: StateBatch | None = await store.read(
        lambda c: read_batch(c, store.registry, device, 0, set())
    )
    assert batch is not None
    return replace(batch, checkpoint=b"")


COMMITS = ["signature", "feed", "library", "stamp", "stranger"]


def _commit(wrong: str, attacker: Node, other: Node) -> LogBatch:
    author = attacker.replica
    feed = own_feed(author)
    match wrong:
        case "signature":
            return log_batch(feed, signed_commit(author, signature=bytes(64)))
        case "feed":
            return log_batch(own_feed(other.replica), signed_commit(author))
        case "library":
            return log_batch(feed, signed_commit(author, library=bytes(16)))
        case "stamp":
            return log_batch(feed, signed_commit(author, stamp=Stamp(CEILING_MS, 0, 0)))
    return log_batch(bytes(44), signed_commit(author, feed=bytes(44)))


@pytest.mark.parametrize("wrong", COMMITS)
async def test_an_invalid_commit_ends_its_connection_alone(tmp_path: Path, wrong: str) -> None:
    """Its sender is told by name why it goes, nothing is stored, and others stay in sync."""
    async with open_cluster(tmp_path, 3) as cluster:
        victim, other, attacker = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        before = rows(victim, _STORED)
        bye = await say(victim, attacker, hello(victim), _commit(wrong, attacker, other))
        code = "not_a_member" if wrong == "stranger" else "invalid_commit"
        assert bye is not None
        assert bye.code == code
        assert [data["code"] for kind, data in victim.told if kind == "peer_error"] == [code]
        assert rows(victim, _STORED) == before
        await still_in_sync(cluster, victim, other)


async def test_relayed_rows_without_their_owners_word_end_the_connection(tmp_path: Path) -> None:
    """A member that speaks for another is told that this is not verified."""
    async with open_cluster(tmp_path, 3) as cluster:
        victim, other, attacker = cluster.nodes
        add_tree(other.replica, 3)
        batch = await _unsigned_rows(other)
        bye = await say(victim, attacker, hello(victim), batch)
        assert bye is not None
        assert bye.code == "unverified"
        assert rows(victim, "SELECT * FROM entry") == []


async def test_forged_statements_end_the_connection(tmp_path: Path) -> None:
    """Whoever brings an admission that nobody signed is told so."""
    async with open_cluster(tmp_path, 2) as cluster:
        victim, attacker = cluster.nodes
        ((body,), *_) = rows(victim, "SELECT body FROM statement")
        forged = Statements((Signed(body, bytes(64)),))
        bye = await say(victim, attacker, hello(victim), forged)
        assert bye is not None
        assert bye.code == "unverified"


async def test_another_major_version_is_told_what_to_upgrade(tmp_path: Path) -> None:
    """A protocol that cannot be talked is refused by name, with the side that is older."""
    async with open_cluster(tmp_path, 2) as cluster:
        victim, attacker = cluster.nodes
        bye = await say(victim, attacker, hello(victim, version=(9, 0)))
        assert bye is not None
        assert (bye.code, "upgrade here" in bye.text) == ("incompatible", True)


async def test_numbers_that_nobody_counts_to_end_the_connection_alone(tmp_path: Path) -> None:
    """An incarnation beyond all bounds is its sender's end, whatever it trips over in here."""
    async with open_cluster(tmp_path, 3) as cluster:
        victim, other, attacker = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        strange = hello(victim, incarnation=Incarnation((1 << 62) - 1, bytes(8)))
        pull = PullState(victim.device, Incarnation((1 << 62) - 1, bytes(8)), (1 << 62) - 1)
        positions = Positions(Vectors(), whole=True)
        assert await say(victim, attacker, strange, pull, positions) is not None
        await still_in_sync(cluster, victim, other)


async def test_a_commit_from_the_future_wins_until_somebody_edits(tmp_path: Path) -> None:
    """A year ahead: it is applied and named, our clock stays, and our later edit wins everywhere."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        a.replica.clock.ms += 365 * 86_400_000
        await a.store.write(
            lambda tx: tx.commit("tag.create", [Create("tag", TAG, {"color": "red"})])
        )
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        await b.store.write(lambda tx: tx.commit("t", [Update("tag", TAG, {"color": "green"})]))
        colors = "SELECT color FROM tag"
        await cluster.until(lambda: rows(a, colors) == rows(b, colors) == [("green",)])
        await cluster.until_in_sync((0, 1))
        assert [data["device"] for kind, data in b.told if kind == "future_stamp"] == [a.device]
        assert "future_stamp" not in a.kinds()


async def test_who_asks_and_never_reads_is_left(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """What waits for a peer is bounded: nothing more is heard of it, and its link ends by name."""
    async with open_cluster(tmp_path, 2) as cluster:
        victim, attacker = cluster.nodes
        ours, theirs = memory_pair(
            attacker.replica.identity.public_key, victim.replica.identity.public_key
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(victim.driver.run_link, theirs)
            await ours.send(codec.encode(hello(attacker)))
            await cluster.until(lambda: "peer_connected" in victim.kinds())
            (link,) = victim.driver._links.values()
            for _ in range(2 * MOST_BYTES // len(_LARGE)):
                link.outbox.put(_LARGE)
            await ours.send(codec.encode(Ping()))
            for wait_s in (NOT_READING_S, 1.0):
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(wait_s)
        told = [data["code"] for kind, data in victim.told if kind == "peer_error"]
        assert told == ["not_reading"]
