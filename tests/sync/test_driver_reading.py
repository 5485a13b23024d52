"""What a driver reads of a peer, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from leaderless.protocol import codec
from leaderless.protocol.messages import Ping, Statements
from leaderless.transport.memory import memory_pair
from tests.cluster import Node, open_cluster
from tests.replicas import add_tree
from tests.sync.applying import hello

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_message_is_read_while_the_one_before_takes_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One, and no more: so neither side waits for the other, and a fast peer waits for the disk."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        ours, theirs = memory_pair(b.replica.identity.public_key, a.replica.identity.public_key)
        receive, read = theirs.receive, []

        async def received() -> bytes:
            frame = await receive()
            read.append(frame)
            return frame

        monkeypatch.setattr(theirs, "receive", received)

        async def never(*_: object) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(a.driver.applier, "apply", never)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.driver.run_link, theirs)
            for message in (hello(b), Statements(()), Ping(), Ping()):
                await ours.send(codec.encode(message))
            await cluster.until(lambda: len(read) == 3)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(read) == 3
            nursery.cancel_scope.cancel()


async def test_two_that_are_equal_say_so_without_each_others_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tells the name of its own word, and the other has the same: there is nothing to apply."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        add_tree(a.replica, 3)
        ends = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in ends:
            await end.aclose()
        await cluster.until(lambda: not a.driver.connected() and not b.driver.connected())
        applied: list[object] = []
        for node in (a, b):
            monkeypatch.setattr(node.driver.applier, "apply", lambda *about: applied.append(about))
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        await cluster.until(lambda: all(_was_met(node) for node in (a, b)))
        assert applied == []


def _was_met(node: Node) -> bool:
    return all(peer.asked_word is None for peer in node.driver.exchange.peers.values())
