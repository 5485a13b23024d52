"""Four devices: an owner that is away, a liar, its victim, and an honest one that comes later.

The victim knows nothing, or what the owner had at first; the liar, a member with a key of its own,
brings the rest, changed; the honest device holds the same as the liar.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from leaderless.protocol.fetching import STALLED_S
from leaderless.protocol.messages import Message
from leaderless.store.holdings import read_holdings
from registry.changes import Create
from tests.cluster import Cluster, Node, open_cluster, rows
from tests.liar import Lying, gone
from tests.replicas import add_tree

OWNER, LIAR, VICTIM, HONEST = range(4)
HEALED_WITHIN_S = 2 * STALLED_S + 30.0
NEW = b"N" * 16
ENTRIES = "SELECT uuid, rev, name, size_bytes, dead FROM entry ORDER BY uuid"
TAGS = "SELECT uuid, color FROM tag ORDER BY uuid"
COMMITS = "SELECT hash FROM commit_log ORDER BY hash"

Made = Callable[["Scene"], Callable[[Message], list[Message]]]


@dataclass
class Scene:
    """Everybody, and what the liar was asked for."""

    cluster: Cluster
    lying: Lying
    first: int
    """The rev of the owner that all met at first."""

    @property
    def owner(self) -> Node:
        """Return the device whose data is lied about."""
        return self.cluster.nodes[OWNER]

    @property
    def victim(self) -> Node:
        """Return the device that is lied to."""
        return self.cluster.nodes[VICTIM]

    @property
    def honest(self) -> Node:
        """Return the device that comes later."""
        return self.cluster.nodes[HONEST]

    @property
    def liar(self) -> Node:
        """Return the device that lies."""
        return self.cluster.nodes[LIAR]

    def named(self) -> set[bytes]:
        """Return whom the victim has named as the cause of anything."""
        kinds = ("state_differs", "distrusted", "peer_error", "withholds")
        told = [data for kind, data in self.victim.told if kind in kinds]
        return {data.get("from", data.get("device")) for data in told}

    async def passes(self, what: Callable[[], bool], within_s: float) -> None:
        """Wait until something is so, for so many virtual seconds at most."""
        with trio.fail_after(within_s):
            while not what():  # noqa: ASYNC110 - time is virtual, and nobody tells
                await trio.sleep(0.5)

    def is_in_sync(self, a: Node, b: Node) -> bool:
        """Return whether a says that it is in sync with b."""
        peers = a.driver.exchange.peers.values()
        return any(peer.device == b.device and a.driver.exchange.is_proved(peer) for peer in peers)

    def files_of_owner(self) -> int:
        """Return how many entries of the owner the victim shows."""
        query = "SELECT i.device FROM entry e JOIN incarnation i ON i.id = e.epoch WHERE e.dead = 0"
        return sum(device == self.owner.device for (device,) in rows(self.victim, query))

    def unproved(self) -> str:
        """Return why the victim's copy of the owner cannot be compared, or nothing."""
        return self.victim.driver.exchange.ours.unproved.get(self.owner.device, "")

    async def owner_changes(self) -> None:
        """Let the owner meet the honest device once more, with something new."""
        await _work(self.owner, "third", deletes=False)
        await self.cluster.connect(OWNER, HONEST)
        await self.passes(lambda: self.is_in_sync(self.owner, self.honest), HEALED_WITHIN_S)

    async def heal(self) -> None:
        """Let the honest device come: victim and it are equal in bounded time, and say so."""
        await self.cluster.connect(HONEST, VICTIM)
        await self.passes(lambda: self.is_in_sync(self.victim, self.honest), HEALED_WITHIN_S)
        for query in (ENTRIES, TAGS, COMMITS):
            assert rows(self.victim, query) == rows(self.honest, query)
        assert self.named() <= {self.liar.device}


async def _work(owner: Node, name: str, *, deletes: bool) -> None:
    """Let the owner have files, rename its root, delete some, and make tags."""
    if deletes:
        gone_files = (
            "SELECT uuid FROM entry WHERE name IN (x'66696c6530', x'66696c6531')"
            " AND epoch = (SELECT value FROM meta WHERE name = 'own_epoch')"
        )
        uuids = [uuid for (uuid,) in rows(owner, gone_files)]
        await owner.store.write(lambda tx: tx.drop("entry", uuids))
    add_tree(owner.replica, 6, name)
    for color in ("red", "green", "blue"):
        tag = owner.store.ids.new()
        edit = Create("tag", tag, {"color": color})
        await owner.store.write(lambda tx, edit=edit: tx.commit("tag.create", [edit]))


async def _meet(cluster: Cluster, *others: int) -> None:
    """Let some meet the owner, and leave."""
    ends = [end for other in others for end in await cluster.connect(OWNER, other)]
    await cluster.until_in_sync(*((OWNER, other) for other in others))
    await gone(*ends)
    owner = cluster.nodes[OWNER].driver
    await cluster.until(lambda: not owner.exchange.peers)
    nodes = [cluster.nodes[other] for other in others]
    await cluster.until(lambda: all(not node.driver.exchange.peers for node in nodes))


@asynccontextmanager
async def lied_to(folder: Path, make: Made, *, knows: bool) -> AsyncIterator[Scene]:
    """Have the liar connected with its victim, who knows the first half or nothing."""
    async with open_cluster(folder, 4) as cluster:
        owner, liar, victim, honest = cluster.nodes
        for node in (liar, honest):
            add_tree(node.replica, 2, "own")
        await _work(owner, "first", deletes=False)
        await _meet(cluster, *((LIAR, VICTIM, HONEST) if knows else (LIAR, HONEST)))
        first = (await owner.store.read(read_holdings)).vectors.owned[owner.device].watermark
        await _work(owner, "second", deletes=True)
        await _meet(cluster, LIAR, HONEST)
        scene = Scene(cluster, Lying(liar, victim, lambda message: [message]), first)
        scene.lying.lie = make(scene)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.lying.run)
            yield scene
            nursery.cancel_scope.cancel()
