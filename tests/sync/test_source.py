"""Batches for one peer, read from a real store as there is room for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from leaderless.protocol import codec
from leaderless.protocol.commands import Key, Load, Read, Stream
from leaderless.protocol.limits import BATCH_ROWS
from leaderless.protocol.messages import LogBatch, StateBatch
from leaderless.store.state import copy_of
from leaderless.sync.outbox import ROOM_BYTES, Outbox
from leaderless.sync.source import Source
from registry.changes import Create
from tests.forgery import own_feed
from tests.replicas import ENTRY_COLUMNS, Replica, add_tree

DEADLINE_S = 30.0


class Peer:
    """Somebody who asks a replica, and all that was read for it."""

    def __init__(self, replica: Replica, batch_rows: int = BATCH_ROWS) -> None:
        self.outbox = Outbox()
        self.source = Source(replica.store, self.outbox, self._fresh, batch_rows)
        self.got: list[tuple[Key, Read | None]] = []
        self.fresh: dict[tuple[Key, int], Read] = {}
        self._news = trio.Event()
        device = replica.identity.device
        self.rows = Key(Stream.STATE, device)
        self.feed = Key(Stream.LOG, own_feed(replica))

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Read what this peer asks for."""
        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.source.run, self._loaded)
                yield
                nursery.cancel_scope.cancel()

    def _fresh(self, key: Key, after: int) -> Read | None:
        return self.fresh.get((key, after))

    def _loaded(self, key: Key, read: Read | None) -> None:
        self.got.append((key, read))
        self._news.set()
        self._news = trio.Event()

    async def batch(self, key: Key, after: int = 0) -> StateBatch | LogBatch:
        """Ask, and return what comes."""
        already = len(self.got)
        self.source.ask(Load(1, key, after))
        while len(self.got) == already:
            await self._news.wait()
        read = self.got[-1][1]
        assert read is not None
        message = codec.decode(read.frame)
        assert isinstance(message, StateBatch | LogBatch)
        return message


def _names(batch: StateBatch | LogBatch) -> list[object]:
    assert isinstance(batch, StateBatch)
    return [
        row[2 + list(change.columns).index("name")]
        for change in batch.changes
        if change.model == "entry"
        for row in change.rows
    ]


def _late_root(owner: Replica) -> None:
    """Make a tree of more than one batch whose root changed after everything in it."""
    location, root = add_tree(owner, BATCH_ROWS + 100, "late")
    row = (root, location, None, b"renamed", None, "directory", *[None] * 8)
    owner.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))


async def test_rows_and_commits_are_read(replicas: list[Replica]) -> None:
    """Each stream's batch is told with how far it reaches and what it weighs."""
    owner = replicas[0]
    await owner.store.write(lambda tx: tx.commit("t", [Create("tag", bytes(16), {})]))
    peer = Peer(owner)
    async with peer.served():
        rows, commits = await peer.batch(peer.rows), await peer.batch(peer.feed)
    assert isinstance(rows, StateBatch)
    assert isinstance(commits, LogBatch)
    assert [(key, read and read.reaches) for key, read in peer.got] == [
        (peer.rows, rows.hi),
        (peer.feed, 1),
    ]
    assert all(read and read.size > 0 for _, read in peer.got)


async def test_what_is_to_come_first_comes_first(replicas: list[Replica]) -> None:
    """However long that takes; what was asked for meanwhile is read then."""
    peer = Peer(replicas[0])
    async with peer.served():
        with peer.source.behind():
            peer.source.ask(Load(1, peer.rows, 0))
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert peer.got == []
        while not peer.got:
            await trio.lowlevel.checkpoint()
    assert [key for key, _ in peer.got] == [peer.rows]


async def test_where_nothing_is_left_that_is_told(replicas: list[Replica]) -> None:
    """No frame, and the position stays."""
    peer = Peer(replicas[0])
    async with peer.served():
        for key in (peer.rows, peer.feed):
            peer.source.ask(Load(1, key, 1_000))
        while len(peer.got) < 2:
            await trio.lowlevel.checkpoint()
    assert peer.got == [(peer.rows, None), (peer.feed, None)]


async def test_an_ancestor_goes_ahead_once(replicas: list[Replica]) -> None:
    """The next batch of a stream does not bring along again what the first brought."""
    _late_root(replicas[0])
    peer = Peer(replicas[0])
    async with peer.served():
        first = await peer.batch(peer.rows)
        again = await peer.batch(peer.rows)
    assert ("renamed" in _text(first), "renamed" in _text(again)) == (True, False)


