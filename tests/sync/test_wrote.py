"""What a write has led to."""

from __future__ import annotations

import pytest

from leaderless.protocol import codec
from leaderless.protocol.commands import Key, Stream
from leaderless.protocol.messages import LogBatch
from leaderless.store.holdings import read_holdings
from leaderless.sync.wrote import Wrote, look
from registry.changes import Create
from tests.forgery import own_feed
from tests.replicas import Replica


def _edit(replica: Replica, count: int) -> None:
    for _ in range(count):
        tag = Create("tag", replica.store.ids.new(), {})
        replica.store.write_here(lambda tx, tag=tag: tx.commit("tag.create", [tag]))


async def _after(replica: Replica, count: int) -> Wrote:
    before = await replica.store.read(read_holdings)
    _edit(replica, count)
    return await replica.store.read(lambda database: look(replica.store, database, before))


@pytest.mark.parametrize("count", [1, 16])
async def test_a_few_commits_are_at_hand_as_they_are_sent(
    replicas: list[Replica], count: int
) -> None:
    """The batch begins where the feed stood before the write, and reaches to its end."""
    _edit(replicas[0], 2)
    wrote = await _after(replicas[0], count)
    ((key, after), read), *others = wrote.fresh.items()
    batch = codec.decode(read.frame)
    assert (key, after, others) == (Key(Stream.LOG, own_feed(replicas[0])), 2, [])
    assert isinstance(batch, LogBatch)
    assert (batch.after, batch.head, len(batch.commits)) == (2, 2 + count, count)


async def test_of_many_commits_none_is_at_hand(replicas: list[Replica]) -> None:
    """They are read once they are asked for, in batches."""
    assert (await _after(replicas[0], 17)).fresh == {}


async def test_what_is_held_is_told_in_any_case(replicas: list[Replica]) -> None:
    """Where nobody is there to be told, that is all."""
    _edit(replicas[0], 1)
    wrote = await replicas[0].store.read(lambda database: look(replicas[0].store, database, None))
    assert wrote == Wrote(await replicas[0].store.read(read_holdings), {})
