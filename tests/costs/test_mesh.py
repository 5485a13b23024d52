"""How often a change is sent among devices that are all connected with each other."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from leaderless.protocol import codec
from leaderless.protocol.messages import LogBatch, StateBatch
from registry.changes import Create
from tests.cluster import open_cluster
from tests.replicas import add_tree

if TYPE_CHECKING:
    from pathlib import Path

    import trio.testing

    from leaderless.transport.memory import MemoryLink

FILES = 5  # with their root, location and volume
MOST = 1.2
"""Copies for each device that lacked a change."""


class _Counted:
    """Counts what carries commits or rows over links."""

    def __init__(self) -> None:
        self.commits = 0
        self.rows = 0

    def watch(self, end: MemoryLink) -> None:
        """Count what is sent from an end."""
        send = end.send

        async def counted(data: bytes) -> None:
            message = codec.decode(data)
            self.commits += len(message.commits) if isinstance(message, LogBatch) else 0
            if isinstance(message, StateBatch) and not message.introduction:
                self.rows += sum(len(change.rows) for change in message.changes)
            await send(data)

        end.send = counted  # type: ignore[method-assign]


@pytest.mark.parametrize("count", [2, 8])
async def test_a_change_is_sent_about_once_to_each_device(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, count: int
) -> None:
    """An edit and rows alike, though everybody could hand them on to everybody."""
    counted = _Counted()
    async with open_cluster(tmp_path, count) as cluster:
        pairs = list(combinations(range(count), 2))
        for a, b in pairs:
            for end in await cluster.connect(a, b):
                counted.watch(end)
        await cluster.until_in_sync(*pairs)
        counted.commits = counted.rows = 0
        author = cluster.nodes[0]
        tag = Create("tag", author.store.ids.new(), {})
        await author.store.write(lambda tx: tx.commit("tag.create", [tag]))
        await cluster.until_in_sync(*pairs)
        add_tree(author.replica, FILES)
        await author.driver.look_again()
        await cluster.until_in_sync(*pairs)
    others = count - 1
    assert others <= counted.commits <= MOST * others
    assert others <= counted.rows / (FILES + 3) <= MOST * others
