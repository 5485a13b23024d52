"""The next message is ready while the one before takes effect, and everything comes in its turn."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from leaderless.protocol import codec
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.hashing import rows_sum
from leaderless.protocol.membership import Signed
from leaderless.protocol.messages import Credit, Message, Ping, StateBatch, Statements
from leaderless.sync.inbox import Inbox
from leaderless.transport.base import ConnectionLostError
from registry.changes import DeviceId, Incarnation, StateChange
from registry.rows import Rows, StateRows


@dataclass
class Peer:
    """A connection whose other side has sent frames, and is gone after the last."""

    frames: list[bytes]
    taken: int = 0
    peer_key = b""
    address = ""
    dialed = True

    async def send(self, frame: bytes) -> None:
        """Nobody reads."""

    async def receive(self) -> bytes:
        """Return the next frame."""
        await trio.lowlevel.checkpoint()
        if self.taken == len(self.frames):
            raise ConnectionLostError("it is gone")
        self.taken += 1
        return self.frames[self.taken - 1]

    async def aclose(self) -> None:
        """There is nothing to close."""

    async def may_read(self) -> None:
        """It may always be read on."""


def sent(*messages: Message) -> Peer:
    """Return a peer that has sent these."""
    return Peer([codec.encode(message) for message in messages])


async def test_one_message_is_read_ahead_and_no_more() -> None:
    """A peer that sends fast has to wait, whatever it sends."""
    peer = sent(Ping(), Credit(1), Credit(2), Credit(3))
    inbox = Inbox(peer, peer.may_read, trio.sleep_forever)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.run)
        await trio.testing.wait_all_tasks_blocked()
        assert peer.taken == 1
        assert (await inbox.take())[0] == Ping()
        await trio.testing.wait_all_tasks_blocked()
        assert peer.taken == 2
        nursery.cancel_scope.cancel()


async def test_what_ends_the_reading_is_told_behind_what_came_before() -> None:
    """Nothing that was sent is lost because its sender is gone, or sent something wrong after it."""
    for peer, error in [
        (sent(Credit(1)), ConnectionLostError),
        (Peer([codec.encode(Credit(1)), b"nonsense"]), MalformedError),
    ]:
        inbox = Inbox(peer, peer.may_read, trio.sleep_forever)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(inbox.run)
            await trio.testing.wait_all_tasks_blocked()
            assert (await inbox.take())[0] == Credit(1)
            with pytest.raises(error):
                await inbox.take()


LARGE = Statements((Signed(random.Random(1).randbytes(20_000), bytes(64)),))


async def test_only_what_is_large_waits_until_it_may_be_decoded() -> None:
    """A question is answered at once, whoever is at work."""
    peer, may, taken = sent(Ping(), LARGE), trio.Event(), []
    inbox = Inbox(peer, peer.may_read, may.wait)

    async def take() -> None:
        taken.append((await inbox.take())[0])
        taken.append((await inbox.take())[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.run)
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        assert taken == [Ping()]
        may.set()
        await trio.testing.wait_all_tasks_blocked()
        assert taken == [Ping(), LARGE]
        nursery.cancel_scope.cancel()


async def test_what_is_large_does_not_wait_for_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """One write may take minutes; a peer that has something to say is heard all the same."""
    peer = sent(LARGE)
    inbox = Inbox(peer, peer.may_read, trio.sleep_forever)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.run)
        with trio.fail_after(1):
            assert (await inbox.take())[0] == LARGE
        nursery.cancel_scope.cancel()


async def test_what_many_rows_add_to_a_set_hash_is_reckoned_meanwhile() -> None:
    """A few rows are reckoned when they are written."""
    life, chance = Incarnation(1, bytes(8)), random.Random(1)
    totals = []
    for count in (1, 200):
        rows = [(chance.randbytes(16), at, chance.randbytes(200)) for at in range(count)]
        change = StateChange("volume", DeviceId(bytes(16)), life, ("fingerprint",), rows)
        peer = sent(StateBatch(bytes(16), life, 0, count, count, count, (change,)))
        inbox = Inbox(peer, peer.may_read, peer.may_read)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(inbox.run)
            message, _ = await inbox.take()
            nursery.cancel_scope.cancel()
        assert isinstance(message, StateBatch)
        (read,) = message.changes
        assert isinstance(read.rows, Rows)
        totals.append(read.rows.total)
        expected = rows_sum("volume", StateRows(read.columns, read.rows))
    assert totals == [None, expected]
