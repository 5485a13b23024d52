"""Several devices in one process: the real protocol and real stores over connections in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from leaderless.protocol.limits import BATCH_ROWS
from leaderless.protocol.membership import membership_of
from leaderless.store.statements import statements
from leaderless.sync.driver import Driver, open_sync
from leaderless.transport.memory import MemoryLink, memory_pair
from tests.replicas import Replica, key_of, make_replicas, query_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

DEADLINE_S = 60.0
AGAIN_S = 0.25


@dataclass
class Node:
    """A device of a cluster: its replica, its driver, and all that it told."""

    replica: Replica
    driver: Driver
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    news: trio.Event = field(default_factory=trio.Event)

    @property
    def device(self) -> bytes:
        """Return the device's id."""
        return self.replica.identity.device

    @property
    def store(self):  # noqa: ANN201
        """Return the device's store."""
        return self.replica.store

    def kinds(self) -> list[str]:
        """Return the kinds of all that was told."""
        return [kind for kind, _ in self.told]


class Cluster:
    """Devices and the links between them."""

    def __init__(self, nodes: list[Node], nursery: trio.Nursery) -> None:
        self.nodes = nodes
        self._nursery = nursery

    async def connect(self, a: int, b: int) -> tuple[MemoryLink, MemoryLink]:
        """Connect two devices; a dials."""
        ends = memory_pair(
            self.nodes[a].replica.identity.public_key, self.nodes[b].replica.identity.public_key
        )
        self._nursery.start_soon(self._run, self.nodes[a], ends[0])
        self._nursery.start_soon(self._run, self.nodes[b], ends[1])
        return ends

    async def _run(self, node: Node, end: MemoryLink) -> None:
        await node.driver.run_link(end)
        await end.aclose()

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait until something is so; every change of any device wakes the question."""
        with trio.fail_after(DEADLINE_S):
            while True:
                # Taken before the question is asked: what happens meanwhile is not missed.
                news = [node.news for node in self.nodes]
                if what():
                    return
                # Asked again without news, too: a driver hears of its own writes a moment later.
                with trio.move_on_after(AGAIN_S):
                    async with trio.open_nursery() as nursery:
                        for event in news:
                            nursery.start_soon(_first, event, nursery.cancel_scope)

    async def until_in_sync(self, *pairs: tuple[int, int]) -> None:
        """Wait until each pair has proved to each other that they hold the same."""

        def proved(a: int, b: int) -> bool:
            driver = self.nodes[a].driver
            other = self.nodes[b].device
            return any(
                peer.device == other and driver.exchange.is_proved(peer)
                for peer in driver.exchange.peers.values()
            )

        await self.until(lambda: all(proved(a, b) and proved(b, a) for a, b in pairs))


async def _first(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


@asynccontextmanager
async def open_cluster(
    folder: Path,
    count: int,
    replicas: list[Replica] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> AsyncIterator[Cluster]:
    """Run `count` devices of one library, not connected yet; or these, which are there already."""
    replicas = replicas or make_replicas(folder, count)
    async with trio.open_nursery() as nursery:
        nodes = [await nursery.start(_run_node, replica, batch_rows) for replica in replicas]
        try:
            yield Cluster(nodes, nursery)
        finally:
            nursery.cancel_scope.cancel()
    for replica in replicas:
        with replica.store._writer.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        replica.store.close()


async def _run_node(
    replica: Replica, batch_rows: int, task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED
) -> None:
    node: Node | None = None

    def news() -> None:
        if node is not None:
            node.news.set()
            node.news = trio.Event()

    def tell(kind: str, data: dict[str, Any]) -> None:
        if node is not None:
            node.told.append((kind, data))
        news()

    said = await replica.store.read(statements)
    members = membership_of(replica.store.library, said, key_of)
    async with open_sync(replica.store, members, "test", tell, batch_rows=batch_rows) as driver:
        node = Node(replica, driver)
        replica.store.listen(news)
        task_status.started(node)
        await trio.sleep_forever()


def rows(node: Node, query: str) -> list[tuple[Any, ...]]:
    """Return what a query finds at a device."""
    return query_file(node.store.path, query)