async def test_an_ancestor_goes_ahead_again_to_who_asks_anew(replicas: list[Replica]) -> None:
    """Whoever dropped the first batch lacks it, and its rows would refer to nothing."""
    _late_root(replicas[0])
    peer = Peer(replicas[0])
    async with peer.served():
        await peer.batch(peer.rows)
        peer.source.start_over(peer.rows.of)
        again = await peer.batch(peer.rows)
    assert "renamed" in _text(again)


def _text(batch: StateBatch | LogBatch) -> list[str]:
    return [name.decode() for name in _names(batch) if isinstance(name, bytes)]


async def test_of_one_stream_the_newest_question_counts(replicas: list[Replica]) -> None:
    """Who asks a thousand times before there is time for it gets one answer."""
    peer = Peer(replicas[0])
    for after in range(1_000):
        peer.source.ask(Load(1, peer.rows, after))
    peer.source.ask(Load(1, peer.feed, 0))
    async with peer.served():
        while peer.feed not in [key for key, *_ in peer.got]:
            await trio.lowlevel.checkpoint()
    assert peer.got == [(peer.rows, None), (peer.feed, None)]


async def test_what_was_asked_anew_while_it_was_read_is_not_told(
    replicas: list[Replica],
) -> None:
    """The batch of the question before would move the new stream to a wrong position."""
    peer = Peer(replicas[0])
    async with peer.served():
        peer.source.ask(Load(1, peer.rows, 0))
        while peer.source._wanted:
            await trio.lowlevel.checkpoint()
        peer.source.ask(Load(1, peer.rows, 1_000))
        while not peer.got:
            await trio.lowlevel.checkpoint()
    assert peer.got == [(peer.rows, None)]


async def test_nothing_is_read_for_who_does_not_take_it(
    replicas: list[Replica], mock_clock: trio.testing.MockClock
) -> None:
    """While enough waits to be sent, the rest stays in the database."""
    peer = Peer(replicas[0])
    peer.outbox.put(bytes(ROOM_BYTES))
    async with peer.served():
        peer.source.ask(Load(1, peer.rows, 0))
        await trio.testing.wait_all_tasks_blocked()
        before = list(peer.got)
        peer.outbox.drop_first()
        while not peer.got:
            await trio.lowlevel.checkpoint()
    assert before == []


async def test_a_batch_has_no_more_rows_than_it_may(replicas: list[Replica]) -> None:
    """What its rows need goes ahead of them and on top."""
    peer = Peer(replicas[0], batch_rows=2)
    async with peer.served():
        batch = await peer.batch(peer.rows)
    assert isinstance(batch, StateBatch)
    assert batch.hi == 2 < batch.head


async def test_what_is_at_hand_is_not_read(replicas: list[Replica]) -> None:
    """The batch that was read beside a write goes out as it is."""
    peer = Peer(replicas[0])
    peer.fresh[peer.feed, 0] = fresh = Read(1, 1, b"frame", 5)
    async with peer.served():
        peer.source.ask(Load(1, peer.feed, 0))
        while not peer.got:
            await trio.lowlevel.checkpoint()
    assert peer.got == [(peer.feed, fresh)]


async def test_nothing_is_remembered_of_owners_that_there_are_not(replicas: list[Replica]) -> None:
    """However many of them a peer asks for; of one whose rows need others ahead of them it is."""
    _late_root(replicas[0])
    peer = Peer(replicas[0])
    async with peer.served():
        for at in range(3):
            peer.source.ask(Load(1, Key(Stream.STATE, bytes([at]) * 16), 0))
        while len(peer.got) < 3:
            await trio.lowlevel.checkpoint()
        await peer.batch(peer.rows)
    assert [read for _, read in peer.got[:3]] == [None] * 3
    assert list(peer.source._sent_ahead) == [peer.rows.of]


async def test_many_rows_are_read_as_columns_for_who_can_read_these(
    replicas: list[Replica],
) -> None:
    """It is the same batch, and takes less; a few rows go as they are."""
    owner = replicas[0]
    add_tree(owner, 100, "many")
    copy = owner.store.write_here(lambda tx: copy_of(tx.conn, owner.identity.device))
    assert copy is not None
    few = copy.watermark - 10
    frames: dict[tuple[bool, int], bytes] = {}
    peer = Peer(owner)
    async with peer.served():
        for columns in (False, True):
            for after in (0, few):
                already = len(peer.got)
                peer.source.ask(Load(1, peer.rows, after, columns=columns))
                while len(peer.got) == already:
                    await trio.lowlevel.checkpoint()
                read = peer.got[-1][1]
                assert read is not None
                frames[columns, after] = read.frame
    assert codec.decode(frames[True, 0]) == codec.decode(frames[False, 0])
    assert len(frames[True, 0]) < len(frames[False, 0])
    assert frames[True, few] == frames[False, few]
