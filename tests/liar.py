"""A member with a valid key that says what is not so: its frames are changed on their way out.

A lie takes a message and returns what is sent in its place. Everything else of the liar is the real
driver over a real store, so it answers and goes on as a device of this library does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import trio

from leaderless.protocol import codec
from leaderless.protocol.messages import (
    Credit,
    LogBatch,
    Message,
    OwnedPosition,
    Positions,
    PullLog,
    PullState,
    StateBatch,
    Vectors,
)
from leaderless.transport.base import ConnectionLostError
from leaderless.transport.memory import memory_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaderless.transport.memory import MemoryLink
    from registry.changes import StateChange
    from tests.cluster import Node

Lie = "Callable[[Message], list[Message]]"
REDIAL_S = 1.0


@dataclass
class LyingLink:
    """The liar's end of a connection, and what it was asked for on it."""

    inner: MemoryLink
    lie: Callable[[Message], list[Message]]
    asked: list[tuple[float, PullState | PullLog]]
    _sent: int = 0

    @property
    def peer_key(self) -> bytes:
        """Return the key of the other side."""
        return self.inner.peer_key

    @property
    def address(self) -> str:
        """Return where the other side is."""
        return self.inner.address

    @property
    def dialed(self) -> bool:
        """Return whether this side called."""
        return self.inner.dialed

    async def send(self, data: bytes) -> None:
        """Send what the lie makes of a message."""
        message, size = codec.decode_sized(data)
        if isinstance(message, LogBatch) or (
            isinstance(message, StateBatch) and not message.introduction
        ):
            self._sent += size
        for said in self.lie(message):
            await self.inner.send(codec.encode(said))

    async def receive(self) -> bytes:
        """Return the next message; credits are for what the liar believes that it has sent."""
        while True:
            data = await self.inner.receive()
            message = codec.decode(data)
            if isinstance(message, PullState | PullLog):
                self.asked.append((trio.current_time(), message))
            if not isinstance(message, Credit):
                return data
            amount, self._sent = self._sent, 0
            if amount:
                return codec.encode(Credit(amount))

    async def aclose(self) -> None:
        """End the connection."""
        await self.inner.aclose()


@dataclass
class Lying:
    """The connections of a liar with its victim, made anew a second after each ends."""

    liar: Node
    victim: Node
    lie: Callable[[Message], list[Message]]
    asked: list[tuple[float, PullState | PullLog]] = field(default_factory=list)
    links: int = 0

    async def run(self) -> None:
        """Connect again and again."""
        while True:
            self.links += 1
            ours, theirs = memory_pair(
                self.liar.replica.identity.public_key, self.victim.replica.identity.public_key
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_use, self.liar, LyingLink(ours, self.lie, self.asked))
                nursery.start_soon(_use, self.victim, theirs)
            await trio.sleep(REDIAL_S)

    def asked_for(self, of: bytes, since: float = 0.0) -> int:
        """Return how often the liar was asked for rows of an owner, or for commits of a feed."""
        return sum(
            when >= since and of in (getattr(pull, "owner", None), getattr(pull, "feed", None))
            for when, pull in self.asked
        )


async def _use(node: Node, end: Any) -> None:
    try:
        await node.driver.run_link(end)
    finally:
        with trio.move_on_after(1) as scope:
            scope.shield = True
            await end.aclose()


async def gone(*ends: MemoryLink) -> None:
    """End connections."""
    for end in ends:
        try:
            await end.aclose()
        except ConnectionLostError:
            continue


# --- what can be said of rows ---------------------------------------------------------------------


def of_owner(
    owner: bytes, change: Callable[[StateBatch], list[Message]]
) -> Callable[[Message], list[Message]]:
    """Return the lie that changes the batches of one owner's rows."""

    def lie(message: Message) -> list[Message]:
        is_its = isinstance(message, StateBatch) and message.owner == owner
        if isinstance(message, StateBatch) and is_its and not message.introduction:
            return change(message)
        return [message]

    return lie


def of_feed(
    feed: bytes, change: Callable[[LogBatch], list[Message]]
) -> Callable[[Message], list[Message]]:
    """Return the lie that changes the batches of one feed's commits."""

    def lie(message: Message) -> list[Message]:
        if isinstance(message, LogBatch) and message.feed == feed:
            return change(message)
        return [message]

    return lie


def promising(
    owner: bytes, amount: int, lie: Callable[[Message], list[Message]]
) -> Callable[[Message], list[Message]]:
    """Return a lie that also says that it holds `amount` revs of an owner, whatever it holds."""

    def both(message: Message) -> list[Message]:
        if not isinstance(message, Positions) or owner not in message.vectors.owned:
            return lie(message)
        of = message.vectors.owned[owner].incarnation
        owned = {**message.vectors.owned, owner: OwnedPosition(of, amount)}
        return [replace(message, vectors=Vectors(owned, message.vectors.feeds))]

    return both


def with_changes(batch: StateBatch, change: Callable[[StateChange], StateChange]) -> StateBatch:
    """Return a batch whose changes of entries are others."""
    changes = tuple(change(item) if item.model == "entry" else item for item in batch.changes)
    return replace(batch, changes=changes)


def up_to(batch: StateBatch, rev: int) -> StateBatch:
    """Return a batch that ends at an earlier rev, as if there were nothing more."""

    def shorter(change: StateChange) -> StateChange:
        return replace(
            change,
            rows=[row for row in change.rows if int(str(row[1])) <= rev],
            removed=[item for item in change.removed if item[1] <= rev],
        )

    lo = min(batch.lo, rev)
    changes = tuple(shorter(change) for change in batch.changes) if lo < rev else ()
    return replace(batch, changes=changes, lo=lo, hi=rev, head=rev, as_of=rev)
