"""One connection in use: what is done on it, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from leaderless.protocol import codec
from leaderless.protocol.commands import Close, Send
from leaderless.protocol.messages import Bye, Ping
from leaderless.sync.comparing import Comparer
from leaderless.sync.link import Link
from leaderless.sync.outbox import Outbox
from leaderless.sync.source import Source
from leaderless.transport.memory import MemoryLink, memory_pair
from tests.replicas import Replica


class Bench:
    """A link of a replica, the other end of its connection, and what was told of it."""

    def __init__(self, replica: Replica, nursery: trio.Nursery) -> None:
        mine, self.far = memory_pair(b"a" * 32, b"b" * 32)
        self.told: list[str] = []
        self.failed: list[Exception] = []
        outbox, store = Outbox(), replica.store
        parts = outbox, Source(store, outbox, lambda *_: None), Comparer(store, outbox.put)
        self.link = Link(1, mine, b"d" * 16, nursery, store, *parts, self._tell, self._fail)

    def _tell(self, kind: str, _: Mapping[str, object]) -> None:
        self.told.append(kind)

    async def _fail(self, _: Link, error: Exception) -> str:
        self.failed.append(error)
        await trio.lowlevel.checkpoint()
        return "why"


async def _heard(far: MemoryLink) -> object:
    return codec.decode(await far.receive())


async def test_what_fails_beside_the_reading_ends_the_link_alone(replicas: list[Replica]) -> None:
    """Whoever made the link names the error; all else that is done on it ends, too."""

    async def work() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("a bug")

    async with trio.open_nursery() as nursery:
        bench = Bench(replicas[0], nursery)
        nursery.start_soon(trio.sleep_forever)
        bench.link.start(work)
    assert [str(error) for error in bench.failed] == ["a bug"]


async def test_a_link_that_is_closed_says_why_to_both_sides(replicas: list[Replica]) -> None:
    """It counts as refused unless the two had called each other at once."""
    ends = []
    for code in ("silent", "crossed"):
        async with trio.open_nursery() as nursery:
            bench = Bench(replicas[0], nursery)
            nursery.start_soon(bench.link.send)
            bench.link.do(Send(1, Ping()), (1, 1))
            assert await _heard(bench.far) == Ping()
            bench.link.do(Close(1, code, "words"), (1, 1))
            ends.append((await _heard(bench.far), bench.link.refused, bench.link.why))
        assert bench.told == ["link_closed"]
    why = "this device has ended the connection: words"
    assert ends == [(Bye("silent", "words"), True, why), (Bye("crossed", "words"), False, None)]


async def test_what_the_other_side_says_last_is_why_it_ended(replicas: list[Replica]) -> None:
    """Nothing is lost by a link of two that is given up; what says nothing was lost."""
    async with trio.open_nursery() as nursery:
        link = Bench(replicas[0], nursery).link
        assert link.why == "the connection was lost"
        link.heard_bye(Bye("silent", "words"))
        assert (link.refused, link.why) == (True, "it has ended the connection: words")
        link.heard_bye(Bye("crossed", "words"))
        assert (link.refused, link.why) == (False, None)
