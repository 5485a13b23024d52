"""What is kept of released versions (tests/fixtures), opened by today's code and played to it."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from leaderless.protocol import codec
from leaderless.protocol.messages import Credit, LogBatch, Proof, PullLog, PullState, StateBatch
from leaderless.transport.memory import memory_pair
from scripts.releases.devices import unpack, write_keys
from scripts.releases.frames import unpacked
from tests.cluster import Node, open_cluster
from tests.replicas import Replica, open_replica

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from leaderless.protocol.messages import Message
    from leaderless.transport.memory import MemoryLink
    from scripts.releases.frames import Frame

FIXTURES = Path(__file__).parents[1] / "fixtures"
DEADLINE_S = 15.0
RELEASES = sorted(path.name for path in FIXTURES.iterdir() if re.fullmatch(r"[0-9.]+", path.name))


@dataclass(frozen=True)
class Release:
    """What is kept of one version."""

    version: str

    @property
    def folder(self) -> Path:
        """Return where it is kept."""
        return FIXTURES / self.version

    @property
    def now_ms(self) -> int:
        """Return what the clock said when it was recorded."""
        return int(json.loads((self.folder / "about.json").read_text())["now_ms"])

    @property
    def protocol(self) -> tuple[int, ...]:
        """Return the version of the protocol that it spoke."""
        return tuple(json.loads((self.folder / "about.json").read_text())["protocol"])

    def frames(self) -> list[Frame]:
        """Return the recorded session."""
        return unpacked((self.folder / "session.frames").read_bytes())

    def opened(self, name: str, at: int, folder: Path) -> Replica:
        """Return a device as its kept database is, opened by today's code a minute later."""
        write_keys(folder)
        unpack(self.folder / f"{name}.db.gz", folder / f"library{at}.db")
        return open_replica(folder, at, self.now_ms + 60_000)


@dataclass
class Player:
    """The old device of a recorded session, which says again what it said then."""

    link: MemoryLink
    heard: list[bytes] = field(default_factory=list)
    changed: trio.Event = field(default_factory=trio.Event)

    async def listen(self) -> None:
        """Hear what today's device says, and acknowledge what it sends, as any device does.

        What was acknowledged in the recording was of that session; all else is played.
        """
        introduced = False
        while True:
            frame = await self.link.receive()
            self.heard.append(frame)
            message, size = codec.decode_sized(frame)
            introduced = isinstance(message, StateBatch) and message.introduction
            if isinstance(message, StateBatch | LogBatch) and not introduced:
                await self.link.send(codec.encode(Credit(size)))
            self.changed.set()
            self.changed = trio.Event()

    async def play(self, frames: Iterable[Frame]) -> None:
        """Say what was recorded: rows and commits once they are asked for."""
        for frame in frames:
            message = codec.decode(frame.data)
            if isinstance(message, Credit):
                continue
            if isinstance(message, StateBatch) and not message.introduction:
                await self.until(lambda said, of=message.owner: _asks(said, PullState, of))
            elif isinstance(message, LogBatch):
                await self.until(lambda said, of=message.feed: _asks(said, PullLog, of))
            await self.link.send(frame.data)

    def said(self) -> list[Message]:
        """Return all that today's device has said."""
        return [codec.decode(frame) for frame in self.heard]

    async def until(self, what: Callable[[list[Message]], bool]) -> None:
        """Wait until something is so of all that today's device has said."""
        with trio.fail_after(DEADLINE_S):
            while not what(self.said()):
                await self.changed.wait()

    async def until_proof(self, proof: Proof) -> None:
        """Wait until today's device gives a proof."""
        await self.until(lambda said: proof in said)


def _asks(said: list[Message], kind: type[PullState | PullLog], of: bytes) -> bool:
    return any(isinstance(item, kind) and _of(item) == of for item in said)


def _of(message: PullState | PullLog) -> bytes:
    return message.owner if isinstance(message, PullState) else message.feed


@asynccontextmanager
async def meeting(replica: Replica, folder: Path, key: bytes) -> AsyncIterator[tuple[Node, Player]]:
    """Run a device of today, connected to an old one of that public key that was recorded."""
    async with open_cluster(folder, 1, [replica]) as cluster, trio.open_nursery() as nursery:
        node = cluster.nodes[0]
        theirs, ours = memory_pair(key, replica.identity.public_key)
        player = Player(theirs)
        nursery.start_soon(node.driver.run_link, ours)
        nursery.start_soon(player.listen)
        yield node, player
        nursery.cancel_scope.cancel()
